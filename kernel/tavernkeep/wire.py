"""What crosses a boundary: JSON bytes, plain values, and the attrs classes made from them.

One rule names every field: `snake_case` in Python is `camelCase` on the wire, unless the field's metadata says otherwise (see `named`).
One rule says what is optional: a field whose default is `None` is left out of what is sent when it is `None`.
Structuring is strict (no `"5"` for `5`) and reports every problem at once, each with its path.
"""

import enum
import functools
import re
import typing
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import attrs
import cattrs
import msgspec
from cattrs.cols import (
    homogenous_tuple_structure_factory,
    is_mapping,
    is_sequence,
    list_structure_factory,
    mapping_structure_factory,
)
from cattrs.errors import AttributeValidationNote, BaseValidationError, IterableValidationNote, StructureHandlerNotFoundError
from cattrs.fns import identity
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override
from cattrs.strategies import configure_union_passthrough

T = TypeVar("T")

_JSON_NAMES: Mapping[type, str] = {
    type(None): "null",
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    list: "a list",
    dict: "an object",
}
_MAX_DEPTH = 200
_MAX_BITS = 13_000  # Python writes no integer of more than 4,300 digits
_CATTRS = str(Path(cattrs.__file__).parent)
_VALIDATED = re.compile(r"'(\w+)' (?:must|should)")


@attrs.frozen
class Problem:
    """One thing that is wrong with a value from outside.

    Attributes:
        path: Where it is, as in `nodes[3].fullType`; empty for the value itself.
        message: What is wrong and what was expected.
    """

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class Invalid(ValueError):
    """A value from outside does not have the expected shape; `problems` lists everything that is wrong with it."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems


def named(name: str) -> dict[str, str]:
    """Metadata for an attrs field whose wire name does not follow the rule."""
    return {"wire_name": name}


def camel(name: str) -> str:
    """The wire name of a Python name.

    >>> camel("input_connection_orders")
    'inputConnectionOrders'
    """
    head, *tail = name.rstrip("_").split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in tail)


def wire_name(attribute: "attrs.Attribute[Any]") -> str:
    """The name under which an attrs field crosses the wire."""
    return str(attribute.metadata.get("wire_name") or camel(attribute.name))


def describe(value: object) -> str:
    """What a JSON value is, for an error message.

    >>> describe([1])
    'a list'
    """
    return _JSON_NAMES.get(type(value), f"a {type(value).__name__}")


def iso(moment: datetime | float) -> str:
    """A time as the API shows it: ISO 8601 in UTC with milliseconds. A number is seconds since 1970.

    >>> iso(datetime(2026, 1, 2, 3, 4, 5, 678901, UTC))
    '2026-01-02T03:04:05.678Z'
    >>> iso(0)
    '1970-01-01T00:00:00.000Z'
    """
    time = moment if isinstance(moment, datetime) else datetime.fromtimestamp(moment, UTC)
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def structure(value: object, type_: type[T], path: str = "") -> T:
    """Make a `type_` from plain JSON data.

    Args:
        value: What `loads` gives.
        type_: An attrs class, or any type that is made of attrs classes, lists, mappings and plain values.
        path: Where the value stands, put before each problem's path.

    Raises:
        Invalid: With every problem found and its path. What a hook, validator or constructor raises that is no `ValueError` (nor the
            `TypeError` of an attrs validator) is a mistake in the code, and comes through as it is.
    """
    try:
        return _converter.structure(value, type_)
    except Exception as error:
        problems = list(_problems(error, path, type_))
    raise Invalid(problems)


def unstructure(value: object) -> Any:
    """Make plain JSON data from attrs classes and what they hold."""
    return _converter.unstructure(value)


def loads(data: bytes | str) -> Any:
    """Decode JSON.

    Raises:
        Invalid: When it is not JSON, not UTF-8, or nested too deeply.
    """
    try:
        return msgspec.json.decode(data)
    except RecursionError:
        raise Invalid([Problem("", "JSON is nested too deeply")]) from None
    except (msgspec.DecodeError, UnicodeError) as error:
        raise Invalid([Problem("", f"not valid JSON: {error}")]) from None


def dumps(value: object) -> bytes:
    """Encode plain data as JSON, whatever it holds.

    NaN and infinities become `null`, as the protocol wants; bytes become base64. What JSON cannot say at all (an object of some class, a
    loop, half a surrogate pair) is replaced by a description of it: what nodes give is plain data by now, but not all that plugins answer.
    """
    try:
        return _encode(value)
    except (TypeError, ValueError, RecursionError, OverflowError):
        return _encode(_plain(value, 0))


_encode = msgspec.json.Encoder().encode


def _plain(value: object, depth: int) -> object:
    if depth > _MAX_DEPTH:
        return "<nested too deeply>"
    if value is None or isinstance(value, (bool, bytes)):
        return value
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, int):
        return int.__int__(value) if value.bit_length() <= _MAX_BITS else f"<an integer of {value.bit_length()} bits>"
    if isinstance(value, str):
        return str.encode(value, "utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {str(_plain(str(key), depth)): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item, depth + 1) for item in value]
    return f"<{type(value).__qualname__}>"


class _Mismatch(ValueError):
    """A value is not of the expected kind; its text is fit to be shown."""


def _expect(kind: type, value: object) -> None:
    if not isinstance(value, kind):
        raise _Mismatch(f"expected {_JSON_NAMES[kind]}, got {describe(value)}")


def _strict(kind: type) -> Callable[[object, Any], Any]:
    def hook(value: object, type_: Any) -> Any:
        if type_ is not kind and _is_enum(type_):
            return _structure_enum(value, type_)  # cattrs finds hooks by class first, and a `StrEnum` is a `str`
        if value.__class__ is not kind:
            raise _Mismatch(f"expected {_JSON_NAMES[kind]}, got {describe(value)}")
        return value

    return hook


def _strict_float(value: object, _: object) -> float:
    if value.__class__ is not float and value.__class__ is not int:
        raise _Mismatch(f"expected a number, got {describe(value)}")
    return typing.cast("float", value)


def _structure_enum(value: object, type_: type[enum.Enum]) -> enum.Enum:
    for member in type_:
        if member.value == value:
            return member
    choices = ", ".join(str(member.value) for member in type_)
    raise _Mismatch(f"expected one of {choices}; got {value!r}")


def _structure_literal(value: object, type_: Any) -> object:
    choices = typing.get_args(type_)
    if not any(value == choice and type(value) is type(choice) for choice in choices):
        raise _Mismatch(f"expected one of {', '.join(map(str, choices))}; got {value!r}")
    return value


def _overrides(class_: type) -> dict[str, Any]:
    return {
        field.name: override(
            rename=wire_name(field),
            omit_if_default=field.default is None or None,
            omit=None if field.init else True,
        )
        for field in attrs.fields(class_)
    }


@functools.cache
def as_told(class_: Any) -> Callable[[object], dict[str, Any]]:
    """A function that gives the fields of a class's objects by their names on the wire; their values, plain data, are not looked into.

    Of fields that are not in the constructor, those that are `named`, where they have a value.
    """
    how: dict[str, Any] = {
        field.name: override(
            rename=wire_name(field),
            omit_if_default=field.default is None or not field.init,
            omit=not field.init and "wire_name" not in field.metadata,
            unstruct_hook=identity,
        )
        for field in attrs.fields(class_)
    }
    return make_dict_unstructure_fn(class_, _converter, _cattrs_include_init_false=True, **how)


def _guarded(kind: type, factory: Callable[[Any, cattrs.Converter], Any]) -> Callable[[Any, cattrs.Converter], Any]:
    """A hook factory that looks at the value first: cattrs would take a string for a list of its letters."""

    def make(type_: Any, converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
        build = factory(type_, converter)

        def hook(value: object, type__: object) -> Any:
            _expect(kind, value)
            return build(value, type__)

        return hook

    return make


def _make_class_hook(class_: type, converter: cattrs.Converter) -> Any:
    build: Any = make_dict_structure_fn(class_, converter, **_overrides(class_))
    # A mapping or list that may be left out may be null as well: that is how many clients leave it out.
    own = {wire_name(field) for field in attrs.fields(class_) if isinstance(field.default, attrs.Factory)}  # type: ignore[arg-type]
    return (lambda value, type_: build({k: v for k, v in value.items() if v is not None or k not in own}, type_)) if own else build


def _is_tuple(type_: Any) -> bool:
    return typing.get_origin(type_) is tuple and typing.get_args(type_)[1:] == (Ellipsis,)


def _is_enum(type_: Any) -> bool:
    return isinstance(type_, type) and issubclass(type_, enum.Enum)


def _make_converter() -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=True)
    for kind in (str, int, bool):
        converter.register_structure_hook(kind, _strict(kind))
    converter.register_structure_hook(float, _strict_float)
    converter.register_structure_hook(Path, lambda value, _: Path(converter.structure(value, str)))
    converter.register_structure_hook_func(_is_enum, _structure_enum)
    converter.register_structure_hook_func(lambda type_: getattr(type_, "__origin__", None) is typing.Literal, _structure_literal)
    converter.register_structure_hook_factory(attrs.has, _guarded(dict, _make_class_hook))
    converter.register_structure_hook_factory(is_sequence, _guarded(list, list_structure_factory))
    converter.register_structure_hook_factory(_is_tuple, _guarded(list, homogenous_tuple_structure_factory))
    converter.register_structure_hook_factory(is_mapping, _guarded(dict, mapping_structure_factory))
    converter.register_unstructure_hook_factory(attrs.has, lambda class_: make_dict_unstructure_fn(class_, converter, **_overrides(class_)))
    converter.register_unstructure_hook(datetime, iso)
    configure_union_passthrough(str | int | float | bool | None, converter)
    return converter


def _problems(error: BaseException, path: str, type_: Any) -> Iterator[Problem]:
    """Walk what cattrs raised, down to each single failure; cattrs leaves a note of the place on each exception."""
    if isinstance(error, BaseValidationError):
        for inner in error.exceptions:
            inner_path, inner_type = path, type_
            for note in getattr(inner, "__notes__", ()):
                if isinstance(note, AttributeValidationNote):
                    inner_type = note.type
                    key = wire_name(attrs.fields_dict(error.cl)[note.name])
                    inner_path = f"{path}.{key}" if path else key
                elif isinstance(note, IterableValidationNote):
                    inner_type = note.type
                    inner_path = f"{path}[{note.index}]" if isinstance(note.index, int) else f"{path}.{note.index}".lstrip(".")
            yield from _problems(inner, inner_path, inner_type)
            inner.__traceback__ = None  # it leads to the whole value, and to itself
    elif isinstance(error, KeyError) and _is_of_cattrs(error):
        yield Problem(path, "is required and missing")
    elif isinstance(error, (ValueError, RecursionError)) or _is_of_a_validator(error):
        message = str(error.args[0] if error.args else error)
        # A validator of attrs names its attribute, but cattrs does not know which one was at fault.
        named_in = _VALIDATED.search(message)
        fields = attrs.fields_dict(type_) if attrs.has(type_) else {}
        if named_in and named_in[1] in fields:
            key = wire_name(fields[named_in[1]])
            path = f"{path}.{key}" if path else key
        yield Problem(path, message)
    elif _is_of_cattrs(error) and not isinstance(error, StructureHandlerNotFoundError):
        yield Problem(path, f"does not fit {getattr(type_, '__name__', type_)}")
    else:
        raise error  # the value is not at fault, but the code that looked at it


def _is_of_cattrs(error: BaseException) -> bool:
    """Whether it was cattrs itself that stumbled over the value, and no hook, validator or constructor that it called."""
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    file = at.tb_frame.f_code.co_filename if at else ""
    return file.startswith(("<cattrs generated", _CATTRS))


def _is_of_a_validator(error: BaseException) -> bool:
    """Whether a validator of attrs refused a value for its type: that is a `TypeError` which carries the attribute."""
    return isinstance(error, TypeError) and len(error.args) > 1 and isinstance(error.args[1], attrs.Attribute)


_converter = _make_converter()
