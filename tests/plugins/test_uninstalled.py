"""An environment without one of the distributions: the rest imports and starts, or one line says what needs it."""

import asyncio
import sys
import sysconfig
from importlib.metadata import distributions, entry_points
from pathlib import Path

import attrs
import pytest

from tavernkeep_devkit.processes import Server, environment, serve
from tavernkeep_devkit.sockets import statuses, viewer

SITE = Path(sysconfig.get_path("purelib"))
INSTALLED = sorted(
    entry_point.name for entry_point in entry_points(group="tavernkeep.plugins") if entry_point.module.startswith("tavernkeep_")
)
MERGE = {"nodes": [{"id": "ok", "fullType": "core:TextMerge", "inputs": {"text_inputs": ["fine"]}}], "edges": []}


@attrs.frozen
class Without:
    """An environment in which one distribution is not installed."""

    folder: Path
    python: Path
    module: str

    @classmethod
    async def of(cls, folder: Path, name: str) -> "Without":
        """Everything that is installed here, file by file, but for what belongs to one plugin's distribution."""
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "venv", "--without-pip", str(folder / "env"))
        assert await process.wait() == 0
        (site,) = (folder / "env" / "lib").glob("python*/site-packages")
        (dist,) = (found for found in distributions(name=f"tavernkeep-{name.replace('_', '-')}"))
        own = {Path(str(file)).parts[0] for file in dist.files or ()}
        assert any(part.endswith(".pth") or part == f"tavernkeep_{name}" for part in own)
        for entry in SITE.iterdir():
            if entry.name not in own and entry.name != "__pycache__":
                (site / entry.name).symlink_to(entry)
        return cls(folder, folder / "env" / "bin" / "python", f"tavernkeep_{name}")

    def command(self, *arguments: str) -> tuple[str, ...]:
        return (str(self.python), "-m", "tavernkeep", *arguments)


async def run(without: Without, *arguments: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        *without.command(*arguments),
        cwd=without.folder,
        env=environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode()


# What cannot be done without, with what the last line of the start says of why.
NEEDED = {
    "accounts": "auth_local is unavailable (needs 'tavernkeep_accounts', which is not installed)",
    "auth_local": "auth.provider is 'local', which no active plugin provides; there are: multiuser",
    "engine": "execution.provider is 'embedded', which no active plugin provides; there are: none",
    "guard": "accounts is unavailable (needs 'tavernkeep_guard', which is not installed)",
    "secrets": "accounts is unavailable (needs 'tavernkeep_secrets', which is not installed)",
    "storage": "storage_sqlite is unavailable (needs 'tavernkeep_storage', which is not installed)",
    "storage_sqlite": "storage.provider is 'sqlite', which no active plugin provides; there are: none",
    "web": "No such command 'serve'",
}
# What else needs it: unavailable, with one line that names it.
NEEDY = {
    "characters": ["chat", "importer", "nodes_loaders"],
    "chat": ["importer", "nodes_loaders"],
    "files": ["characters", "chat", "importer", "nodes_loaders", "panels", "projects"],
    "llm_config": ["importer"],
    "nodes_llm": ["llm_config"],
    "nodes_processors": ["chat"],
    "projects": ["chat", "importer", "panels"],
}


async def check(folder: Path, name: str) -> None:
    """The promise, for one plugin."""
    without = await Without.of(folder, name)
    found = await asyncio.create_subprocess_exec(
        str(without.python), "-c", f"import {without.module}", env=environment(), stderr=asyncio.subprocess.DEVNULL
    )
    assert await found.wait() != 0, "it is not there at all"
    if name in NEEDED:
        code, output = await run(without, "serve", "--port", "0")
        assert code != 0
        assert "Traceback" not in output
        assert NEEDED[name] in output.splitlines()[-1]
        return
    async with serve(folder, {}, command=without.command("serve", "--port", "0")) as server:
        await works(server, name)


async def works(server: Server, name: str) -> None:
    needy = NEEDY.get(name, [])
    ready = (await server.http.get("/readyz")).json()
    assert (ready["ready"], sorted(ready["plugins"])) == (True, needy)
    for reason in ready["plugins"].values():
        assert reason.startswith("needs ")
    if name != "plugin_admin":
        plugins = {plugin["name"]: plugin["status"] for plugin in (await server.http.get("/api/plugins?all=true")).json()}
        assert name not in plugins
        assert {other for other, status in plugins.items() if status == "unavailable"} == set(needy)
    async with viewer(server.ws_url) as client:
        assert statuses(await client.run(MERGE)) == ["running", "error" if name == "nodes_utility" else "complete"]


@pytest.mark.parametrize("name", ["files", "guard"])
async def test_without_one_that_others_need(tmp_path: Path, name: str) -> None:
    """One that only other features need, and one that the server needs."""
    await check(tmp_path, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in INSTALLED if name not in ("files", "guard")])
async def test_without_any_one_distribution_the_rest_starts_or_says_what_needs_it(tmp_path: Path, name: str) -> None:
    """Uninstalled, and not only disabled: neither its metadata nor its modules are there."""
    await check(tmp_path, name)
