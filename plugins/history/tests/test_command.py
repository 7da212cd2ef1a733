"""`tavernkeep executions`: by the data folder where no server runs on it, and by the server where one does."""

import asyncio
import json
import re
import shutil
import signal
import socket
import sqlite3
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import attrs
import filelock
import pytest
import pytest_asyncio
from click.testing import CliRunner, Result

from support.plugins import install, on_path
from support.server import Server, serve, tavernkeep
from support.users import Person, town
from tavernkeep.cli import program

DESK = '''
    """Nodes that leave a line in a file each time that they run."""

    import asyncio
    from pathlib import Path

    from tavernkeep import NodeContext, NodeFailure, hookimpl, node


    @node("desk:Note", output="text")
    def note(file: str, name: str, after: str = "", *, context: NodeContext) -> str:
        """Note a name, and whether an administrator runs it."""
        with open(file, "a") as tally:
            tally.write(name + "\\n")
        return f"{after}{name}{'!' if context.user.is_admin else '.'}"


    @node("desk:Gate", output="text")
    async def gate(open_when: str, after: str = "", fails: bool = False) -> str:
        """Wait for a file, or fail without it."""
        while not Path(open_when).exists():
            if fails:
                raise NodeFailure("the gate is shut\\x1b[31m")
            await asyncio.sleep(0.02)
        return after


    @hookimpl
    def register_nodes():
        return [note, gate]
'''


def graph(name: str, *, fails: bool = False) -> dict[str, Any]:
    """A note, a gate, and a note behind it, with their files in the working folder."""
    where = {"file": f"{name}.tally"}
    return {
        "nodes": [
            {"id": "first", "fullType": "desk:Note", "inputs": where | {"name": "first"}},
            {"id": "gate", "fullType": "desk:Gate", "inputs": {"open_when": f"{name}.gate", "fails": fails}},
            {"id": "last", "fullType": "desk:Note", "inputs": where | {"name": "last"}},
        ],
        "edges": [
            {"sourceNodeId": "first", "sourceHandle": "text", "targetNodeId": "gate", "targetHandle": "after"},
            {"sourceNodeId": "gate", "sourceHandle": "text", "targetNodeId": "last", "targetHandle": "after"},
        ],
        "metadata": {"workflowName": f"{name} \x1b[31m酒", "projectId": "inn"},
    }


def executions(folder: Path, *arguments: str, answer: str = "", **variables: str) -> Result:
    """What `tavernkeep executions` does; its exit code says all that went wrong."""
    given = ["--config", str(folder / "config.json"), "executions", *arguments]
    result = CliRunner().invoke(program, given, input=answer, env=variables)
    assert isinstance(result.exception, (SystemExit, type(None))), result
    return result


def done(folder: Path, *arguments: str, **more: str) -> str:
    """What one prints that does what it is told."""
    result = executions(folder, *arguments, **more)
    assert result.exit_code == 0, result.output
    return result.stdout


async def submit(person: Person | Server, payload: dict[str, Any]) -> str:
    """Run a workflow."""
    answer = await person.http.post("/api/prompt", json=payload)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["promptId"])


async def messages(server: Person | Server, id_: str, until: str = "") -> list[str]:
    """What is told of an execution, to its end or until a node has begun."""
    told = []
    async with server.http.stream("GET", f"/api/prompt/{id_}/events") as answer:
        async for line in answer.aiter_lines():
            if line.startswith("data: "):
                told.append(line[6:])
                if until and f'"NODE_EXECUTING","payload":{{"nodeId":"{until}"' in line:
                    break
    return told


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@attrs.frozen
class Left:
    """What a server left that was killed: an execution that failed, one that is complete, and one that waits at its gate."""

    folder: Path
    failed: str
    complete: str
    waiting: str
    told: list[str]


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The nodes of these tests, on the import path of this process too."""
    folder = install(tmp_path_factory.mktemp("packs"), "desk", DESK)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield folder


@pytest_asyncio.fixture(scope="module")
async def killed(tmp_path_factory: pytest.TempPathFactory, packs: Path) -> Left:
    """What a server left that was killed."""
    folder = tmp_path_factory.mktemp("killed")
    (folder / "complete.gate").touch()
    async with serve(folder, {}, **on_path(packs)) as server:
        failed = await submit(server, graph("failed", fails=True))
        await messages(server, failed)
        complete = await submit(server, graph("complete"))
        told = await messages(server, complete)
        waiting = await submit(server, graph("waiting"))
        await messages(server, waiting, "gate")
        await server.stop(signal.SIGKILL)
    return Left(folder, failed, complete, waiting, told)


@pytest.fixture
def left(tmp_path: Path, killed: Left, monkeypatch: pytest.MonkeyPatch) -> Left:
    """A copy of that for each test, in which it works."""
    shutil.copytree(killed.folder, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return attrs.evolve(killed, folder=tmp_path)


def listed(folder: Path, *arguments: str) -> dict[str, str]:
    """The status of each execution, the latest first."""
    return {entry["promptId"]: entry["status"] for entry in map(json.loads, done(folder, "list", "--json", *arguments).splitlines())}


def test_looking_without_a_server(left: Left) -> None:
    """A table, one with all that came of it, its messages as they were told; an id by its beginning."""
    folder = left.folder
    assert list(listed(folder).items()) == [(left.waiting, "running"), (left.complete, "complete"), (left.failed, "error")]
    for chosen, found in {
        ("--status", "error"): [left.failed],
        ("--workflow", "WAIT"): [left.waiting],
        ("--limit", "1"): [left.waiting],
        ("--project", "yard"): [],
        ("--user", "default"): [left.waiting, left.complete, left.failed],
        ("--user", "nobody"): [],
        ("--since", "1d", "--until", "2999-01-01T10:00"): [left.waiting, left.complete, left.failed],
        ("--until", "1h"): [],
    }.items():
        assert list(listed(folder, *chosen)) == found
    heading, *table = done(folder, "list").splitlines()
    assert heading.split() == ["ID", "STATUS", "SUBMITTED", "DURATION", "USER", "WORKFLOW"]
    assert re.fullmatch(
        rf"{re.escape(left.failed)}  error        \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d  .{{10}}  default           failed �\[31m酒", table[2]
    )
    shown = done(folder, "show", left.failed[:12])
    assert re.search(r"^user       default \(default_user\)$", shown, re.MULTILINE)
    assert re.search(r"^  gate                 error      the gate is shut�\[31m$", shown, re.MULTILINE)
    whole = json.loads(done(folder, "show", "--json", left.complete))
    assert whole["execution"]["nodeStatus"]["last"] == {"status": "complete", "output": {"text": "first!last!"}}
    assert (whole["username"], whole["attempts"], whole["damaged"]) == ("default", 0, False)
    assert [json.loads(line) for line in done(folder, "events", left.complete, "--follow").splitlines()] == list(map(json.loads, left.told))
    assert done(folder, "events", left.complete, "--after", str(len(left.told) - 2)).count("\n") == 2
    assert "\x1b" not in shown + "".join(table) + done(folder, "show", "--json", left.failed)


def test_an_id_by_its_beginning(left: Left) -> None:
    """In its very letters, and where it is that of one alone; a whole id is that one, whatever else begins so."""
    connection = sqlite3.connect(left.folder / "data" / "tavernkeep.sqlite3")
    for id_, name in ((left.failed, "-twin"), (left.complete, "-twin-b"), (left.waiting, "-Twin-c")):
        connection.execute("UPDATE executions SET id = ? WHERE id = ?", (name, id_))
    connection.commit()
    connection.close()
    for given, found in {"-twin": "-twin", "-twin-": "-twin-b", "-Tw": "-Twin-c"}.items():
        assert done(left.folder, "show", given).splitlines()[0] == f"execution  {found}"
    for given, said in {"-tw": "several executions", "-TWIN": "no execution", "-twin-b-": "no execution"}.items():
        result = executions(left.folder, "show", given)
        assert (result.exit_code, said in result.stderr) == (1, True)


def test_what_is_wrong_is_said_in_a_line(left: Left) -> None:
    """A wrong option is a usage error, 2; what is not there is 1. An id that begins with a hyphen is no option."""
    for arguments, code, said in [
        (("show", "nobody"), 1, "There is no execution 'nobody'."),
        (("show", "-nobody"), 1, "There is no execution '-nobody'."),
        (("show", "%"), 1, "There is no execution '%'."),
        (("list", "--since", "yesterday"), 2, "give a date"),
        (("list", "--user", "x" * 301), 2, "300"),
        (("list", "--server", "localhost:1"), 2, "give an address"),
        (("list", "--server", f"http://127.0.0.1:{free_port()}"), 1, "no server answers at http://127.0.0.1:"),
        (("list", "--server", "http://ada:secret@localhost"), 2, "give an address"),
        (("list", "--server", "http://localhost", "--key", "schlüssel"), 2, "an API key has"),
        (("events", left.complete, "--after", "-1"), 2, "range"),
        (("resume", left.complete), 1, "there is nothing left to do"),
        (("resume", left.waiting), 1, "has not ended"),
        (("rerun", left.complete, "--from", "none"), 1, "has no node 'none'"),
        (("rerun", left.complete, "--answer", "none"), 2, "--answer takes NODE=VALUE"),
        (("interrupt", left.complete), 1, "had already ended"),
        (("rm", left.waiting), 1, "has not ended"),
        (("rm",), 2, "name executions"),
        (("rm", left.complete, "--status", "error"), 2, "name executions"),
    ]:
        result = executions(left.folder, *arguments)
        assert (result.exit_code, said in result.stderr) == (code, True), (arguments, result.output)


@pytest.mark.parametrize("answer", [b"<html>", b"{}", b'{"executions": 7}', b'{"error": 7}'])
def test_what_is_no_server_of_ours(tmp_path: Path, answer: bytes) -> None:
    """Whatever answers, one line says that it is none."""

    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(500 if b"error" in answer else 200)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    (tmp_path / "config.json").write_text("{}")
    with HTTPServer(("127.0.0.1", 0), Other) as other:
        thread = threading.Thread(target=other.handle_request)
        thread.start()
        result = executions(tmp_path, "list", "--server", f"http://127.0.0.1:{other.server_port}")
        thread.join()
    assert result.exit_code == 1
    assert re.fullmatch(r"Error: what answers .*is no tavernkeep server.*\n", result.stderr)


def test_running_again_without_a_server(left: Left) -> None:
    """In the foreground to the end, recorded, and nothing else goes on meanwhile; what had completed does not run again."""
    folder = left.folder
    assert executions(folder, "resume", left.failed).exit_code == 1
    (folder / "failed.gate").touch()
    result = executions(folder, "resume", left.failed)
    assert (result.exit_code, json.loads(result.stdout)) == (0, {"last": {"text": "first!last!"}})
    assert (folder / "failed.tally").read_text().split() == ["first", "last"]
    resumed = re.search(r"^execution (\S+)$", result.stderr, re.MULTILINE)
    assert resumed is not None
    assert "[last] complete" in result.stderr
    again = executions(folder, "rerun", left.complete, "--from", "last", "--quiet")
    assert (again.exit_code, "[last]" in again.stderr) == (0, False)
    assert (folder / "complete.tally").read_text().split() == ["first", "last", "last"]
    assert list(listed(folder).values()) == ["complete", "complete", "error", "running", "complete", "error"]
    assert json.loads(done(folder, "show", "--json", resumed[1]))["username"] == "default"
    assert json.loads(done(folder, "events", resumed[1]).splitlines()[-1])["payload"]["status"] == "complete"
    assert json.loads(done(folder, "show", "--json", left.waiting))["attempts"] == 0


async def test_what_is_interrupted_is_not_gone_on_with(left: Left, packs: Path) -> None:
    """The wish is recorded as an event, with the next number; the next server leaves it alone."""
    folder = left.folder
    before = await asyncio.to_thread(done, folder, "events", left.waiting)
    assert await asyncio.to_thread(done, folder, "interrupt", left.waiting[:10]) == f"interrupted {left.waiting}\n"
    *others, last = (await asyncio.to_thread(done, folder, "events", left.waiting, "--follow")).splitlines()
    assert others == before.splitlines()
    assert json.loads(last)["payload"] == {"status": "interrupted", "promptId": left.waiting, "seq": len(others) + 1}
    (folder / "waiting.gate").touch()
    async with serve(folder, {}, **on_path(packs)) as server:
        assert (await server.http.get(f"/api/prompt/{left.waiting}")).json()["status"] == "interrupted"
        assert (await server.http.get("/api/executions")).json()["running"] == []
        assert [json.loads(line) for line in await messages(server, left.waiting)] == [*map(json.loads, others), json.loads(last)]
    assert (folder / "waiting.tally").read_text().split() == ["first"]


def test_forgetting(left: Left) -> None:
    """One by one, or many at once, which is asked for; what has not ended stays."""
    folder = left.folder
    refused = executions(folder, "rm", "--before", "2999-01-01", answer="n\n")
    assert (refused.exit_code, "Forget 2 executions?" in refused.stderr, len(listed(folder))) == (1, True, 3)
    assert done(folder, "rm", "--status", "error", "--before", "2000-01-01") == "forgot 0 executions\n"
    assert done(folder, "rm", "--status", "error", "--before", "2999-01-01", "--yes") == "forgot 1 executions\n"
    assert done(folder, "rm", left.complete[:15]) == "forgot 1 executions\n"
    assert listed(folder) == {left.waiting: "running"}


def test_a_folder_that_another_program_uses(left: Left) -> None:
    """Looking goes on; what would change something says that nobody answers."""
    port = free_port()
    (left.folder / "config.json").write_text(json.dumps({"server": {"backend": {"port": port}}}))
    with filelock.FileLock(left.folder / "data" / "server.lock"):
        assert len(listed(left.folder)) == 3
        result = executions(left.folder, "rm", left.complete)
        assert result.exit_code == 1
        assert f"no server answers at http://127.0.0.1:{port}: " in result.stderr
        assert "--server URL" in result.stderr
        (left.folder / "config.json").write_text(json.dumps({"server": {"backend": {"port": 0}}}))
        assert "where it listens is not configured" in executions(left.folder, "rm", left.complete).stderr
    assert done(left.folder, "rm", left.complete) == "forgot 1 executions\n"


async def test_at_a_running_server(tmp_path: Path, packs: Path) -> None:
    """What only looks sees everybody's in the folder; what changes something is the server's to do, for who shows a good key."""
    port = free_port()
    config = {"server": {"backend": {"port": port}}}

    async with town(tmp_path, config, "--port", str(port), **on_path(packs)) as here:
        dora = await here.person("dora")
        url, key = here.server.url, {"TAVERNKEEP_KEY": await here.admin.key()}
        failed = await submit(dora, graph("failed", fails=True))
        await messages(dora, failed)
        waiting = await submit(dora, graph("waiting"))
        await messages(dora, waiting, "gate")
        followed = asyncio.create_task(tavernkeep(tmp_path, "executions", "events", waiting, "--follow"))
        assert list(await asyncio.to_thread(listed, tmp_path)) == [waiting, failed]

        for asked in (("rm", failed), ("list", "--server", url)):
            refused = await asyncio.to_thread(executions, tmp_path, *asked)
            assert (refused.exit_code, "--key or in $TAVERNKEEP_KEY" in refused.stderr) == (1, True)
        hers = ("--server", url, "--key", await dora.key())
        assert list(await asyncio.to_thread(listed, tmp_path, *hers)) == [waiting, failed]
        assert json.loads(await asyncio.to_thread(done, tmp_path, "show", failed, "--json", *hers))["username"] == "dora"

        (tmp_path / "failed.gate").touch()
        (resumed,) = (await asyncio.to_thread(done, tmp_path, "resume", failed[:10], **key)).split()
        told = (await asyncio.to_thread(done, tmp_path, "events", resumed, "--follow", *hers)).splitlines()
        assert [json.loads(line) for line in told] == [json.loads(line) for line in await messages(dora, resumed)]
        assert [json.loads(line) for line in told] == [
            json.loads(line) for line in (await asyncio.to_thread(done, tmp_path, "events", resumed, *hers)).splitlines()
        ]
        shown = json.loads(await asyncio.to_thread(done, tmp_path, "show", resumed, "--json"))
        assert (shown["username"], shown["execution"]["nodeStatus"]["last"]["output"]["text"]) == ("dora", "first.last.")
        wrong = await asyncio.to_thread(executions, tmp_path, "rerun", failed, "--from", "none", **key)
        assert (wrong.exit_code, "from: the workflow itself has no node 'none'" in wrong.stderr) == (1, True)

        refused = await asyncio.to_thread(executions, tmp_path, "rm", waiting, **key)
        assert (refused.exit_code, "has not ended" in refused.stderr) == (1, True)
        assert await asyncio.to_thread(done, tmp_path, "interrupt", waiting[:10], **key) == f"interrupted {waiting}\n"
        assert json.loads((await followed).stdout.splitlines()[-1])["payload"]["status"] == "interrupted"
        assert await asyncio.to_thread(done, tmp_path, "rm", "--user", "dora", "--yes", **key) == "forgot 3 executions\n"
        kept = await submit(dora, graph("failed"))
        await messages(dora, kept)
        theirs = await submit(here.admin, graph("failed"))
        await messages(here.admin, theirs)
        await here.admin.http.put(f"/api/admin/users/{dora.uid}", json={"role": "viewer"})
    refused = await asyncio.to_thread(executions, tmp_path, "rerun", kept)
    assert (refused.exit_code, "is dora's, who may not run it any more" in refused.stderr) == (1, True)
    ran = await tavernkeep(tmp_path, "executions", "rerun", theirs, **on_path(packs))
    assert (ran.code, json.loads(ran.stdout)) == (0, {"last": {"text": "first!last!"}})
