"""Starting and stopping: the two ways in, and what stands in the way, each said in one line."""

import asyncio
import json
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from support.client import is_final, output_of, statuses, text_of, viewer
from support.server import BIN, Finished, serve, tavernkeep

EXAMPLES = Path(__file__).parents[1] / "examples"
HYPERCORN = (str(BIN / "hypercorn"), "tavernkeep.asgi:app", "--bind", "127.0.0.1:0")
HELLO = json.loads((EXAMPLES / "hello.json").read_text())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("way", ["tavernkeep serve", "hypercorn"])
async def test_both_ways_in_serve_and_end_cleanly(tmp_path: Path, way: str, number: int) -> None:
    """`tavernkeep serve` and `hypercorn tavernkeep.asgi:app` run a workflow and end without a complaint, with a viewer connected."""
    command = {"command": HYPERCORN} if way == "hypercorn" else {}
    async with serve(tmp_path, {}, **command) as server, viewer(server.ws_url) as client:
        messages = await client.run(HELLO)
        assert output_of(messages, "louder") == {"merged_text": "Hello, world!"}
        assert await server.stop(number) == 0
        assert "Traceback" not in server.output()
        assert "rror" not in server.output().replace("hypercorn.error", "")


async def test_hypercorn_takes_the_config_that_the_environment_names(tmp_path: Path) -> None:
    """`TAVERNKEEP_CONFIG` names the configuration file; relative paths in it are relative to it."""
    elsewhere = tmp_path / "etc"
    elsewhere.mkdir()
    (elsewhere / "tavern.json").write_text(json.dumps({"paths": {"data": "kept"}}))
    run_in = tmp_path / "run"
    run_in.mkdir()
    async with serve(run_in, None, command=HYPERCORN, TAVERNKEEP_CONFIG=str(elsewhere / "tavern.json")) as server:
        assert (await server.http.get("/readyz")).json() == {"ready": True, "problems": {}, "plugins": {}}
        assert (elsewhere / "kept" / "tavernkeep.sqlite3").exists()
        assert list(run_in.iterdir()) == []


@pytest.mark.parametrize("way", ["tavernkeep serve", "hypercorn"])
async def test_a_running_execution_is_interrupted_when_the_server_stops(tmp_path: Path, way: str) -> None:
    """What runs then is given its grace and stopped; where nobody is to go on with it viewers see that, then the socket closes."""
    chat = {"nodes": [{"id": "llm", "fullType": "core:GenericLlmRequest", "inputs": {"messages": _long(), "stream": True}}], "edges": []}
    config = {"llm": {"demoDelayS": 0.05}, "engine": {"shutdownGraceS": 0.1}, "history": {"resume": False}}
    command = {"command": HYPERCORN} if way == "hypercorn" else {}
    async with serve(tmp_path, config, **command) as server, viewer(server.ws_url) as client:
        await client.send("PROMPT_REQUEST", chat)
        await client.until(lambda m: m["type"] == "NODE_YIELD")
        server.process.send_signal(signal.SIGTERM)
        messages = await client.until(is_final)
        assert statuses(messages)[-1] == "interrupted"
        await client.socket.wait_closed()
        assert client.socket.close_code == 1001
        assert await server.stop() == 0
        assert "Traceback" not in server.output()


def _long() -> list[dict[str, str]]:
    return [{"role": "user", "content": "word " * 400}]


async def test_run_gives_what_the_server_gives(tmp_path: Path) -> None:
    """`tavernkeep run` prints the same outputs as the server sends, as JSON on standard output alone."""
    ran = await tavernkeep(tmp_path, "run", str(EXAMPLES / "hello.json"))
    assert (ran.code, json.loads(ran.stdout)) == (0, {"text": "Hello, world!"})
    assert ran.stderr.splitlines()[0] == "[running]"
    assert ran.stderr.splitlines()[-1] == "[complete]"


async def test_run_a_stored_workflow_with_inputs(tmp_path: Path) -> None:
    """A stored workflow runs, its inputs set from the command line; streamed text goes to standard error as it comes."""
    ran = await tavernkeep(tmp_path, "run", str(EXAMPLES / "chat.json"), "--input", "message=one ale", TAVERNKEEP_LLM__DEMO_DELAY_S="0")
    outputs = json.loads(ran.stdout)
    assert ran.code == 0
    assert outputs["live"] == outputs["answer"]
    assert outputs["answer"].startswith("This is the demo model")
    assert outputs["answer"].endswith("one ale")
    assert outputs["answer"] in ran.stderr


async def test_run_reads_standard_input_and_shows_unfed_outputs(tmp_path: Path) -> None:
    """`-` is standard input; a workflow that names no outputs shows those of the nodes that feed no other."""
    payload = {key: value for key, value in HELLO.items() if key != "outputInterfaceMappings"}
    ran = await tavernkeep(tmp_path, "run", "--quiet", "-", stdin=json.dumps(payload).encode())
    assert (ran.code, json.loads(ran.stdout), ran.stderr) == (0, {"louder": {"merged_text": "Hello, world!"}}, "")


@pytest.mark.parametrize(
    ("file", "arguments", "code", "mention"),
    [
        ('{"nodes": 3}', (), 2, "nodes: expected a list, got an integer"),
        ("not json", (), 2, "not valid JSON"),
        ("{}", ("--input", "x=1"), 2, "nodes: is required"),
        ('{"nodes": [], "edges": []}', ("--input", "x=1"), 2, "no input 'x'"),
        ('{"nodes": [], "edges": []}', ("--input", "x"), 2, "KEY=VALUE"),
        ('{"nodes": [{"id": "a", "fullType": "no:such"}], "edges": []}', (), 1, "Unknown node type 'no:such'"),
        (json.dumps({"nodes": [HELLO["nodes"][0], HELLO["nodes"][0] | {"inputs": {}}], "edges": []}), (), 2, "also the id of nodes[0]"),
    ],
)
async def test_run_says_what_is_wrong(tmp_path: Path, file: str, arguments: tuple[str, ...], code: int, mention: str) -> None:
    """A file or an input that is no good is exit code 2, a failed node 1; the reason is on standard error."""
    path = tmp_path / "workflow.json"
    path.write_text(file)
    ran = await tavernkeep(tmp_path, "run", str(path), *arguments)
    assert ran.code == code
    assert mention in ran.stderr
    assert "Traceback" not in ran.stderr


async def test_run_can_be_interrupted(tmp_path: Path) -> None:
    """Ctrl-C ends a run with exit code 130, and outputs that are there are still printed as JSON."""
    chat = {"nodes": [{"id": "llm", "fullType": "core:GenericLlmRequest", "inputs": {"messages": _long(), "stream": True}}], "edges": []}
    (tmp_path / "chat.json").write_text(json.dumps(chat))
    program = (str(BIN / "tavernkeep"), "run", "chat.json")
    process = await asyncio.create_subprocess_exec(*program, cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
    assert process.stderr is not None
    await process.stderr.readuntil(b"This is")
    process.send_signal(signal.SIGINT)
    stdout, stderr = await process.communicate()
    assert (process.returncode, json.loads(stdout)) == (130, {})
    assert b"[interrupted]" in stderr


def assert_one_line(ran: Finished, mention: str) -> None:
    assert ran.code == 1
    assert ran.stdout == ""
    (line,) = ran.stderr.splitlines()
    assert line.startswith("tavernkeep: ")
    assert mention in line


async def test_a_second_server_on_one_data_folder_is_refused(tmp_path: Path) -> None:
    """Two servers never write the same data folder: the second says so and ends. After `kill -9` of the first, the next one starts."""
    async with serve(tmp_path, {}) as server:
        assert_one_line(await tavernkeep(tmp_path, "serve", "--port", "0"), "another server is running on the data folder")
        await server.stop(signal.SIGKILL)
    async with serve(tmp_path, {}) as server:
        assert (await server.http.get("/healthz")).status_code == 200


async def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    """A port that is taken is named, with what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = await tavernkeep(tmp_path, "serve", "--port", str(port))
    assert_one_line(ran, f"cannot listen on 127.0.0.1:{port}")


async def test_a_data_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    """Where the data folder should be there is a file, or a place that takes none."""
    (tmp_path / "data").write_text("in the way")
    assert_one_line(await tavernkeep(tmp_path, "serve", "--port", "0"), "the data folder")
    ran = await tavernkeep(tmp_path, "serve", "--port", "0", config={"paths": {"data": "/proc/nowhere"}})
    assert_one_line(ran, "/proc/nowhere cannot be written")


async def test_a_database_that_is_none_is_one_line(tmp_path: Path) -> None:
    """A file that is no SQLite database is left alone and reported."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "tavernkeep.sqlite3").write_bytes(b"this is no database, " * 100)
    assert_one_line(await tavernkeep(tmp_path, "serve", "--port", "0"), "cannot be opened: file is not a database")
    assert (tmp_path / "data" / "tavernkeep.sqlite3").read_bytes().startswith(b"this is no")


BAD_CONFIGS: list[tuple[Any, str]] = [
    ("{", "at line 1, column 2"),
    ('{"server": {"backend": {"port": 1,}}}', "line 1"),
    ("[]", "expected an object, got a list"),
    ("\xff", "JSON"),
    ({"auth": {"provider": "ldap"}}, "auth.provider is 'ldap', which no active plugin provides; there are: local, multiuser"),
    (
        {"storage": {"provider": "redis"}},
        "storage.provider is 'redis', which no active plugin provides; there are: sqlite; needed by ",
    ),
    ({"execution": {"provider": "ray"}}, "execution.provider is 'ray', which no active plugin provides; there are: embedded"),
    ({"storage": {"url": "postgres://db/x"}}, "storage.url is for 'postgres'"),
    ({"plugins": {"required": ["no_such"]}}, "plugins.required names 'no_such'"),
    ({"plugins": {"required": ["web"], "disabled": ["web"]}}, "web"),
    ({"server": {"backend": {"host": "0.0.0.0"}}}, "must not listen on 0.0.0.0"),
    ({"userManagement": {"accessPasswordHash": "$argon2id$x"}}, "accessPasswordHash is not an argon2 hash"),
    (
        {
            "userManagement": {"accessPasswordHash": "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2g"},
            "plugins": {"disabled": ["guard"]},
        },
        "needs the plugin guard",
    ),
]


@pytest.mark.parametrize(("config", "mention"), BAD_CONFIGS)
async def test_a_wrong_configuration_is_one_line(tmp_path: Path, config: Any, mention: str) -> None:
    """What is wrong with the configuration is said in one line with the place, the exit code is not 0, and there is no traceback."""
    path = tmp_path / "config.json"
    path.write_text(config if isinstance(config, str) else json.dumps(config), encoding="latin-1")
    arguments = ("serve",) if "host" in str(config) else ("serve", "--port", "0")
    ran = await tavernkeep(tmp_path, *arguments)
    assert ran.code != 0
    assert "Traceback" not in ran.stderr
    assert mention in ran.stderr.splitlines()[-1]


@pytest.mark.parametrize("config", ["{", '{"auth": {"provider": "ldap"}}'])
async def test_hypercorn_says_it_in_one_line_too(tmp_path: Path, config: str) -> None:
    """`hypercorn tavernkeep.asgi:app` with a wrong configuration ends with the same line and no traceback.

    The exit code is asked for without a worker process: Hypercorn 0.18 forgets that of a worker that failed.
    """
    (tmp_path / "config.json").write_text(config)
    process = await asyncio.create_subprocess_exec(*HYPERCORN, "--workers", "0", cwd=tmp_path, stderr=asyncio.subprocess.PIPE)
    _, stderr = await process.communicate()
    assert process.returncode != 0
    assert b"Traceback" not in stderr
    assert stderr.count(b"tavernkeep: ") == 1


async def test_hypercorn_with_several_workers_says_that_it_can_have_one(tmp_path: Path) -> None:
    """All but one find the data folder taken, name `--workers`, and so none is left."""
    command = (*HYPERCORN, "--bind", "127.0.0.1:0", "--workers", "2")
    process = await asyncio.create_subprocess_exec(*command, cwd=tmp_path, stderr=asyncio.subprocess.PIPE)
    _, stderr = await process.communicate()
    assert b"Traceback" not in stderr
    assert [line for line in stderr.splitlines() if b"tavernkeep: " in line and b"hypercorn --workers 1" in line]


async def test_every_problem_of_a_configuration_is_listed(tmp_path: Path) -> None:
    """All that is wrong is reported at once: wrong types, values out of range, unknown keys with the nearest known one."""
    config = {
        "server": {"backend": {"port": "80", "hots": "x"}, "frontend": []},
        "execution": {"max_concurrent_workflows": 0},
        "plugins": {"disabled": "web"},
        "engine": {"streamBufer": 5},
        "stroage": {},
    }
    ran = await tavernkeep(tmp_path, "config", "check", config=config)
    assert ran.code == 1
    for mention in (
        "server.backend.port: expected an integer, got a string",
        "server.backend.hots: unknown key; did you mean 'host'?",
        "server.frontend: expected an object, got a list",
        "execution.max_concurrent_workflows: 'max_concurrent_workflows' must be >= 1",
        "plugins.disabled: expected a list, got a string",
        "engine.streamBufer: unknown key; did you mean 'streamBuffer'?",
        "stroage: unknown key; did you mean 'storage'?",
    ):
        assert mention in ran.stderr, mention


async def test_unknown_keys_alone_do_not_stop_the_server(tmp_path: Path) -> None:
    """A key that nobody knows is a warning at start, and `config check` reports it with exit code 1."""
    config = {"server": {"backend": {"prot": 1}}, "someone_elses_plugin": {"x": 1}}
    checked = await tavernkeep(tmp_path, "config", "check", config=config)
    assert checked.code == 1
    assert "server.backend.prot: unknown key; did you mean 'port'?" in checked.stderr
    async with serve(tmp_path, config) as server:
        assert (await server.http.get("/healthz")).status_code == 200
        assert "server.backend.prot" in server.output()


async def test_a_comfytavern_configuration_is_taken_as_it_is(tmp_path: Path) -> None:
    """The keys of an existing installation are known, and in force."""
    config = {
        "server": {"backend": {"host": "127.0.0.1", "port": 3233}, "frontend": {"port": 5573, "baseUrl": "http://localhost:5573"}},
        "execution": {"max_concurrent_workflows": 3, "logDir": "logs/executions"},
        "customPluginsPaths": ["plugins"],
        "userManagement": {"multiUserMode": False, "accessPasswordHash": None},
        "security": {
            "enableCredentialEncryption": True,
            "masterEncryptionKeyValue": "0" * 64,
            "corsAllowedOrigins": ["http://localhost:5573"],
            "panelDevOrigins": [],
            "backendPanel": {"enableAuth": False, "username": "a", "password": "b"},
        },
    }
    assert (await tavernkeep(tmp_path, "config", "check", config=config)).code == 0
    shown = await tavernkeep(tmp_path, "config", "show")
    assert "0" * 64 not in shown.stdout
    assert json.loads(shown.stdout)["security"]["masterEncryptionKeyValue"] == "***"
    async with serve(tmp_path) as server:
        assert (await server.http.get("/api/system_stats")).json()["maxConcurrentWorkflows"] == 3


async def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    """Each key can be set by an environment variable, and a secret one from a file."""
    (tmp_path / "key").write_text("from-a-file\n")
    shown = await tavernkeep(
        tmp_path,
        "config",
        "show",
        config={"execution": {"max_concurrent_workflows": 3}, "plugins": {"disabled": ["a"]}},
        TAVERNKEEP_EXECUTION__MAX_CONCURRENT_WORKFLOWS="9",
        TAVERNKEEP_SERVER__BACKEND__PORT="4000",
        TAVERNKEEP_PLUGINS__DISABLED="x, y",
        TAVERNKEEP_AUTH__LOCAL__ALLOW_INSECURE="true",
        TAVERNKEEP_SECURITY__MASTER_ENCRYPTION_KEY_VALUE_FILE=str(tmp_path / "key"),
    )
    found = json.loads(shown.stdout)
    assert found["execution"]["max_concurrent_workflows"] == 9
    assert found["server"]["backend"]["port"] == 4000
    assert found["plugins"]["disabled"] == ["x", "y"]
    assert found["auth"]["local"]["allowInsecure"] is True
    assert found["security"]["masterEncryptionKeyValue"] == "***"


async def test_the_shipped_configuration_holds_every_key_at_its_default(tmp_path: Path) -> None:
    """`config.json` is what `config show` prints with no configuration at all, and fits the schema's keys."""
    shown = await tavernkeep(tmp_path, "config", "show")
    shipped = json.loads((EXAMPLES.parent / "config.json").read_text())
    assert shipped == json.loads(shown.stdout)
    schema = json.loads((await tavernkeep(tmp_path, "config", "schema")).stdout)
    assert set(shipped) == set(schema["properties"]) - {"$schema"}


async def test_migrate_says_and_does(tmp_path: Path) -> None:
    """`migrate --dry-run` says what would be done and does nothing; `migrate` does it once."""
    would = await tavernkeep(tmp_path, "migrate", "--dry-run")
    assert "would apply accounts 0_" in would.stdout
    did = await tavernkeep(tmp_path, "migrate")
    assert did.stdout == would.stdout.replace("would apply", "applied")
    assert (await tavernkeep(tmp_path, "migrate")).stdout == "the database is up to date\n"


async def test_commands_that_tell(tmp_path: Path) -> None:
    """`version`, `plugins`, `nodes` and `nodes TYPE` tell what is there."""
    assert (await tavernkeep(tmp_path, "version")).stdout.startswith("tavernkeep ")
    listed = json.loads((await tavernkeep(tmp_path, "plugins", "--json")).stdout)
    assert {plugin["status"] for plugin in listed} == {"active"}
    assert "core:TextMerge" in (await tavernkeep(tmp_path, "nodes")).stdout
    shown = json.loads((await tavernkeep(tmp_path, "nodes", "core:TextMerge")).stdout)
    assert shown["inputs"]["text_inputs"]["multi"] is True
    missing = await tavernkeep(tmp_path, "nodes", "core:NoSuch")
    assert missing.code == 1
    assert "core:NoSuch" in missing.stderr


async def test_the_chat_example_streams_over_the_socket(tmp_path: Path) -> None:
    """With nothing configured the demo model answers, chunk by chunk, and says that it is one."""
    payload = {"nodes": [{"id": "llm", "fullType": "core:GenericLlmRequest"}], "edges": []}
    payload["nodes"][0]["inputs"] = {"messages": [{"role": "user", "content": "hello"}], "stream": True}  # type: ignore[index]
    async with serve(tmp_path, {"llm": {"demoDelayS": 0}}) as server, viewer(server.ws_url) as client:
        messages = await client.run(payload)
    assert statuses(messages) == ["running", "complete"]
    assert text_of(messages, "llm").startswith("This is the demo model of tavernkeep")
    assert text_of(messages, "llm").endswith("hello")
    assert len([m for m in messages if m["type"] == "NODE_YIELD"]) > 10
