"""Backups of a server that is at work: what it had answered before one began is in it, and goes on where it is restored."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import attrs
import pytest

from support.plugins import install, on_path
from support.server import BIN, PATIENCE_S, Server, environment, serve, tavernkeep

FAM = "/api/fam"
NODES = '''
    """A node that goes on when there is a file of a name."""

    import asyncio
    from pathlib import Path

    from tavernkeep import hookimpl, node


    @node("backups:Wait", output="content")
    async def wait(file: str) -> str:
        """Wait for a file, and give what is in it."""
        while not Path(file).exists():
            await asyncio.sleep(0.01)
        return Path(file).read_text()


    @hookimpl
    def register_nodes():
        return [wait]
'''


@attrs.define(eq=False)
class Clients:
    """Submit workflows and upload files, one after the other, and remember what was answered with success."""

    server: Server
    executions: list[str] = attrs.field(factory=list)
    files: dict[str, bytes] = attrs.field(factory=dict)
    progress: asyncio.Event = attrs.field(factory=asyncio.Event)
    _count: int = 0

    def number(self) -> int:
        self._count += 1
        return self._count

    async def submit(self) -> None:
        nodes = [{"id": "n", "fullType": "core:TextMerge", "inputs": {"text_inputs": [f"number {self.number()}", "b"]}}]
        answer = await self.server.http.post("/api/prompt", json={"nodes": nodes, "edges": []})
        assert answer.status_code == 200, answer.text
        self.executions.append(answer.json()["promptId"])

    async def upload(self) -> None:
        """New files, and every third over one that is there: each of its contents is whole."""
        number = self.number()
        name, content = f"f{number if number % 3 else 0}.bin", bytes([number % 256]) * (50_000 + number)
        answer = await self.server.http.post(f"{FAM}/upload/{encoded('user://up')}", files={"files": (name, content)})
        assert answer.status_code in (200, 201), answer.text
        self.files[name] = content

    async def again_and_again(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            await work()
            self.progress.set()

    async def until(self, reached: Callable[[], bool]) -> None:
        while not reached():
            self.progress.clear()
            await self.progress.wait()


def encoded(path: str) -> str:
    return path.replace(":", "%3A").replace("/", "%2F")


async def got(server: Server, path: str) -> Any:
    answer = await server.http.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.slow
@pytest.mark.parametrize("form", ["backup.tar.gz", "backup"])
async def test_what_was_answered_before_a_backup_is_in_it(tmp_path: Path, form: str) -> None:
    """Executions with what they gave, files, what is sealed; and what was running goes on in the server that it is restored to."""
    path = on_path(install(tmp_path / "plugins", "backups", NODES))
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
    signal_file = tmp_path / "go-on"
    async with serve(here, {}, **path) as server:
        channel = {"label": "main", "baseUrl": "http://127.0.0.1:9", "apiKey": "sk-0123456789abc"}
        assert (await server.http.post("/api/llm/channels", json=channel)).status_code == 201
        waiting = {"nodes": [{"id": "w", "fullType": "backups:Wait", "inputs": {"file": str(signal_file)}}], "edges": []}
        opened = (await server.http.post("/api/prompt", json=waiting)).json()["promptId"]
        clients = Clients(server)
        tasks = [asyncio.create_task(clients.again_and_again(work)) for work in (clients.submit, clients.submit, clients.upload)]
        await clients.until(lambda: len(clients.executions) > 30 and len(clients.files) > 10)
        executions, files = list(clients.executions), dict(clients.files)
        made = await tavernkeep(here, "backup", f"../{form}", "--with-key", **path)
        assert made.code == 0, made.stderr
        count = len(clients.executions)
        await clients.until(lambda: len(clients.executions) > count)  # the server has not minded
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        # A file that was written over meanwhile is there as it was then, or later.
        newest = clients.files["f0.bin"]
    assert f"into ../{form}" in made.stdout

    restored = await tavernkeep(there, "restore", f"../{form}", **path)
    assert restored.code == 0, restored.stderr
    signal_file.write_text("it goes on")
    async with serve(there, {}, **path) as server:
        for id_ in executions:
            found = (await got(server, f"/api/history/{id_}"))["execution"]
            if found["status"] != "complete":  # it was open then, and goes on
                await server.http.get(f"/api/prompt/{id_}/events")  # ends with the execution
                found = (await got(server, f"/api/history/{id_}"))["execution"]
            assert found["status"] == "complete", found
            assert found["nodeStatus"]["n"]["output"]["merged_text"].startswith("number")
        await server.http.get(f"/api/prompt/{opened}/events")
        assert (await got(server, f"/api/history/{opened}"))["attempts"] == 0  # a backup is no crash
        found = (await got(server, f"/api/history/{opened}"))["execution"]
        assert (found["status"], found["nodeStatus"]["w"]["output"]) == ("complete", {"content": "it goes on"})
        for name, content in files.items():
            answer = await server.http.get(f"{FAM}/download/{encoded(f'user://up/{name}')}")
            assert answer.status_code == 200, name
            if name == "f0.bin":
                assert len(answer.content) in range(len(content), len(newest) + 1)
                assert len(set(answer.content)) == 1
            else:
                assert answer.content == content
        assert (await got(server, "/api/llm/channels"))[0]["apiKey"] == "sk-0…9abc"


@pytest.mark.slow
async def test_a_backup_that_is_killed_leaves_nothing_of_its_name(tmp_path: Path) -> None:
    """One that is told to end tidies up; what is left of one that is killed says what it is, and the next one tells of it."""
    here = tmp_path / "here"
    here.mkdir()
    assert (await tavernkeep(here, "migrate", config={})).code == 0
    with (here / "data" / "large").open("wb") as file:
        file.truncate(8 * 1024**3)  # takes long enough to be cut off in the middle, and no room
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        process = await asyncio.create_subprocess_exec(str(BIN / "tavernkeep"), "backup", "../b.tgz", cwd=here, env=environment())
        async with asyncio.timeout(PATIENCE_S):
            while not list(tmp_path.glob(".b.tgz.unfinished-*/backup")):
                await asyncio.sleep(0.01)
        process.send_signal(number)
        assert await process.wait() != 0
        left = [path.name.partition("-")[0] for path in tmp_path.iterdir() if path != here]
        assert left == ([".b.tgz.unfinished"] if number == signal.SIGKILL else [])
    (here / "data" / "large").unlink()
    again = await tavernkeep(here, "backup", "../b.tgz")
    assert (again.code, "cut off" in again.stderr) == (0, True)
    assert (tmp_path / "b.tgz").exists()
