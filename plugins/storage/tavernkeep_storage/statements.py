"""Writes as statements: each kind of write is made into one once, and only its values are new."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs
from pypika_tortoise.terms import Parameter
from tortoise import Model, timezone
from tortoise.backends.base.client import BaseDBAsyncClient

from tavernkeep.contracts.storage import Write

_Kind = tuple[type[Model], tuple[str, ...] | None, tuple[str, ...]]


@attrs.frozen
class Statement:
    """What a database is given.

    Attributes:
        values: Of its parameters, in the form of the database.
        must: It is an error where it concerns no row.
    """

    sql: str
    values: list[Any]
    must: bool


@attrs.frozen
class _Made:
    """A kind of write.

    Attributes:
        columns: The fields whose values it takes, in order, each with what makes a value one of the database.
        defaults: Of the columns that are left out, each as the database has it, or what makes it.
    """

    sql: str
    columns: list[tuple[str, Callable[[Any, Any], Any]]]
    key: list[tuple[str, Callable[[Any, Any], Any]]]
    defaults: list[Any]


class Statements:
    """Makes statements for one connection."""

    def __init__(self, connection: BaseDBAsyncClient) -> None:
        self._queries = connection.query_class
        self._known: dict[_Kind, _Made] = {}

    def of(self, write: Write) -> Statement:
        """The statement for a write.

        Raises:
            tavernkeep.wire.Invalid: A value is none that a column can hold.
        """
        assert write.values or write.key, "it says what is to be written, or which rows are to go"
        given, key = write.values or {}, write.key or {}
        kind = (write.model, None if write.values is None else tuple(given), tuple(key))
        made = self._known.get(kind)
        if made is None:
            made = self._known[kind] = self._change(write.model, write.values, key) if key else self._addition(write.model, given)
        values = [value if (value := given[name]) is None or type(value) is int else convert(value, None) for name, convert in made.columns]
        values += [default() if callable(default) else default for default in made.defaults]
        values += [convert(key[name], write.model) for name, convert in made.key]
        return Statement(made.sql, values, write.must)

    def _addition(self, model: type[Model], given: Mapping[str, Any]) -> _Made:
        meta = model._meta
        left_out = [name for name in meta.fields_db_projection if name not in given and not meta.fields_map[name].generated]
        columns = [meta.fields_db_projection[name] for name in (*given, *left_out)]
        parameters = [Parameter(idx=number + 1) for number in range(len(columns))]
        query = self._queries.into(meta.basetable).columns(*columns).insert(*parameters)
        return _Made(query.get_sql(), _converted(model, given), [], [_default(model, name) for name in left_out])

    def _change(self, model: type[Model], given: Mapping[str, Any] | None, key: Mapping[str, Any]) -> _Made:
        meta, table = model._meta, model._meta.basetable
        query = self._queries.from_(table).delete() if given is None else self._queries.update(table)
        for number, name in enumerate(given or ()):
            query = query.set(meta.fields_db_projection[name], Parameter(idx=number + 1))
        for number, name in enumerate(key, len(given or ())):
            query = query.where(table[meta.fields_db_projection[name]] == Parameter(idx=number + 1))
        return _Made(query.get_sql(), _converted(model, given or ()), _converted(model, key), [])


def _converted(model: type[Model], names: Iterable[str]) -> list[tuple[str, Callable[[Any, Any], Any]]]:
    return [(name, model._meta.fields_map[name].to_db_value) for name in names]


def _default(model: type[Model], name: str) -> Any:
    field = model._meta.fields_map[name]
    if getattr(field, "auto_now_add", False):
        return lambda: field.to_db_value(timezone.now(), model)
    make = field.default
    return (lambda: field.to_db_value(make(), model)) if callable(make) else field.to_db_value(make, model)
