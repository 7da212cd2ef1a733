"""There is one door to the database: nobody but the storage room opens a transaction or writes many rows in another way."""

import ast
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
STORAGE: Final = ("storage", "storage_sqlite")
ROOMS: Final = sorted(path.parent.name for path in (ROOT / "plugins").glob("*/pyproject.toml") if path.parent.name not in STORAGE)
BANNED: Final = {
    "in_transaction": "Storage.transaction()",
    "_in_transaction": "Storage.transaction()",
    "atomic": "Storage.transaction()",
    "update_or_create": "Storage.put()",
    "get_or_create": "Storage.ensure()",
    "bulk_create": "Storage.add_all()",
    "bulk_update": "Storage.transaction()",
    "get_connection": "a model, or Storage",
    "execute_query": "a model",
    "execute_query_dict": "a model",
    "execute_script": "a model",
}


def uses(tree: ast.AST) -> list[tuple[int, str]]:
    """What of the banned names a module uses, with the lines."""
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=name) | ast.Name(id=name) | ast.alias(name=name) if name in BANNED:
                found.append((node.lineno, name))
            case ast.ImportFrom(module="tortoise.transactions" | "tortoise.connection"):
                found.append((node.lineno, "in_transaction"))
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_goes_through_the_door(room: str) -> None:
    """Tortoise's own ways are not safe where a client hangs up, and two of them are not right where two come at once."""
    folder = ROOT / "plugins" / room / f"tavernkeep_{room}"
    for path in sorted(folder.rglob("*.py")):
        if "migrations" not in path.parts:
            for line, name in uses(ast.parse(path.read_text(encoding="utf-8"))):
                raise AssertionError(f"{path.relative_to(ROOT)}, line {line}: {name}; take {BANNED[name]}")


@pytest.mark.parametrize(
    "source",
    [
        "from tortoise.transactions import in_transaction as t",
        "Row.get_or_create(a=1)",
        "import x.y\nx.y.atomic()",
        "await_ = Row.bulk_create",
    ],
)
def test_what_is_banned_is_seen(source: str) -> None:
    """However it is written."""
    assert uses(ast.parse(source))


@pytest.mark.parametrize("room", ROOMS)
def test_numbers_that_grow_have_64_bits(room: str) -> None:
    """Times in milliseconds, sizes and sequence numbers outgrow the 32 bits that an `IntField` has in PostgreSQL."""
    models = ROOT / "plugins" / room / f"tavernkeep_{room}" / "models.py"
    if not models.exists():
        return
    for node in ast.walk(ast.parse(models.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and ast.unparse(node.value.func) == "fields.IntField":
            name = ast.unparse(node.targets[0])
            assert not name.endswith(("_seq", "_at", "_ms", "_bytes", "size", "_step")), (
                f"{models}, line {node.lineno}: {name} is a BigIntField"
            )
