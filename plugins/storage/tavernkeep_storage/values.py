"""What no column can hold is refused before it is sent, in one place for every table and every dialect.

Tortoise asks a field for the database's form of a value: of a row (its instance, or `None` in an update) and in a filter (the model). Every
field of text is made to ask here first.
"""

import json
import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from tortoise import Model, fields
from tortoise.fields import Field

from tavernkeep.wire import Invalid, Problem, camel

_JSON_NUL: Final = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_NO_TEXT: Final = "has a NUL or half a character in it, which no database holds"


def guard(models: Iterable[type[Model]]) -> None:
    """Make the fields of tables refuse what cannot be stored, and filters find nothing by an id that is longer than ids are."""
    for model in models:
        for name, field in model._meta.fields_map.items():
            if isinstance(field, fields.CharField | fields.TextField | fields.JSONField) and "to_db_value" not in vars(field):
                encode = _json if isinstance(field, fields.JSONField) else _text
                vars(field)["to_db_value"] = encode(camel(name), field, field.to_db_value)


_Convert = Callable[[Any, Any], Any]


def _text(name: str, field: Field[Any], convert: _Convert) -> _Convert:
    longest: int | None = getattr(field, "max_length", None)

    def checked(value: Any, instance: Any) -> Any:
        if isinstance(value, str):
            check_text(value, name)
            if isinstance(instance, type):
                return value  # in a filter, where one that is too long finds nothing
            if longest is not None and len(value) > longest:
                raise Invalid([Problem(name, f"must have at most {longest} characters")])
        return convert(value, instance)

    return checked


def _json(name: str, field: Field[Any], convert: _Convert) -> _Convert:
    def checked(value: Any, instance: Any) -> Any:
        if value is None or isinstance(value, str | bytes):
            return convert(value, instance)
        field.validate(value)
        try:
            text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        except ValueError:
            raise Invalid([Problem(name, "has a number in it that is none, or refers to itself")]) from None
        check_text(text, name)
        if _JSON_NUL.search(text):
            raise Invalid([Problem(name, _NO_TEXT)])
        return text

    return checked


def check_text(text: str, name: str) -> None:
    """Make sure that a database can hold a text.

    Raises:
        Invalid: It has a NUL or half a character in it.
    """
    if "\0" in text:
        raise Invalid([Problem(name, _NO_TEXT)])
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise Invalid([Problem(name, _NO_TEXT)]) from None
