"""World books as people have them: what stands in the file, what is taken of it."""

from typing import Any

import pytest

from tavernkeep import NodeFailure
from tavernkeep_nodes_loaders.loaders import book_in

BOOK: dict[str, Any] = {"entries": [{"keys": ["sea"], "content": "It is blue."}]}


@pytest.mark.parametrize(
    "content",
    [
        BOOK,
        {"spec": "chara_card_v2", "data": {"name": "Ada", "character_book": BOOK}},
        {"name": "Ada", "data": None, "character_book": BOOK},
    ],
)
def test_a_book_or_that_of_a_card(content: dict[str, Any]) -> None:
    """A card of any version gives its own."""
    assert book_in(content, "x.json") == BOOK


@pytest.mark.parametrize(
    ("content", "mention"),
    [
        ({}, "holds nothing"),
        ({"type": "risu", "data": [{"key": "sea"}]}, "holds type, data"),
        ({"spec": "chara_card_v2", "data": {"name": "Ada", "character_book": None}}, "holds spec, data"),
        ({"findRegex": "/a/g", "replaceString": "b"}, "holds findRegex"),
    ],
)
def test_another_form_is_refused_by_name(content: dict[str, Any], mention: str) -> None:
    """Rather than be a book that never says anything."""
    with pytest.raises(NodeFailure, match=f"x.json is no world book: it has no entries, and {mention}"):
        book_in(content, "x.json")
