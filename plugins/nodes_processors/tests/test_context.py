"""ContextBuilder and world books."""

from types import SimpleNamespace
from typing import Any

import pytest

from tavernkeep import NodeFailure
from tavernkeep_nodes_processors.context_builder import context_builder


def built(**inputs: Any) -> list[Any]:
    context: Any = SimpleNamespace(
        cancelled=False, user=SimpleNamespace(username="Eve"), log=SimpleNamespace(warning=lambda *args, **kwargs: None)
    )
    messages: list[Any] = context_builder(inputs, context)["finalMessages"]
    return [(message["role"], message["content"]) for message in messages]


HISTORY = [{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}, {"role": "user", "content": "three"}]


def test_system_history_prompt() -> None:
    """The system prompt, else the description; the history; the preset's prompt."""
    character = {"system_prompt": "You are Ada.", "description": "A tavern keeper."}
    assert built(characterData=character, historyMessages=HISTORY[:1], presetData={"user_prompt": "go on"}) == [
        ("system", "You are Ada."),
        ("user", "one"),
        ("user", "go on"),
    ]
    assert built(characterData={"system_prompt": "", "description": "A tavern keeper."}) == [("system", "A tavern keeper.")]
    assert built() == []


def test_lore_by_key_order_and_place() -> None:
    """Entries whose key occurs, or constant ones, by their order; before or after the description."""
    entries = [
        {"keys": ["Dragon"], "content": "late", "insertion_order": 50},
        {"keys": ["dragon"], "content": "early", "insertion_order": 10},
        {"keys": ["unicorn"], "content": "never"},
        {"keys": [], "content": "always", "constant": True, "insertion_order": 99},
        {"keys": ["dragon"], "content": "behind", "position": "after_char"},
        {"keys": ["dragon"], "content": "off", "enabled": False},
        {"keys": ["dragon"], "selective": True, "secondary_keys": ["fire"], "content": "needs fire"},
        "no entry",
    ]
    book = {"entries": entries}
    character = {"description": "Ada."}
    given = built(worldBookData=book, characterData=character, presetData={"user_prompt": "A DRAGON!"})
    assert given[0] == ("system", "early\nlate\nalways\nAda.\nbehind")
    with_fire = built(worldBookData=book, characterData=character, presetData={"user_prompt": "dragon fire"})
    assert "needs fire" in with_fire[0][1]


def test_lore_at_depth() -> None:
    """So many messages from the end; deeper than the history is at its beginning."""
    entries = {
        "0": {"key": ["t"], "content": "last", "position": 4, "depth": 0},
        "1": {"key": ["t"], "content": "one up", "position": 4, "depth": 1},
        "2": {"key": ["t"], "content": "far", "position": 4, "depth": 99},
    }
    assert built(worldBookData={"entries": entries}, historyMessages=HISTORY) == [
        ("system", "far"),
        ("user", "one"),
        ("assistant", "two"),
        ("system", "one up"),
        ("user", "three"),
        ("system", "last"),
    ]


def test_the_scan_depth_limits_what_is_looked_at() -> None:
    """Only the last messages wake an entry."""
    book = {"entries": [{"keys": ["one"], "content": "lore"}], "scan_depth": 1}
    assert built(worldBookData=book, historyMessages=HISTORY)[0] == ("user", "one")
    assert built(worldBookData=book | {"scan_depth": 3}, historyMessages=HISTORY)[0] == ("system", "lore")


def test_what_is_no_message_is_left_out_and_wrong_inputs_fail() -> None:
    """Parts count as text; a failure names the slot."""
    parts = {"role": "user", "content": [{"type": "text", "text": "a dragon"}]}
    book = {"entries": [{"keys": ["dragon"], "content": "lore"}]}
    assert built(historyMessages=[5, {"role": "user"}, parts], worldBookData=book)[0] == ("system", "lore")
    with pytest.raises(NodeFailure, match="historyMessages must be a list"):
        built(historyMessages={})
    with pytest.raises(NodeFailure, match="characterData must be an object"):
        built(characterData="Ada")
