"""Ten thousand odd cases each for HTTP, the WebSocket, payloads, pictures and configurations: no crash, no 500, no hang, no leak."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from support.client import viewer
from support.users import Town, town
from tavernkeep.app import Application
from tavernkeep.config import ConfigError, ConfigSource, Configuration
from tavernkeep.contracts.execution import Refused
from tavernkeep.contracts.nodes import NodeRegistry
from tavernkeep.contracts.services import Services
from tavernkeep.contracts.workflow import WorkflowPayload
from tavernkeep.testing import PATIENCE_S
from tavernkeep.wire import Invalid, dumps, structure
from tavernkeep_characters.cards import read_card
from tavernkeep_characters.contracts import CardError
from tavernkeep_engine.plan.compile import compile_plan

BATCH: Final = 100
CASES: Final = 10_000
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
many = settings(
    max_examples=CASES,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much, HealthCheck.large_base_example],
)
in_batches = settings(many, max_examples=CASES // BATCH)

ODD_TEXTS = [
    "",
    " ",
    "\x00",
    "\n",
    "..",
    "/",
    "\\",
    "%",
    "%00",
    "%2e%2e",
    "null",
    "-1",
    "1e999",
    "__proto__",
    "ctsk",
    "中文",
    "🎭",
    "\u202e",
    "a" * 5000,
]
texts = st.one_of(st.sampled_from(ODD_TEXTS), st.text(max_size=20))
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts)
values = st.recursive(
    scalars, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)), max_leaves=12
)


@pytest_asyncio.fixture(scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    """A server in multi-user mode that logs what is worth it."""
    config = {"logging": {"level": "error"}, "engine": {"executionTimeoutS": 2}, "guard": {"requestsPerMinute": 0}}
    async with town(tmp_path_factory.mktemp("town"), config) as running:
        yield running


def descriptors(place: Town) -> int:
    return len(os.listdir(f"/proc/{place.server.process.pid}/fd"))


async def unharmed(place: Town, before: int) -> None:
    """It answers, has logged no failure, and holds no more descriptors than before."""
    async with asyncio.timeout(PATIENCE_S):
        while descriptors(place) > before + 5:
            await asyncio.sleep(0.2)
    assert (await place.admin.http.get("/readyz")).status_code == 200
    assert "Traceback" not in place.server.output()
    assert "Task" not in place.server.output()


def routes_of(place: Town, document: dict[str, Any]) -> list[tuple[str, str, list[str]]]:
    """Method, path and body fields of every operation but those that would end the fuzzing."""
    found = []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if path in ("/api/server/restart", "/api/auth/logout", "/api/auth/sessions", "/api/auth/password") or "/state" in path:
                continue
            schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            if "$ref" in schema:
                schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
            found.append((method.upper(), path, sorted(schema.get("properties", {}))))
    return found


async def test_http(place: Town) -> None:
    """Every route, with odd paths, queries and bodies, as an administrator: the one whom nothing is refused for want of a scope."""
    document = (await place.admin.http.get("/api/openapi.json")).json()
    routes = routes_of(place, document)
    before = descriptors(place)

    async def send(case: tuple[int, list[str], dict[str, str], Any, list[Any], bool]) -> None:
        index, parts, query, odd, fields, fits = case
        method, path, names = routes[index % len(routes)]
        for part in parts:
            start, end = path.find("{"), path.find("}")
            if start < 0:
                break
            path = path[:start] + quote(part, safe="") + path[end + 1 :]
        path = path.replace("{", "x").replace("}", "x")
        if path.startswith(("/api/users/me/username", "/api/admin/users")):
            fits = False  # the administrator stays who they are
        body = dict(zip(names, fields, strict=False)) if fits and names else odd
        content = None if method in ("GET", "DELETE") else dumps(body)
        async with place.admin.http.stream(
            method, path, params=query, content=content, headers={"Content-Type": "application/json"}
        ) as answer:
            assert answer.status_code != 500, (method, path, query, body)

    case = st.tuples(
        st.integers(0, 10_000),
        st.lists(texts.map(lambda text: text or "x"), min_size=4, max_size=4),
        st.dictionaries(st.sampled_from(["projectId", "limit", "after", "cursor", "status", "ensureExists", "x"]), texts, max_size=3),
        values,
        st.lists(values, max_size=8),
        st.booleans(),
    )
    loop = asyncio.get_running_loop()

    @in_batches
    @given(st.lists(case, min_size=BATCH, max_size=BATCH))
    def fuzz(cases: list[Any]) -> None:
        async def all_of_them() -> None:
            limit = asyncio.Semaphore(8)

            async def one(case: Any) -> None:
                async with limit:
                    await send(case)

            async with asyncio.TaskGroup() as group:
                for case in cases:
                    group.create_task(one(case))

        asyncio.run_coroutine_threadsafe(all_of_them(), loop).result(300)

    await asyncio.to_thread(fuzz)
    await unharmed(place, before)


async def test_websocket(place: Town) -> None:
    """Every message with odd payloads, and frames that are none: an error at most; the socket stays."""
    before = descriptors(place)
    types = ["PROMPT_REQUEST", "INTERRUPT_REQUEST", "NODE_INPUT", "SUBSCRIBE", "UNSUBSCRIBE", "HELLO", "button_click", "x", ""]
    keys = ["promptId", "nodeId", "value", "after", "batch", "nodes", "edges", "requestId", "buttonName", "nodeType", "metadata"]
    message = st.one_of(
        st.tuples(st.sampled_from(types), st.one_of(values, st.dictionaries(st.sampled_from(keys), values))).map(
            lambda entry: json.dumps({"type": entry[0], "payload": entry[1]})
        ),
        values.map(json.dumps),
        texts,
    )
    loop = asyncio.get_running_loop()

    @in_batches
    @given(st.lists(message, min_size=BATCH, max_size=BATCH))
    def fuzz(messages: list[str]) -> None:
        async def all_of_them() -> None:
            async with viewer(place.server.ws_url, additional_headers=place.admin.cookie) as client:
                for text in messages:
                    await client.socket.send(text.encode("utf-8", "replace").decode())
                await client.send("NOT_A_MESSAGE:the end")
                while "NOT_A_MESSAGE:the end" not in str(await client.receive_any()):
                    pass

        asyncio.run_coroutine_threadsafe(all_of_them(), loop).result(300)

    await asyncio.to_thread(fuzz)
    await unharmed(place, before)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> NodeRegistry:
    """All node types that are installed."""
    app = Application.load(ConfigSource.read(tmp_path_factory.mktemp("registry") / "config.json", {}))
    app.plugins.call("register_services", app=app, services=Services())
    app.collect_nodes()
    return app.nodes


def test_payloads(registry: NodeRegistry) -> None:
    """Whatever has the shape of a payload compiles, or is refused with the place; what has not is refused with the place."""
    kinds = st.one_of(st.sampled_from(sorted(definition.full_type for definition in registry)), texts)
    ids = st.sampled_from(["a", "b", "c", "", "é"])
    handles = st.one_of(st.sampled_from(["output", "text_inputs", "text_inputs__0", "x__1__2", "a__", "__0", "x__²"]), texts)
    node = st.fixed_dictionaries(
        {"id": ids, "fullType": kinds},
        optional={
            "inputs": st.one_of(values, st.dictionaries(handles, values)),
            "configValues": st.dictionaries(handles, values),
            "bypassed": st.booleans(),
            "inputConnectionOrders": st.dictionaries(handles, st.lists(ids)),
        },
    )
    edge = st.fixed_dictionaries(
        {"sourceNodeId": ids, "sourceHandle": handles, "targetNodeId": ids, "targetHandle": handles}, optional={"id": ids}
    )
    payload = st.one_of(
        values,
        st.fixed_dictionaries(
            {"nodes": st.lists(node, max_size=6), "edges": st.lists(edge, max_size=8)},
            optional={"targetNodeIds": st.lists(ids), "metadata": values, "outputInterfaceMappings": values, "priority": values},
        ),
    )

    @many
    @given(payload)
    def fuzz(data: Any) -> None:
        try:
            compile_plan(structure(data, WorkflowPayload), registry, {})
        except Invalid as invalid:
            assert all(problem.message for problem in invalid.problems)
        except Refused as refused:
            assert refused.problems

    fuzz()


CARDS = [b"chara\0e30=", b"ccv3\0e30=", b"chara\0bnVsbA==", b"ccv3\0\xff", b"chara", b"chara\0=="]


def test_pictures() -> None:
    """Chunks of any length, kind and content, cut off anywhere: a card, or an error that says why there is none."""
    chunk = st.tuples(
        st.one_of(st.integers(0, 2**32 - 1), st.none()),
        st.sampled_from([b"tEXt", b"zTXt", b"iTXt", b"IHDR", b"IEND", b"IDAT", b"abcd"]),
        st.one_of(
            st.binary(max_size=40),
            st.sampled_from([b"chara\0e30=", b"ccv3\0e30=", b"chara\0bnVsbA==", b"ccv3\0\xff", b"chara", b"chara\0=="]),
        ),
    )

    @many
    @given(st.lists(chunk, max_size=6), st.integers(0, 400), st.binary(max_size=20), st.booleans())
    def fuzz(chunks: list[tuple[int | None, bytes, bytes]], cut: int, tail: bytes, is_png: bool) -> None:
        data = b"\x89PNG\r\n\x1a\n" if is_png else b""
        for length, kind, body in chunks:
            data += (len(body) if length is None else length).to_bytes(4, "big") + kind + body + b"\0\0\0\0"
        try:
            assert isinstance(read_card(data[: cut or None] + tail), dict)
        except CardError as error:
            assert str(error)

    fuzz()


def test_configurations(tmp_path: Path) -> None:
    """Any JSON, any variable: a configuration, or errors that name their places."""
    app = Application.load(ConfigSource.read(tmp_path / "config.json", {}))
    paths = [path for path in app.config.to_wire() if isinstance(path, str)]
    keys = st.one_of(st.sampled_from([*paths, "backend", "port", "host", "provider", "disabled", "multiuser", "$schema"]), texts)
    tree = st.recursive(values, lambda inner: st.dictionaries(keys, inner, max_size=5), max_leaves=15)
    names = st.sampled_from(
        ["SERVER__BACKEND__PORT", "AUTH__PROVIDER", "PLUGINS__DISABLED", "LOGGING__LEVEL", "X", "STORAGE__URL_FILE", "__", "PATHS"]
    )
    file = tmp_path / "fuzzed.json"

    @many
    @given(
        st.one_of(st.dictionaries(keys, tree, max_size=5).map(dumps), tree.map(dumps), st.binary(max_size=60)),
        st.dictionaries(names, texts),
    )
    def fuzz(data: bytes, variables: dict[str, str]) -> None:
        file.write_bytes(data)
        environment = {f"TAVERNKEEP_{name}": text.replace("\x00", "") for name, text in variables.items()}
        try:
            source = ConfigSource.read(file, environment)
            source.plugin_folders()
            assert isinstance(source.resolve(app.sections), Configuration)
        except ConfigError as error:
            assert error.problems

    fuzz()
