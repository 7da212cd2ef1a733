"""How the packages hang together: who imports whom, what the kernel measures, what things are called."""

import ast
import graphlib
import io
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import grimp
import pytest

ROOT: Final = Path(__file__).parents[2]
KERNEL: Final = ROOT / "kernel" / "tavernkeep"
PLUGINS: Final = {folder.name: folder for folder in sorted(ROOT.glob("plugins/*/tavernkeep_*")) if (folder / "__init__.py").exists()}
MOST_LINES: Final = {"contracts": 1450, "the machine": 2200}
TESTING: Final = ("tavernkeep.testing", "tavernkeep_devkit.testing")  # the name that tests of plugins import it by
_NO_CODE: Final = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("tavernkeep", *PLUGINS, include_external_packages=True, cache_dir=None)


def imports(graph: grimp.ImportGraph) -> Iterator[tuple[str, str]]:
    for module in sorted(graph.modules):
        for imported in sorted(graph.find_modules_directly_imported_by(module)):
            yield module, imported


def sources() -> Iterator[tuple[Path, ast.Module]]:
    for folder in (KERNEL, *PLUGINS.values()):
        for file in sorted(folder.rglob("*.py")):
            if "migrations" not in file.parts:
                yield file.relative_to(ROOT), ast.parse(file.read_text())


def code_lines(file: Path) -> int:
    """The lines of a file that hold code: neither empty ones, nor comments, nor docstrings."""
    text = file.read_text()
    documentation: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and ast.get_docstring(node) is not None:
            documentation.update(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in _NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - documentation)


def test_the_kernel_is_small() -> None:
    """What works is read in a sitting, and so is what only says: each has its bound (ADR 3)."""
    sizes: dict[str, dict[str, int]] = {"contracts": {}, "the machine": {}}
    for file in KERNEL.rglob("*.py"):
        name = file.relative_to(KERNEL)
        sizes["contracts" if name.parts[0] == "contracts" else "the machine"][str(name)] = code_lines(file)
    for part, most in MOST_LINES.items():
        largest = sorted(sizes[part].items(), key=lambda entry: -entry[1])[:8]
        assert sum(sizes[part].values()) <= most, f"{part} has {sum(sizes[part].values())} lines of code; the largest: {largest}"


def test_each_decision_has_a_number_of_its_own() -> None:
    """Texts refer to it by that; it is the file's and the title's."""
    files = sorted((ROOT / "docs" / "decisions").glob("0*.md"))
    assert [file.name[:4] for file in files] == [f"{number:04}" for number in range(1, len(files) + 1)]
    assert [file.read_text().partition(".")[0] for file in files] == [f"# {number}" for number in range(1, len(files) + 1)]


def test_no_circle_of_imports(graph: grimp.ImportGraph) -> None:
    """Neither of modules nor of packages, in the kernel and in all plugins; imports for types alone count too."""
    graphlib.TopologicalSorter({module: graph.find_modules_directly_imported_by(module) for module in graph.modules}).prepare()
    circles = {package: graph.nominate_cycle_breakers(package) for package in graph.modules if not graph.is_module_squashed(package)}
    assert not {package: breakers for package, breakers in circles.items() if breakers}


def test_the_kernel_imports_no_plugin_and_no_framework(graph: grimp.ImportGraph) -> None:
    """It knows no SQL, no HTTP framework, no node."""
    strange = {"quart", "hypercorn", "tortoise", "aerich", "httpx2", *PLUGINS}
    found = [(module, imported) for module, imported in imports(graph) if package(module) == "tavernkeep" and package(imported) in strange]
    assert found == [TESTING]


def package(module: str) -> str:
    return module.partition(".")[0]


def test_no_two_classes_of_one_name() -> None:
    """One name means one thing, wherever it stands; only what a module keeps to itself may be called as in another."""
    where = defaultdict(list)
    for file, tree in sources():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                where[node.name].append(str(file))
    assert {name: files for name, files in where.items() if len(files) > 1} == {}


def test_a_service_is_called_the_same_everywhere() -> None:
    """Whoever holds one, as a field or as a parameter, calls it by one name."""
    services = set()
    held: defaultdict[str, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for file, tree in sources():
        own = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}  # a service's own module has its own words for it
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and node.args and any(keyword.arg == "owner" for keyword in node.keywords):
                services.add(ast.unparse(node.args[0]))
            name, annotation = None, None
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                name, annotation = node.target.id, node.annotation
            elif isinstance(node, ast.arg):
                name, annotation = node.arg, node.annotation
            if name and annotation and contract(annotation) not in own:
                held[contract(annotation)][name.strip("_")].append(str(file))
    assert {"Scheduler", "Accounts", "Files"} <= services
    several = {name: dict(held[name]) for name in services if len(held[name]) > 1}
    assert several == {}


def contract(annotation: ast.expr) -> str:
    return ast.unparse(annotation).strip("'\"").removesuffix(" | None")


def test_lines_are_counted_without_comments_and_docstrings(tmp_path: Path) -> None:
    """What is measured is code: a line of several tokens counts once, a string over three lines three times."""
    file = tmp_path / "sample.py"
    file.write_text('"""Doc."""\n\n# comment\nx = 1  # why\n\n\ndef f():\n    """Doc\n    of two."""\n    return """a\nb\nc"""\n')
    assert code_lines(file) == 5
