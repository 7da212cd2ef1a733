"""What is built and installed works without the sources."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from support.client import output_of, viewer
from support.server import BIN, environment, serve

ROOT = Path(__file__).parents[1]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


async def run(*command: str | Path, cwd: Path = ROOT) -> str:
    process = await asyncio.create_subprocess_exec(
        *map(str, command), cwd=cwd, env=environment(), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


async def test_wheels_in_an_empty_environment_serve_and_take_a_node_pack(tmp_path: Path) -> None:
    """The wheels of every distribution serve; a node pack of under 30 lines is pip-installed beside them, is listed, and runs.

    So does one that `tavernkeep new-node-pack` makes, whose own tests pass there.
    """
    uv, bin_ = BIN / "uv", tmp_path / "env" / "bin"
    await run(uv, "build", "--quiet", "--all-packages", "--wheel", "--out-dir", tmp_path / "dist")
    wheels = sorted((tmp_path / "dist").glob("*.whl"))
    members = [ROOT, ROOT / "kernel", *(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))]
    assert len(wheels) == len(members)
    await run(uv, "venv", "--quiet", "--python", sys.executable, tmp_path / "env")
    install = (uv, "pip", "install", "--quiet", "--python", bin_ / "python")
    links = ("--find-links", tmp_path / "dist")
    await run(*install, *wheels)
    command = (str(bin_ / "tavernkeep"), "serve", "--port", "0")
    async with serve(tmp_path, {}, command=command) as server:
        types_ = {node["type"] for node in (await server.http.get("/api/nodes")).json()}
        assert {"TextMerge", "GenericLlmRequest"} <= types_
        assert "Shout" not in types_

    pack = ROOT / "examples" / "node_pack"
    lines = [line for path in pack.iterdir() if path.is_file() for line in path.read_text().splitlines()]
    assert len(lines) < 30
    await run(*install, pack)
    async with serve(tmp_path, {}, command=command) as server:
        (shout,) = [node for node in (await server.http.get("/api/nodes")).json() if node["type"] == "Shout"]
        assert shout["namespace"] == "shout"
        async with viewer(server.ws_url) as client:
            payload = {"nodes": [{"id": "a", "fullType": "shout:Shout", "inputs": {"text": "hello", "times": 2}}], "edges": []}
            assert output_of(await client.run(payload), "a") == {"loud": "HELLO HELLO!"}
    await run(bin_ / "tavernkeep", "new-node-pack", "word-play", cwd=tmp_path)
    await run(*install, *links, f"{tmp_path / 'tavern-word-play'}[test]")
    tested = await run(bin_ / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tavern-word-play", cwd=tmp_path)
    assert "5 passed" in tested
    listed = json.loads(await run(bin_ / "tavernkeep", "plugins", "--json", cwd=tmp_path))
    assert {plugin["status"] for plugin in listed} == {"active"}
