"""Writes as statements: each kind of write is made into one once, and only its values are new."""

from collections.abc import Callable
from typing import Any

import attrs
from pypika_tortoise.terms import Parameter
from tortoise import Model, timezone
from tortoise.backends.base.client import BaseDBAsyncClient

from tavernkeep.contracts.storage import Write

_Kind = tuple[type[Model], tuple[str, ...], tuple[str, ...] | None]


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
        kind = (write.model, tuple(write.values), None if write.key is None else tuple(write.key))
        made = self._known.get(kind)
        if made is None:
            made = self._known[kind] = self._change(write) if write.key is not None else self._addition(write)
        given = write.values
        values = [value if (value := given[name]) is None or type(value) is int else convert(value, None) for name, convert in made.columns]
        values += [default() if callable(default) else default for default in made.defaults]
        if write.key is not None:
            values += [convert(write.key[name], write.model) for name, convert in made.key]
        return Statement(made.sql, values, write.must)

    def _addition(self, write: Write) -> _Made:
        meta = write.model._meta
        given = list(write.values)
        left_out = [name for name in meta.fields_db_projection if name not in given and not meta.fields_map[name].generated]
        columns = [meta.fields_db_projection[name] for name in given + left_out]
        parameters = [Parameter(idx=number + 1) for number in range(len(columns))]
        query = self._queries.into(meta.basetable).columns(*columns).insert(*parameters)
        return _Made(query.get_sql(), _converted(write.model, given), [], [_default(write.model, name) for name in left_out])

    def _change(self, write: Write) -> _Made:
        assert write.key is not None, "it changes rows"
        meta = write.model._meta
        query = self._queries.update(meta.basetable)
        for number, name in enumerate(write.values):
            query = query.set(meta.fields_db_projection[name], Parameter(idx=number + 1))
        for number, name in enumerate(write.key, len(write.values)):
            query = query.where(meta.basetable[meta.fields_db_projection[name]] == Parameter(idx=number + 1))
        return _Made(query.get_sql(), _converted(write.model, write.values), _converted(write.model, write.key), [])


def _converted(model: type[Model], names: Any) -> list[tuple[str, Callable[[Any, Any], Any]]]:
    return [(name, model._meta.fields_map[name].to_db_value) for name in names]


def _default(model: type[Model], name: str) -> Any:
    field = model._meta.fields_map[name]
    if getattr(field, "auto_now_add", False):
        return lambda: field.to_db_value(timezone.now(), model)
    make = field.default
    return (lambda: field.to_db_value(make(), model)) if callable(make) else field.to_db_value(make, model)
