"""Structuring: strict, complete in its complaints, and safe to encode."""

import enum
from pathlib import Path
from typing import Any, Literal

import attrs
import pytest

from tavernkeep.wire import Invalid, dumps, loads, named, structure, unstructure


class FloatOf(float):
    """As a library's numbers are."""


class Colour(enum.StrEnum):
    RED = "red"
    BLUE = "blue"


@attrs.frozen
class Inner:
    a_number: int
    ratio: float = 1.0


@attrs.frozen
class Outer:
    inner: Inner
    many: list[Inner] = attrs.field(factory=list)
    by_name: dict[str, Inner] = attrs.field(factory=dict)
    colour: Colour | None = None
    size: Literal["s", "m"] = "s"
    odd: bool = attrs.field(default=False, metadata=named("ODD"))
    anything: Any = None


def problems(value: object, type_: Any = Outer) -> dict[str, str]:
    with pytest.raises(Invalid) as invalid:
        structure(value, type_)
    return {problem.path: problem.message for problem in invalid.value.problems}


def test_names_are_camel_case_on_the_wire() -> None:
    """In and out, unless a field says otherwise; defaults of `None` are left out."""
    value = {"inner": {"aNumber": 1}, "byName": {"x": {"aNumber": 2, "ratio": 3}}, "ODD": True, "colour": "red"}
    made = structure(value, Outer)
    assert made == Outer(Inner(1), [], {"x": Inner(2, 3)}, Colour.RED, odd=True)
    out = unstructure(made)
    assert out["byName"]["x"] == {"aNumber": 2, "ratio": 3}
    assert "anything" not in out


def test_every_problem_is_reported_with_its_path() -> None:
    """At any depth, all at once."""
    value = {
        "inner": {"aNumber": "1"},
        "many": [{"aNumber": 1}, {"aNumber": True}, 5],
        "byName": {"x": {}},
        "colour": "green",
        "size": "xl",
        "ODD": 1,
    }
    assert problems(value) == {
        "inner.aNumber": "expected an integer, got a string",
        "many[1].aNumber": "expected an integer, got a boolean",
        "many[2]": "expected an object, got an integer",
        "byName.x.aNumber": "is required and missing",
        "colour": "expected one of red, blue; got 'green'",
        "size": "expected one of s, m; got 'xl'",
        "ODD": "expected a boolean, got an integer",
    }


@pytest.mark.parametrize(
    ("value", "type_", "message"),
    [
        ("abc", list[str], "expected a list, got a string"),
        (None, str, "expected a string, got null"),
        (1.0, int, "expected an integer, got a number"),
        ([], dict[str, int], "expected an object, got a list"),
        ([1], tuple[str, ...], "expected a string, got an integer"),
    ],
)
def test_nothing_is_converted(value: object, type_: Any, message: str) -> None:
    """A text is no list of its letters, and 1.0 no integer."""
    assert message in problems(value, type_).values()


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b'"\\ud800"', b"[" * 100_000, b"NaN", b"1e999"])
def test_what_is_no_json(data: bytes) -> None:
    """One problem, never another exception."""
    with pytest.raises(Invalid, match="JSON"):
        loads(data)


def test_anything_can_be_encoded() -> None:
    """NaN is null, bytes are base64, and what JSON cannot say is described."""
    loop: list[Any] = []
    loop.append(loop)
    assert dumps([float("nan"), float("inf"), b"ab"]) == b'[null,null,"YWI="]'
    assert dumps({"x": object(), 1: {2}}) == b'{"x":"<object>","1":[2]}'
    assert dumps("a\ud800b") == b'"a?b"'
    assert b"nested too deeply" in dumps(loop)
    assert dumps([10**5000, FloatOf(1.5), object()]) == b'["<an integer of 16610 bits>",1.5,"<object>"]'


def _refuse(_: Any, __: Any, value: str) -> None:
    if value == "bad":
        raise ValueError("'checked' must not be bad")
    if value == "bug":
        value.nothing_of_that_name()  # type: ignore[attr-defined]
    if value == "key":
        {}["checked"]
    if value == "type":
        len(5)  # type: ignore[arg-type]


@attrs.frozen
class Checked:
    checked: str = attrs.field(default="", validator=_refuse)
    kind: Any = attrs.field(default="", validator=attrs.validators.instance_of(str))


@pytest.mark.parametrize(("value", "error"), [("bug", AttributeError), ("key", KeyError), ("type", TypeError)])
def test_a_mistake_in_a_validator_is_not_told_as_a_wrong_value(value: str, error: type[Exception]) -> None:
    """It comes through as it is, from however deep, for the server's log: nobody can mend it by sending something else."""
    with pytest.raises(error):
        structure([{"checked": value}], list[Checked])


def test_what_a_validator_refuses_is_a_wrong_value() -> None:
    """By a `ValueError`, or by the `TypeError` of the validators of attrs."""
    with pytest.raises(Invalid) as caught:
        structure([{"checked": "bad"}, {"kind": 5}], list[Checked])
    assert [problem.path for problem in caught.value.problems] == ["[0].checked", "[1].kind"]


@pytest.mark.parametrize("type_", [tuple[str, int], frozenset[str], int | list[str], Path, str | int, Outer | None, dict[str, Inner]])
@pytest.mark.parametrize("value", [None, True, 5, 1.5, {"a": 5}, [[]], [{}], {"many": 5}])
def test_no_value_is_taken_for_a_mistake_in_the_code(value: object, type_: Any) -> None:
    """Whatever kind of value comes for whatever kind of type, it fits or is `Invalid`."""
    try:
        structure(value, type_)
    except Invalid as error:
        assert error.problems
