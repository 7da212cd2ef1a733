"""Every plugin is a room with the same doors: each kind of thing has its module, and outside only the contracts are known."""

import ast
import enum
import importlib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import attrs
import pytest

ROOT: Final = Path(__file__).parents[2]
ROOMS: Final = sorted(path.parent.name for path in (ROOT / "plugins").glob("*/pyproject.toml"))
PUBLISHED: Final = ("contracts", "hookspecs")
FOUNDATION: Final = "tavernkeep_storage"  # what the SQL dialects share, each of which, `storage_…`, is built on it
NO_NAMES: Final = re.compile(r"(^|_)(base|common|helpers?|managers?|misc|tools?|utils?|utilities)(_|$)")
FRAMEWORKS: Final = ("tortoise", "aerich", "quart", "hypercorn")


def package(room: str) -> str:
    return f"tavernkeep_{room}"


def modules(room: str) -> dict[str, ast.Module]:
    """The modules of a room by their path in it, without migrations."""
    folder = ROOT / "plugins" / room / package(room)
    paths = [path for path in sorted(folder.rglob("*.py")) if "migrations" not in path.parts]
    return {path.relative_to(folder).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def imported(tree: ast.AST) -> Iterator[str]:
    """What a module imports, wherever it does; `from a import b` is `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def named(expression: ast.expr) -> str:
    """`click.command` for `@click.command("x")`, `Model` for `Model`."""
    while isinstance(expression, (ast.Call, ast.Subscript)):
        expression = expression.func if isinstance(expression, ast.Call) else expression.value
    return ast.unparse(expression)


def decorators(node: ast.stmt) -> list[str]:
    return [named(decorator) for decorator in getattr(node, "decorator_list", [])]


def is_plain(node: ast.stmt) -> bool:
    """An import, a constant, a docstring: nothing that works."""
    if isinstance(node, ast.If):
        return ast.unparse(node.test) == "TYPE_CHECKING" and all(map(is_plain, node.body))
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    return isinstance(node, (ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign))


def is_hook(node: ast.stmt) -> bool:
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and "hookimpl" in decorators(node)


def own(room: str, names: Iterator[str]) -> set[str]:
    return {name for name in names if name.split(".")[0] == package(room)}


@pytest.mark.parametrize("room", ROOMS)
def test_its_tests_are_in_it(room: str) -> None:
    """Who opens a room finds what it promises beside what keeps it."""
    assert list((ROOT / "plugins" / room / "tests").glob("test_*.py")), f"plugins/{room}/tests has no tests"


@pytest.mark.parametrize("room", ROOMS)
def test_the_plugin_is_its_hooks(room: str) -> None:
    """`plugin.py` holds hook implementations, of a class or of the module, and nothing else."""
    for node in modules(room)["plugin.py"].body:
        if isinstance(node, ast.ClassDef):
            wrong = [
                part
                for part in node.body
                if not (is_plain(part) or is_hook(part) or (isinstance(part, ast.FunctionDef) and part.name == "__init__"))
            ]
        else:
            wrong = [] if is_plain(node) or is_hook(node) else [node]
        assert not wrong, f"plugin.py, line {wrong[0].lineno}: this is no hook; give it a module named after what it does"


@pytest.mark.parametrize("room", ROOMS)
def test_contracts_do_nothing(room: str) -> None:
    """`contracts.py` says: protocols, attrs classes, enumerations, errors, constants; no function, no ORM, no framework."""
    tree = modules(room).get("contracts.py")
    if tree is None:
        return
    for node in tree.body:
        assert is_plain(node) or isinstance(node, ast.ClassDef), f"contracts.py, line {node.lineno}: this works; it belongs to a service"
        if isinstance(node, ast.ClassDef) and "Protocol" in map(named, node.bases):
            for part in node.body:
                body = getattr(part, "body", [])
                assert all(is_plain(line) for line in body), f"contracts.py, line {part.lineno}: a protocol's method says, and does not do"
    assert not [name for name in imported(tree) if name.split(".")[0] in FRAMEWORKS]
    contracts = importlib.import_module(f"{package(room)}.contracts")
    for name, value in vars(contracts).items():
        if not name.startswith("_") and callable(value) and getattr(value, "__module__", "").startswith(package(room)):
            assert says(value), f"{name} of contracts.py is no protocol, attrs class, enumeration or error"


def says(value: Any) -> bool:
    if not isinstance(value, type):
        return False
    return getattr(value, "_is_protocol", False) or attrs.has(value) or issubclass(value, (enum.Enum, Exception))


KINDS: Final = {
    "hookimpl": ("plugin.py",),
    "hookspec": ("hookspecs.py",),
    "click.command": ("command.py",),
    "click.group": ("command.py",),
    "Model": ("models.py",),
    "ConfigSection": ("plugin.py",),
    "Route": ("routes.py",),
    "WebSocketMessage": ("messages.py", "routes.py"),
}


@pytest.mark.parametrize("room", ROOMS)
def test_each_kind_of_thing_has_its_module(room: str) -> None:
    """Hooks, commands, tables, sections, routes: in every room they are found by the same name."""
    for path, tree in modules(room).items():
        found = [(decorator, node) for node in ast.walk(tree) if isinstance(node, ast.stmt) for decorator in decorators(node)]
        found += [(named(base), node) for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for base in node.bases]
        found += [(named(node.func), node) for node in ast.walk(tree) if isinstance(node, ast.Call)]
        for kind, node in found:
            allowed = KINDS.get(kind)
            assert allowed is None or path.rpartition("/")[2] in allowed, f"{path}, line {node.lineno}: {kind} belongs in {allowed[0]}"


@pytest.mark.parametrize("room", ROOMS)
def test_sections_are_in_config(room: str) -> None:
    """What a plugin reads of the configuration is declared in its `config.py`, as attrs classes and nothing else."""
    found = modules(room)
    for node in ast.walk(found["plugin.py"]):
        if isinstance(node, ast.Call) and named(node.func) == "ConfigSection":
            wanted = f"{package(room)}.config.{ast.unparse(node.args[1])}"
            assert wanted in imported(found["plugin.py"]), f"plugin.py, line {node.lineno}: {wanted} is not where the section's class is"


@pytest.mark.parametrize("room", ROOMS)
def test_bodies_are_attrs_classes(room: str) -> None:
    """`bodies.py` holds what routes take and give, with the rules for its fields; routes hold none of it."""
    found = modules(room)
    for path in ("bodies.py", "config.py"):
        for node in found[path].body if path in found else ():
            is_class = isinstance(node, ast.ClassDef) and "attrs.frozen" in decorators(node)
            is_rule = isinstance(node, ast.FunctionDef) and node.name.startswith("_")
            assert is_plain(node) or is_class or is_rule, f"{path}, line {node.lineno}: this is neither an attrs class nor a rule of one's"
    for node in found["routes.py"].body if "routes.py" in found else ():
        if isinstance(node, ast.ClassDef):
            assert node.name.endswith("Routes"), f"routes.py, line {node.lineno}: {node.name} belongs in bodies.py"


@pytest.mark.parametrize("room", ROOMS)
def test_names_say_what_is_in_there(room: str) -> None:
    """No module of helpers, utilities or managers: a module is named after its one idea."""
    for path in modules(room):
        for part in path.removesuffix(".py").split("/"):
            assert not NO_NAMES.search(part), f"{path} is named after nothing"


@pytest.mark.parametrize("room", ROOMS)
def test_others_are_known_by_their_contracts(room: str) -> None:
    """Neither a room nor its tests import anything of another room but `contracts` and `hookspecs`."""
    trees = modules(room)
    trees |= {path.name: ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "plugins" / room / "tests").rglob("*.py")}
    for path, tree in trees.items():
        for name in imported(tree):
            parts = name.split(".")
            if parts[0] == FOUNDATION and room.startswith("storage_"):
                continue
            if parts[0].startswith("tavernkeep_") and parts[0] != package(room):
                assert parts[1] in PUBLISHED, f"{path} of {room} imports {name}, which is the business of {parts[0]} alone"


def needs(room: str) -> set[str]:
    """The rooms that a room imports."""
    names = {name.split(".")[0] for tree in modules(room).values() for name in imported(tree)}
    return {name.removeprefix("tavernkeep_") for name in names if name.startswith("tavernkeep_")} - {room}


@pytest.mark.parametrize("room", ROOMS)
def test_a_distribution_depends_on_what_it_imports(room: str) -> None:
    """What `pip install` brings along are the rooms that are imported, these and no others."""
    project = tomllib.loads((ROOT / "plugins" / room / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {re.split(r"[^\w-]", dependency)[0] for dependency in project["dependencies"]} - {"tavernkeep-kernel"}
    assert {name.removeprefix("tavernkeep-").replace("-", "_") for name in names if name.startswith("tavernkeep-")} == needs(room)


def test_no_two_rooms_need_each_other() -> None:
    """Rooms can be built, installed and left out in an order: there is no circle, also not of contracts."""
    left = {room: needs(room) for room in ROOMS}
    while free := [room for room, wanted in left.items() if not wanted & left.keys()]:
        for room in free:
            del left[room]
    assert not left, f"these need each other: {left}"
