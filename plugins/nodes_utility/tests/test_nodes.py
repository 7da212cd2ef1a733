"""The small helper nodes."""

from typing import Any

import pytest

from tavernkeep import NodeFailure
from tavernkeep_nodes_utility.numbers import LIMIT, random_number
from tavernkeep_nodes_utility.text import as_text, text_merge


@pytest.mark.parametrize(
    ("separator", "texts", "merged"),
    [
        (r"\n", ["a", "b"], "a\nb"),
        (r"\\n", ["a", "b"], "a\\nb"),
        (r"\t|\q", ["a", "b"], "a\t|\\qb"),
        ("", ["中", "🎭"], "中🎭"),
        (", ", [1, 2.0, 2.5, True, None, {"k": [1]}], '1, 2, 2.5, true, , {"k":[1]}'),
        ("-", [], ""),
    ],
)
def test_text_merge(separator: str, texts: list[Any], merged: str) -> None:
    """Texts as they are, everything else as JSON; escapes in the separator are put in place."""
    assert text_merge({"separator": separator, "text_inputs": texts}, None) == {"merged_text": merged}  # type: ignore[arg-type]


def test_as_text_of_what_json_cannot_say() -> None:
    """It is described."""
    assert as_text({"x": object}).startswith('{"x":"<class')


@pytest.mark.parametrize(
    ("mode", "value", "number"), [("固定", 7, 7), ("增加", 7, 8), ("减少", 7, 6), ("增加", LIMIT - 1, 0), ("减少", 0, LIMIT - 1)]
)
def test_random_number_follows_its_mode(mode: str, value: int, number: int) -> None:
    """Fixed, one more, one less; round the limit."""
    assert random_number({"mode": mode, "value": value}, None) == {"number": number}  # type: ignore[arg-type]


def test_random_number_draws() -> None:
    """A drawn number is in range, and not always the same."""
    drawn = {random_number({"mode": "随机", "value": 0}, None)["number"] for _ in range(20)}  # type: ignore[arg-type]
    assert len(drawn) > 1
    assert all(0 <= number < LIMIT for number in drawn)


@pytest.mark.parametrize(("inputs", "slot"), [({"mode": "x", "value": 1}, "mode"), ({"mode": "固定", "value": "1"}, "value")])
def test_random_number_names_the_slot_at_fault(inputs: dict[str, Any], slot: str) -> None:
    """A wrong mode or value fails with the slot."""
    with pytest.raises(NodeFailure) as failure:
        random_number(inputs, None)  # type: ignore[arg-type]
    assert failure.value.slot == slot
