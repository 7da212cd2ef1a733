"""What a node gives becomes the execution's own: plain data, by one rule, within bounds."""

import collections
import dataclasses
import datetime
import decimal
import enum
import itertools
import pathlib
import threading
import types
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tavernkeep.contracts.running import Chunk, NodeFailure, Routed
from tavernkeep_engine.run.plain import DEEPEST, TooLarge, ValueRefused
from tavernkeep_engine.run.values import Given, copied, own, own_chunk, size_of

MIB = 1024 * 1024


class Text(str):
    """A text that does not want to be one."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    def __len__(self) -> int:
        return 0


class Closed(dict[str, Any]):
    """A dict that does not let its items out."""

    def items(self) -> Any:
        raise RuntimeError("no items")

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("no keys")


class Endless(Mapping[str, int]):
    """A mapping whose keys cannot be had."""

    def __getitem__(self, key: str) -> int:
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        yield "a"

    def __len__(self) -> int:
        return 1


class Colour(enum.Enum):
    """Values of any kind."""

    RED = ("r", 1)


class Level(enum.IntEnum):
    """Numbers with names."""

    HIGH = 3


@attrs.frozen
class Point:
    """An attrs class."""

    x: int
    y: Any = ()
    _hidden: int = 0


@dataclasses.dataclass
class Pair:
    """A dataclass."""

    left: Any
    right: Any


Named = collections.namedtuple("Named", "a b")

TABLE: list[tuple[Any, Any]] = [
    (None, None),
    (True, True),
    (2**64, 2**64),
    (1.5, 1.5),
    (b"\x00\xff", b"\x00\xff"),
    ("é😀", "é😀"),
    ("half \ud83d", "half �"),
    ("\ud83d\ude00", "😀"),
    (Text("text"), "text"),
    (Level.HIGH, 3),
    (Colour.RED, ["r", 1]),
    (bytearray(b"ab"), b"ab"),
    (memoryview(b"ab"), b"ab"),
    ((1, (2,)), [1, [2]]),
    (Named(1, 2), [1, 2]),
    (collections.deque([1, 2]), [1, 2]),
    ({3, 1, 2}, [1, 2, 3]),
    (frozenset("ba"), ["a", "b"]),
    (Closed(a=[1]), {"a": [1]}),
    (collections.defaultdict(list, a=1), {"a": 1}),
    (types.MappingProxyType({"a": 1}), {"a": 1}),
    ({2: 0, 2.5: 1, None: 2, False: 3, Level.HIGH: 4}, {"2": 0, "2.5": 1, "null": 2, "false": 3, "3": 4}),
    (Point(1, (2,)), {"x": 1, "y": [2]}),
    (Pair(1, Pair(2, 3)), {"left": 1, "right": {"left": 2, "right": 3}}),
    (datetime.date(2026, 1, 2), "2026-01-02"),
    (datetime.datetime(2026, 1, 2, 3, 4, tzinfo=datetime.UTC), "2026-01-02T03:04:00+00:00"),
    (datetime.timedelta(minutes=1), 60.0),
    (decimal.Decimal("1.10"), "1.10"),
    (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    (pathlib.PurePosixPath("a/b"), "a/b"),
    (np.float64(1.5), 1.5),
    (np.float32(0.5), 0.5),
    (np.longdouble(1.5), 1.5),
    (np.int8(3), 3),
    (np.bool_(True), True),
    (np.str_("x"), "x"),
    (np.bytes_(b"x"), b"x"),
    (np.datetime64("2026-01-02"), "2026-01-02"),
    (np.arange(4).reshape(2, 2), [[0, 1], [2, 3]]),
    (np.array(5), 5),
    ([np.float64(1), {"deep": np.array([True])}], [1.0, {"deep": [True]}]),
]


@pytest.mark.parametrize(("value", "plain"), TABLE, ids=lambda value: type(value).__name__)
def test_each_kind_of_value_becomes_plain_data(value: Any, plain: Any) -> None:
    """By the documented rule, and of the plain types themselves."""
    outputs, size = own({"out": value}, MIB)
    assert outputs == {"out": plain}
    assert _is_plain(outputs)
    assert size == size_of(outputs) - 64 - len("out")


def _loop() -> list[Any]:
    loop: list[Any] = []
    loop.append({"again": loop})
    return loop


def _deep(levels: int) -> list[Any]:
    deep: list[Any] = []
    for _ in range(levels - 1):
        deep = [deep]
    return deep


def _laughs() -> list[Any]:
    """Few lists, which hold each other more often than there are atoms."""
    laughs: list[Any] = ["ha"]
    for _ in range(80):
        laughs = [laughs] * 10
    return laughs


REFUSED: list[tuple[Any, str]] = [
    (object(), "Output out is of the class object, which is no data"),
    ({"a": [0, threading.Lock()]}, "Output out.a[1] is of the class lock, which is no data"),
    ((n for n in ()), "Output out is of the class generator, which is no data"),
    (int, "Output out is the class int itself, which is no data"),
    (1j, "Output out is of the class complex, which is no data"),
    (np.complex128(1), "Output out is of the class complex, which is no data"),
    (np.array([object()]), "Output out[0] is of the class object, which is no data"),
    (_loop(), "Output out[0].again contains itself"),
    ({"x": [{"y": _loop()}]}, "Output out.x[0].y[0].again contains itself"),
    (_deep(DEEPEST + 1), "Output 'out' is nested more than 200 deep"),
    ([10**10000], "Output out[0] is an integer of 33,220 bits; 13,000 is the most"),
    ({1: "a", "1": "b"}, "Output out has two keys that both become '1'"),
    ({"a": {(1, 2): 3}}, "Output out.a has a key of the class tuple, which can be no key"),
    ({10**10000: 1}, "Output out is an integer of 33,220 bits; 13,000 is the most"),
    ([Endless()], "Output out[0] is of the class Endless and cannot be read: KeyError: 'a'"),
]


@pytest.mark.parametrize(("value", "message"), REFUSED, ids=[message[7:50] for _, message in REFUSED])
def test_what_is_no_data_is_refused(value: Any, message: str) -> None:
    """With the place in the value, and what is wrong there."""
    with pytest.raises(ValueRefused) as raised:
        own({"out": value}, MIB)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    "make",
    [
        lambda: "x" * 2 * MIB,
        lambda: "é" * MIB,
        lambda: b"x" * 2 * MIB,
        lambda: bytearray(2 * MIB),
        lambda: [None] * MIB,
        lambda: {str(number): [] for number in range(MIB // 64)},
        lambda: np.zeros((1024, 1024)),
        lambda: {"a": ["x" * (MIB // 2)] * 3},
        lambda: {("x" * (MIB + 1)): 1},
        _laughs,
    ],
    ids=["text", "wide text", "bytes", "bytearray", "list", "dict", "array", "shared", "key", "a billion laughs"],
)
def test_what_is_too_large_is_refused(make: Callable[[], Any]) -> None:
    """With the bound and its name in the configuration; what is within it is taken."""
    with pytest.raises(TooLarge, match=r"Output 'out' is too large: it takes at least [\d,]+ bytes, and 1,048,576 .*engine\.maxValueBytes"):
        own({"out": make()}, MIB)


def test_as_deep_as_may_be() -> None:
    """The deepest value that is taken can be encoded and decoded."""
    outputs, _ = own({"out": _deep(DEEPEST)}, MIB)
    assert msgspec.json.decode(msgspec.json.encode(outputs)) == outputs
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(outputs)) == outputs


class Unending(Mapping[int, int]):
    """A mapping that always has another entry, or the same one again and again."""

    def __init__(self, step: int) -> None:
        self.step = step

    def __getitem__(self, key: int) -> int:
        return key

    def __iter__(self) -> Iterator[int]:
        return itertools.count(0, self.step)

    def __len__(self) -> int:
        return 1


@pytest.mark.parametrize("step", [0, 1])
def test_a_mapping_without_end(step: int) -> None:
    """It is read no further than there is room, as a value and as what a node returns."""
    with pytest.raises(TooLarge, match="it takes at least"):
        own({"out": [Unending(step)]}, MIB)
    with pytest.raises(TooLarge, match="The outputs are too many: it takes at least"):
        Given.of(Unending(step), MIB)


def test_live_outputs_are_handed_on() -> None:
    """As they are: the object itself, and a list as the same list."""
    thing, items = object(), [object()]
    outputs, _ = own({"thing": thing, "items": items, "text": "x"}, MIB, frozenset(("thing", "items")))
    assert outputs["thing"] is thing
    assert outputs["items"] is items


def test_names_of_outputs() -> None:
    """They become texts as any key does."""
    assert own({1: "a"}, MIB)[0] == {"1": "a"}
    with pytest.raises(ValueRefused, match="Two outputs are both named '1'"):
        own({1: "a", "1": "b"}, MIB)
    with pytest.raises(ValueRefused, match="The name of an output has a key of the class tuple"):
        own({(): 1}, MIB)


def test_what_a_node_returns() -> None:
    """A mapping of any class, nothing, or the outputs of a node that picks a way; all else is no outputs."""
    assert Given.of(None, MIB).outputs == {}
    assert Given.of(Closed(a=1), MIB).outputs == {"a": 1}
    assert Given.of(types.MappingProxyType({"a": 1}), MIB).outputs == {"a": 1}
    assert Given.of({"a": 1}, MIB).not_taken is None
    assert Given.of(Routed({"a": 1}, not_taken=["b"]), MIB).not_taken == {"b"}
    with pytest.raises(NodeFailure, match="The node returned a list, expected an object with its outputs"):
        Given.of([1], MIB)
    with pytest.raises(NodeFailure, match="The outputs cannot be read: KeyError"):
        Given.of(Endless(), MIB)


def test_chunks() -> None:
    """Anything that a node yields becomes a chunk of plain data."""
    assert own_chunk(Chunk("custom", (1, 2), "out", {"x": {3}}), MIB)[0] == Chunk("custom", [1, 2], "out", {"x": [3]})
    assert own_chunk(np.float64(1), MIB)[0] == Chunk("custom", 1.0)
    assert own_chunk({"type": "text_chunk", "content": "x", "more": 1}, MIB)[0] == Chunk("text_chunk", "x", None, {"more": 1})
    for odd in (Chunk(1, "x"), Chunk("a", "x", 3), Chunk("a", object())):  # type: ignore[arg-type]
        with pytest.raises(ValueRefused):
            own_chunk(odd, MIB)


# Against an interpreter of the rule that is slow and obvious

plain_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats(allow_nan=False) | st.text() | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=5),
    max_leaves=20,
)
values = st.recursive(
    plain_values
    | st.text(st.characters(codec="utf-16-le", categories=None) | st.characters(categories=["Cs"])).map(lambda text: text)
    | st.floats(allow_nan=False).map(np.float64)
    | st.sampled_from([Colour.RED, Level.HIGH, Point(1), Pair({1}, "x")]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=4) | st.integers(0, 9), inner, max_size=4)
        | st.builds(Pair, inner, inner)
    ),
    max_leaves=15,
)


def _obviously(value: Any) -> Any:
    """The rule, written as plainly as can be."""
    if isinstance(value, enum.Enum):
        return _obviously(value.value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, (list, tuple)):
        return [_obviously(item) for item in value]
    if isinstance(value, set):
        return sorted(value)
    if attrs.has(type(value)):
        return _obviously({key: item for key, item in attrs.asdict(value, recurse=False).items() if key[0] != "_"})
    if dataclasses.is_dataclass(value):
        return _obviously({field.name: getattr(value, field.name) for field in dataclasses.fields(value)})
    if isinstance(value, dict):
        names = [str(_obviously(key)) for key in value]
        if len(set(names)) < len(names):
            raise ValueError("two keys become one")
        return {name: _obviously(item) for name, item in zip(names, value.values(), strict=True)}
    return value


@given(values)
def test_the_rule_against_an_obvious_one(value: Any) -> None:
    """Both give the same plain data, or both refuse; it can be encoded whatever it is, and its size is that of the plain data."""
    try:
        expected = _obviously(value)
    except ValueError:
        with pytest.raises(ValueRefused, match="two keys"):
            own({"out": value}, MIB)
        return
    outputs, size = own({"out": value}, MIB)
    assert outputs == {"out": expected}
    assert _is_plain(outputs)
    assert size == size_of(outputs) - 64 - len("out")
    msgspec.json.encode(outputs)


@given(plain_values)
def test_what_is_the_executions_own_is_nobody_elses(value: Any) -> None:
    """Neither the node that gave it nor the one that was given a copy changes it."""
    outputs, _ = own({"out": value}, MIB)
    before = msgspec.json.encode(outputs)
    _spoil(value)
    _spoil(copied(outputs))
    assert msgspec.json.encode(outputs) == before


def _spoil(value: Any) -> None:
    if type(value) is dict:
        for item in value.values():
            _spoil(item)
        value["spoilt"] = True
    elif type(value) is list:
        for item in value:
            _spoil(item)
        value.append("spoilt")


def _is_plain(value: Any) -> bool:
    if type(value) is dict:
        return all(type(key) is str for key in value) and all(map(_is_plain, value.values()))
    if type(value) is list:
        return all(map(_is_plain, value))
    return type(value) in (type(None), bool, int, float, str, bytes)
