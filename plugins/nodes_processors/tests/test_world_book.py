"""World books as people have them: what stands there, what is said, what is made of it."""

from types import SimpleNamespace
from typing import Any

import pytest

from tavernkeep import NodeFailure
from tavernkeep_nodes_processors.context_builder import context_builder

TALK = ["An old dragon", "two", "three"]


def told(book: Any, talk: list[str] = TALK, character: Any = None) -> tuple[list[tuple[str, str]], list[dict[str, Any]]]:
    """The messages that are no talk, by the place where they stand, and what was warned of."""
    warned: list[dict[str, Any]] = []
    log = SimpleNamespace(warning=lambda event, **fields: warned.append({"event": event, **fields}))
    context: Any = SimpleNamespace(cancelled=False, user=SimpleNamespace(username="Eve"), log=log)
    history = [{"role": "user", "content": text} for text in talk]
    given = {"worldBookData": book, "historyMessages": history, "characterData": character}
    messages = context_builder(given, context)["finalMessages"]
    return [(message["role"], message["content"]) for message in messages if message not in history], warned


def lore(entry: dict[str, Any], talk: list[str] = TALK, **book: Any) -> str:
    said, _ = told({"entries": [{"keys": ["dragon"], "content": "lore"} | entry], **book}, talk)
    return "\n".join(content for _, content in said)


BOTH = {"secondary_keys": ["old", "gold"], "selective": True}


@pytest.mark.parametrize(
    ("entry", "wanted"),
    [
        ({}, True),
        # Secondary keys.
        ({"secondary_keys": ["gold"]}, True),
        ({"secondary_keys": ["gold"], "selective": False}, True),
        ({"secondary_keys": ["gold"], "selective": "true"}, False),
        ({"selective": 1, "secondary_keys": []}, True),
        (BOTH, True),
        (BOTH | {"extensions": {"selectiveLogic": 1}}, True),
        (BOTH | {"selectiveLogic": 2}, False),
        (BOTH | {"selectiveLogic": "3"}, False),
        (BOTH | {"secondary_keys": ["old", "an"], "selectiveLogic": 1}, False),
        (BOTH | {"secondary_keys": ["new"], "selectiveLogic": 2}, True),
        (BOTH | {"secondary_keys": ["old", "an"], "selectiveLogic": 3}, True),
        # Patterns.
        ({"keys": ["/drag(on|ons)/i"]}, True),
        ({"keys": ["/DRAGON/"]}, False),
        ({"keys": ["/DRAGON/gi"]}, True),
        ({"keys": [r"/\bdrag\b/"]}, False),
        ({"keys": "/o[kl]d,? dragon/"}, True),
        ({"keys": ["drag.n"], "use_regex": True}, True),
        ({"keys": ["drag.n"]}, False),
        # Words and cases.
        ({"keys": ["drag"], "matchWholeWords": True}, False),
        ({"keys": ["drag"], "extensions": {"match_whole_words": "true"}}, False),
        ({"keys": ["dragon"], "matchWholeWords": 1}, True),
        ({"keys": ["old drag"], "matchWholeWords": True}, True),
        ({"keys": ["DRAGON"], "caseSensitive": True}, False),
        ({"keys": ["DRAGON"], "extensions": {"case_sensitive": None}}, True),
        ({"keys": ["DRAGON"], "case_sensitive": False, "extensions": {"case_sensitive": True}}, False),
        # Kinds of values.
        ({"disable": 1}, False),
        ({"disable": "true"}, False),
        ({"disable": "0"}, True),
        ({"enabled": "false"}, False),
        ({"enabled": 0}, False),
        ({"enabled": None}, True),
        ({"keys": ["unicorn"], "constant": "1"}, True),
        ({"keys": "unicorn, dragon"}, True),
        ({"keys": None, "key": ["dragon"]}, True),
        ({"keys": [1984]}, False),
        ({"content": None}, False),
        # How far is looked, by the entry and by chance.
        ({"scanDepth": 2}, False),
        ({"extensions": {"scan_depth": "3"}}, True),
        ({"scanDepth": 0}, False),
        ({"useProbability": True, "probability": 0}, False),
        ({"useProbability": False, "probability": 0}, True),
        ({"probability": "100"}, True),
        ({"delay": 4}, False),
        ({"delay": 3}, True),
        ({"delayUntilRecursion": True}, False),
    ],
)
def test_when_an_entry_applies(entry: dict[str, Any], wanted: bool) -> None:
    """By the fields that SillyTavern and the card specification have, as themselves, as text, as 0 and 1, in the extensions or beside."""
    assert (lore(entry) != "") is wanted


def test_a_number_is_a_key() -> None:
    """The text that stands there."""
    assert lore({"keys": [1984]}, ["in 1984"])


@pytest.mark.parametrize(
    ("entry", "wanted"),
    [
        ({"position": "after_char", "extensions": {"position": 4, "depth": 1}}, [("user", "two"), ("system", "lore"), ("user", "three")]),
        ({"position": "4", "depth": "0"}, [("user", "three"), ("system", "lore")]),
        ({"extensions": {"position": 4, "depth": 0, "role": 2}}, [("user", "three"), ("assistant", "lore")]),
        ({"depth": 1}, [("user", "two"), ("system", "lore"), ("user", "three")]),
    ],
)
def test_where_an_entry_goes(entry: dict[str, Any], wanted: list[tuple[str, str]]) -> None:
    """What the extensions say wins over what stands beside them."""
    context: Any = SimpleNamespace(
        cancelled=False, user=SimpleNamespace(username="Eve"), log=SimpleNamespace(warning=lambda *args, **kwargs: None)
    )
    book = {"entries": {"0": {"key": ["dragon"], "content": "lore"} | entry}}
    history = [{"role": "user", "content": text} for text in TALK]
    made = context_builder({"worldBookData": book, "historyMessages": history}, context)["finalMessages"]
    assert [(message["role"], message["content"]) for message in made][-len(wanted) :] == wanted


def test_orders_may_be_texts() -> None:
    """And those in the extensions count."""
    entries = [{"keys": ["dragon"], "content": text, "order": order} for text, order in (("c", "50"), ("a", "5"), ("b", 9.5))]
    assert told({"entries": entries})[0] == [("system", "a\nb\nc")]


CHAIN = [
    {"keys": ["dragon"], "content": "It loves gold."},
    {"keys": ["gold"], "content": "Gold is in the cave."},
    {"keys": ["cave"], "content": "The cave is cold."},
]


@pytest.mark.parametrize(
    ("changes", "book", "wanted"),
    [
        ({}, {}, 1),
        ({}, {"recursive_scanning": True}, 3),
        ({}, {"recursive_scanning": "false"}, 1),
        ({1: {"excludeRecursion": True}}, {"recursive_scanning": True}, 1),
        ({1: {"extensions": {"prevent_recursion": True}}}, {"recursive_scanning": True}, 2),
        ({1: {"delayUntilRecursion": 1}}, {"recursive_scanning": True}, 3),
        ({2: {"keys": ["dragon"], "delayUntilRecursion": True}}, {"recursive_scanning": True}, 3),
    ],
)
def test_lore_that_wakes_lore(changes: dict[int, Any], book: dict[str, Any], wanted: int) -> None:
    """Where the book says so; an entry may keep out of it."""
    entries = [entry | changes.get(number, {}) for number, entry in enumerate(CHAIN)]
    ((_, content),) = told({"entries": entries, **book})[0]
    assert len(content.split("\n")) == wanted


def test_lore_without_end_ends() -> None:
    """A chain of any length is named, and cut."""
    entries = [{"keys": [f"<{number}>"], "content": f"<{number + 1}>"} for number in range(200)]
    said, warned = told({"entries": entries, "recursive_scanning": True}, ["<0>"])
    assert 40 < len(said[0][1].split("\n")) < 60
    assert "without end" in warned[0]["event"]


def test_chance_is_the_same_in_the_same_run() -> None:
    """Half of many entries apply, and always the same ones; another conversation has others."""
    book = {"entries": [{"keys": ["dragon"], "content": f"lore {number}", "probability": 50} for number in range(200)]}
    first = told(book)[0]
    assert first == told(book)[0] != told(book, [*TALK, "four"])[0]
    assert 60 < len(first[0][1].split("\n")) < 140


def test_of_a_group_one_applies() -> None:
    """By chance and weight, or the one that has priority; those without a group are not touched."""
    entries = [
        {"keys": ["dragon"], "content": text, "group": "weather", "groupWeight": "0" if text == "rain" else 1} for text in ("rain", "sun")
    ]
    assert told({"entries": [*entries, {"keys": ["dragon"], "content": "more"}]})[0] == [("system", "sun\nmore")]
    wins = [entries[0] | {"extensions": {"group_override": True}}, entries[1]]
    assert told({"entries": wins})[0] == [("system", "rain")]


@pytest.mark.parametrize(
    "form",
    [
        lambda entries: {"entries": entries},
        lambda entries: {"entries": {str(number): entry for number, entry in enumerate(entries)}},
        lambda entries: {"spec": "lorebook_v3", "data": {"entries": entries}},
        lambda entries: {"character_book": {"entries": entries}},
        lambda entries: {"spec": "chara_card_v2", "data": {"name": "Ada", "character_book": {"entries": entries}}},
    ],
)
def test_forms_of_books(form: Any) -> None:
    """The entries are found in each."""
    assert told(form([{"keys": ["dragon"], "content": "lore"}])) == ([("system", "lore")], [])


def test_the_characters_own_book() -> None:
    """It is used with the one that is connected, in one order."""
    own = {"entries": [{"keys": ["dragon"], "content": "own", "insertion_order": 1}]}
    book = {"entries": {"0": {"key": ["dragon"], "content": "connected", "order": 2}}}
    assert told(book, character={"description": "Ada.", "character_book": own})[0] == [("system", "own\nconnected\nAda.")]
    assert told(None, character={"character_book": own})[0] == [("system", "own")]


@pytest.mark.parametrize(
    ("book", "mention"),
    [
        ({"entries": ["x"]}, "no entry"),
        ({"entries": 5}, "no entries"),
        ({"name": "something else"}, "no entries"),
        ({"entries": [{"content": {}}]}, "content"),
        ({"entries": [{"content": "x", "sticky": 3}]}, "sticky"),
        ({"entries": [{"content": "x", "extensions": {"cooldown": 1, "vectorized": True}}]}, "cooldown"),
        ({"entries": [{"content": "x", "characterFilter": {"names": ["Ada"]}}]}, "characterFilter"),
        ({"entries": [{"content": "x", "order": "first"}]}, "order"),
        ({"entries": [{"content": "x", "disable": "perhaps"}]}, "disable"),
        ({"entries": [{"content": "x", "position": 2}]}, "author's note"),
        ({"entries": [{"content": "x", "position": "aside"}]}, "aside"),
        ({"entries": [{"content": "@@depth 3\nx"}]}, "decorator"),
        ({"entries": [{"content": "x", "keys": ["/(/"]}]}, "as it stands"),
    ],
)
def test_what_has_no_meaning_is_named(book: dict[str, Any], mention: str) -> None:
    """Once, and the rest of the book is used."""
    _, warned = told(book)
    assert len(warned) == 1
    assert mention in str(warned)


def test_a_pattern_without_end_is_ended() -> None:
    """The node fails and names the entry."""
    with pytest.raises(NodeFailure, match="'slow' takes longer"):
        told({"entries": [{"comment": "slow", "content": "x", "keys": ["/(a+)+$/"]}]}, ["a" * 50 + "b"])
