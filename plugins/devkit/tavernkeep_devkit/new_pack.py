"""`tavernkeep new-node-pack NAME`: a node pack to begin with, with tests that pass."""

import keyword
import re
from pathlib import Path
from typing import Final

import click

_FILES: Final = {
    "pyproject.toml": """
        [build-system]
        requires = ["hatchling"]
        build-backend = "hatchling.build"

        [project]
        name = "{dist}"
        version = "0.1.0"
        description = "A node pack for tavernkeep"
        requires-python = ">=3.11"
        dependencies = ["tavernkeep-kernel"]

        [project.optional-dependencies]
        test = ["tavernkeep", "tavernkeep-devkit[test]"]

        [project.entry-points."tavernkeep.plugins"]
        {name} = "{module}"

        [tool.hatch.build.targets.wheel]
        packages = ["{module}"]
    """,
    "README.md": """
        # {dist}

        A node pack for tavernkeep: `pip install .` beside it, and its nodes are there after a restart.

        `pip install -e '.[test]' && pytest` runs the tests.
    """,
    "{module}/__init__.py": '''
        """{title}: what it is for, in a sentence."""

        from typing import Any

        from {module}.nodes import count_words, reverse
        from tavernkeep import Node, hookimpl


        @hookimpl
        def register_nodes() -> list[Node[Any]]:
            return [count_words, reverse]
    ''',
    "{module}/nodes.py": '''
        """The nodes: typed functions."""

        from collections.abc import AsyncIterator

        from tavernkeep import NodeFailure, node


        @node("{name}:CountWords", category="{title}", output="count", inline=True)
        def count_words(text: str) -> int:
            """Count the words of a text."""
            return len(text.split())


        @node("{name}:Reverse", category="{title}")
        async def reverse(text: str, longest: int = 10_000) -> AsyncIterator[str]:
            """Stream the words of a text, the last one first."""
            if len(text) > longest:
                raise NodeFailure(f"the text has more than {{longest}} characters", slot="text")
            for word in reversed(text.split()):
                yield f"{{word}} "
    ''',
    "tests/conftest.py": """
        pytest_plugins = ["tavernkeep.testing"]
    """,
    "tests/test_nodes.py": '''
        """Each node runs in the real engine, and is where a client finds it."""

        import httpx2

        from tavernkeep.testing import RunNode, Socket, text_of


        def test_count_words(run_node: RunNode) -> None:
            """Blanks of any kind part words."""
            assert run_node("{name}:CountWords", text="one  two\\nthree").outputs == {{"count": 3}}


        def test_reverse(run_node: RunNode) -> None:
            """The words come as a stream."""
            assert run_node("{name}:Reverse", text="a b c").text() == "c b a "


        def test_reverse_has_a_limit(run_node: RunNode) -> None:
            """A text that is too long fails the node, with the slot at fault."""
            ran = run_node("{name}:Reverse", text="a b c", longest=2, check=False)
            assert ran.errors[0]["slot"] == "text"


        def test_an_editor_is_offered_them(http: httpx2.Client) -> None:
            """The server lists them."""
            listed = [node["type"] for node in http.get("/api/nodes").json() if node["namespace"] == "{name}"]
            assert sorted(listed) == ["CountWords", "Reverse"]


        def test_a_viewer_sees_the_stream(socket: Socket) -> None:
            """Word by word, as it comes."""
            nodes = [{{"id": "turn", "fullType": "{name}:Reverse", "inputs": {{"text": "a b c"}}}}]
            assert text_of(socket.run({{"nodes": nodes, "edges": []}}), "turn") == "c b a "
    ''',
    ".gitignore": """
        __pycache__/
        .pytest_cache/
        dist/
        *.egg-info/
    """,
}


def make_node_pack(name: str, into: Path) -> Path:
    """Make a node pack in a folder of its own below another; gives that folder.

    Raises:
        click.UsageError: It is no name, or the folder is there already or cannot be made.
    """
    plain = name.replace("-", "_")
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,40}", plain) or keyword.iskeyword(plain):
        raise click.UsageError(f"a name is made of lower-case letters, digits and _ or -, and begins with a letter; not {name!r}")
    words = {
        "name": plain,
        "module": f"tavern_{plain}",
        "dist": f"tavern-{plain.replace('_', '-')}",
        "title": plain.replace("_", " ").capitalize(),
    }
    folder = into / words["dist"]
    try:
        folder.mkdir(parents=True)
        for path, text in _FILES.items():
            file = folder / path.format(**words)
            file.parent.mkdir(exist_ok=True)
            file.write_text(_dedented(text).format(**words), encoding="utf-8")
    except FileExistsError:
        raise click.UsageError(f"{folder} is there already") from None
    except OSError as error:
        raise click.UsageError(f"{folder} cannot be made: {error.strerror}") from None
    return folder


def _dedented(text: str) -> str:
    lines = text.strip("\n").rstrip().split("\n")
    margin = len(lines[0]) - len(lines[0].lstrip())
    return "\n".join(line[margin:] for line in lines) + "\n"
