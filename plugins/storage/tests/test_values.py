"""What no column can hold."""

import pytest

from tavernkeep.contracts.storage import storable
from tavernkeep.wire import Invalid
from tavernkeep_storage.values import check_text


@pytest.mark.parametrize("text", ["a\0b", "half \ud800", "\udc80"])
def test_text_that_no_database_holds_is_refused(text: str) -> None:
    """The message says where it is."""
    with pytest.raises(Invalid, match="title: has a NUL or half a character"):
        check_text(text, "title")


def test_every_other_text_is_left_alone() -> None:
    """Whatever Unicode has."""
    check_text("\x01\x7f ü 😀 \ufffd", "title")


def test_what_the_server_says_itself_is_made_storable() -> None:
    """In text `�` stands for what cannot be kept, and nothing for a number that is none."""
    said = {"a\0": ["\ud800b", 1.5, float("nan"), ("c", None, True)], "n": 3}
    assert storable(said) == {"a�": ["�b", 1.5, None, ["c", None, True]], "n": 3}
