"""Whatever a node gives, on a real server: it is told as plain data or the node fails; viewers stay, the history goes on recording."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from support.client import Viewer, is_final, of_node, output_of, statuses, viewer
from support.plugins import install, on_path
from support.server import Server, serve

PACK = '''
    """Nodes that give a value of any kind, in every way in which a node can give one."""

    import collections
    import dataclasses
    import datetime
    import enum
    import sys
    import threading
    from collections.abc import AsyncIterator
    from pathlib import Path
    from typing import Annotated, Any

    import attrs
    import numpy as np

    from tavernkeep import Chunk, DataFlowType, NodeContext, NodeDefinition, NodeFailure, Outputs, Slot, Stream, hookimpl, node


    class Text(str):
        def __str__(self) -> str:
            raise RuntimeError("no text")


    class Closed(dict):
        def items(self):
            raise RuntimeError("no items")


    class Hostile:
        def __getattr__(self, name):
            raise SystemExit(name)

        def __str__(self) -> str:
            raise SystemExit("str")

        __repr__ = __str__


    class Classless:
        @property
        def __class__(self):
            raise SystemExit("class")


    class Shy(NodeFailure):
        @property
        def __class__(self):
            raise KeyboardInterrupt

        retryable = slot = property(lambda self: sys.exit(1), lambda self, value: None)


    class Colour(enum.Enum):
        RED = "red"


    @attrs.frozen
    class Point:
        x: int
        y: int


    @dataclasses.dataclass
    class Pair:
        left: object
        right: object


    def loop():
        found = []
        found.append(found)
        return found


    def laughs():
        found = ["ha"]
        for _ in range(60):
            found = [found] * 10
        return found


    VALUES = {
        "numpy scalar": lambda: np.float64(1.5),
        "numpy array": lambda: np.arange(4).reshape(2, 2),
        "numpy in a list": lambda: [{"a": np.int64(3)}],
        "set": lambda: {3, 1, 2},
        "tuple": lambda: (1, ("a",)),
        "attrs": lambda: Point(1, 2),
        "dataclass": lambda: Pair(1, Pair({"x"}, None)),
        "enum": lambda: Colour.RED,
        "date": lambda: datetime.date(2026, 1, 2),
        "bytes": lambda: b"\\\\x00\\\\xff",
        "nan": lambda: [float("nan"), float("inf")],
        "number keys": lambda: {1: "a", True and 2: "b"},
        "text": lambda: Text("text"),
        "closed": lambda: Closed(a=1),
        "surrogate": lambda: "half \\\\ud83d",
        "large integer": lambda: 2**70,
        "huge text": lambda: "x" * 3_000_000,
        "cyclic": loop,
        "huge integer": lambda: [10**10000],
        "huge": lambda: [["x" * 1024] * 1024] * 1024,
        "laughs": laughs,
        "generator": lambda: (n for n in ()),
        "lock": lambda: {"deep": [threading.Lock()]},
        "object": object,
        "hostile": Hostile,
        "no class": Classless,
        "colliding": lambda: {1: "a", "1": "b"},
        "array of objects": lambda: np.array([object()]),
        "huge array": lambda: np.zeros(10**8, dtype=np.int8),
    }


    @node("give:Inline", inline=True)
    def inline(kind: str) -> Any:
        return VALUES[kind]()


    @node("give:Thread")
    def thread(kind: str) -> Any:
        return VALUES[kind]()


    @node("give:Async")
    async def async_(kind: str) -> Any:
        return VALUES[kind]()


    @node("give:Process", process=True)
    def process(kind: str) -> Any:
        return VALUES[kind]()


    @node("give:Batch", outputs={"text": Slot(DataFlowType.STRING, is_stream=True), "output": Slot()})
    async def batch(kind: str) -> AsyncIterator[str | Outputs]:
        yield "chunk"
        yield Outputs(output=VALUES[kind]())


    @node("give:Chunk")
    async def chunk(kind: str) -> AsyncIterator[Any]:
        yield VALUES[kind]()


    @node("give:Progress")
    async def progress(context: NodeContext, kind: str) -> None:
        context.progress(VALUES[kind](), VALUES[kind]())


    @node("give:Ask")
    async def ask(context: NodeContext, kind: str) -> Any:
        return await context.ask(question="?", data=VALUES[kind]())


    @node("give:Raise")
    async def raise_(kind: str) -> None:
        raise NodeFailure(VALUES[kind](), slot=VALUES[kind](), retryable=VALUES[kind]())


    @node("give:RaiseShy", inline=True)
    def raise_shy() -> None:
        raise Shy("shy")


    @node("give:Hide")
    def hide(context: NodeContext, kind: str) -> None:
        context.hide(VALUES[kind]())


    @node("give:Sort", output="sorted")
    def sort(items: list) -> list:
        items.sort()
        return items


    SHARED = [3, 1, 2]


    @node("give:Shared", output="items")
    def shared() -> list:
        return SHARED


    @node("give:Spoil", output="items")
    def spoil(after: Any) -> list:
        SHARED.append("spoilt")
        return SHARED


    @node("give:Secret")
    def secret(context: NodeContext, key: str) -> dict:
        context.hide(key)
        return {"set": {key}, "tuple": (key,), "attrs": Pair(key, [key]), "keys": {key: 1}, "bytes": key.encode(), "text": Text(key)}


    class Client:
        """Open."""


    @node("give:Open", outputs={"client": Slot(live=True)})
    def open_(file: str = "") -> dict:
        if file:
            with open(file, "a") as tally:
                tally.write("opened ")
        return {"client": Client()}


    @node("give:Use")
    def use(client: Annotated[Any, Slot(live=True)]) -> str:
        return type(client).__name__


    @node("give:Take")
    def take(client: Any) -> str:
        return type(client).__name__


    @node("give:Fill")
    def fill(count: int = 1) -> Any:
        return {"text": "x" * count}


    @hookimpl
    def register_nodes():
        return [
            inline, thread, async_, process, batch, chunk, progress, ask, raise_, raise_shy, hide, sort, shared, spoil, secret, open_,
            use, take, fill,
        ]
'''.replace("\\\\x", "\\x").replace("\\\\u", "\\u")

TOLD: dict[str, Any] = {
    "numpy scalar": 1.5,
    "numpy array": [[0, 1], [2, 3]],
    "numpy in a list": [{"a": 3}],
    "set": [1, 2, 3],
    "tuple": [1, ["a"]],
    "attrs": {"x": 1, "y": 2},
    "dataclass": {"left": 1, "right": {"left": ["x"], "right": None}},
    "enum": "red",
    "date": "2026-01-02",
    "bytes": "AP8=",
    "nan": [None, None],
    "number keys": {"1": "a", "2": "b"},
    "text": "text",
    "closed": {"a": 1},
    "surrogate": "half �",
    "large integer": 2**70,
    "huge text": "x" * 3_000_000,
}
REFUSED: dict[str, str] = {
    "cyclic": "contains itself",
    "huge integer": "[0] is an integer of 33,220 bits; 13,000 is the most",
    "huge": "16,000,000 is the most for one value (engine.maxValueBytes)",
    "laughs": "16,000,000 is the most for one value (engine.maxValueBytes)",
    "generator": "is of the class generator, which is no data",
    "lock": ".deep[0] is of the class lock, which is no data",
    "object": "is of the class object, which is no data",
    "hostile": "is of the class Hostile, which is no data",
    "no class": "class",
    "colliding": "has two keys that both become '1'",
    "array of objects": "[0] is of the class object, which is no data",
    "huge array": "bytes, and 16,000,000 is the most for one value (engine.maxValueBytes)",
}
WAYS = ("Inline", "Thread", "Async", "Process", "Batch")
CONFIG = {"engine": {"maxValueBytes": 16_000_000, "shutdownGraceS": 0}}


@pytest_asyncio.fixture(scope="module")
async def giving(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """A server with nodes that give anything."""
    path = on_path(install(tmp_path_factory.mktemp("packs"), "give", PACK))
    async with serve(tmp_path_factory.mktemp("giving"), CONFIG, **path) as running:
        yield running


def graph(*nodes: tuple[str, str, dict[str, Any]], edges: tuple[tuple[str, str, str, str], ...] = ()) -> dict[str, Any]:
    return {
        "nodes": [{"id": id_, "fullType": f"give:{type_}", "inputs": inputs} for id_, type_, inputs in nodes],
        "edges": [
            {"id": f"e{number}", "sourceNodeId": source, "sourceHandle": out, "targetNodeId": target, "targetHandle": slot}
            for number, (source, out, target, slot) in enumerate(edges)
        ],
    }


def failure(messages: list[dict[str, Any]], node: str) -> str:
    (error,) = [message for message in of_node(messages, node) if message["type"] == "NODE_ERROR"]
    message: str = error["payload"]["errorDetails"]["message"]
    return message


async def recorded(server: Server, id_: str) -> dict[str, Any]:
    """An execution as the history has it."""
    while (found := (await server.http.get(f"/api/history/{id_}")).json()["execution"])["status"] not in ("complete", "error"):
        pass
    result: dict[str, Any] = found
    return result


async def run(client: Viewer, payload: dict[str, Any]) -> tuple[str, list[dict[str, Any]]]:
    messages = await client.run(payload)
    return messages[0]["payload"]["promptId"], messages


@pytest.mark.parametrize("kind", TOLD)
async def test_what_is_data_is_told_and_recorded_as_plain_data(giving: Server, kind: str) -> None:
    """The same in every way in which a node can give it: to viewers early and late, and in the history."""
    async with viewer(giving.ws_url) as client, viewer(giving.ws_url) as other:
        id_, messages = await run(client, graph(*((way, way, {"kind": kind}) for way in (*WAYS, "Chunk"))))
        await other.send("SUBSCRIBE", {"promptId": id_, "after": 0})
        seen = [await other.receive()]
        while not is_final(seen[-1]):
            seen.append(await other.receive())
    assert statuses(messages)[-1] == "complete"
    kept = (await recorded(giving, id_))["nodeStatus"]
    for way in WAYS:
        assert output_of(messages, way) == {"output": TOLD[kind]} == output_of(seen, way) == kept[way]["output"]
    chunks = [m["payload"]["yieldedContent"]["content"] for m in of_node(messages, "Chunk") if m["type"] == "NODE_YIELD"]
    assert TOLD[kind] in chunks


@pytest.mark.parametrize("kind", REFUSED)
async def test_what_is_no_data_is_that_nodes_failure(giving: Server, kind: str) -> None:
    """In every way; its message says where in the value and why, viewers stay, and the next execution runs and is recorded."""
    async with viewer(giving.ws_url) as client:
        id_, messages = await run(client, graph(*((way, way, {"kind": kind}) for way in (*WAYS, "Chunk", "Progress", "Ask"))))
        assert statuses(messages)[-1] == "error"
        for way in (*WAYS, "Chunk", "Ask"):
            assert REFUSED[kind] in failure(messages, way), way
        assert failure(messages, "Progress")
        assert (await recorded(giving, id_))["nodeStatus"]["Inline"]["status"] == "error"
        next_id, after = await run(client, graph(("fine", "Fill", {})))
        assert statuses(after)[-1] == "complete"
    assert (await recorded(giving, next_id))["nodeStatus"]["fine"]["output"] == {"output": {"text": "x"}}
    assert (await giving.http.get("/readyz")).status_code == 200


@pytest.mark.parametrize("kind", [*TOLD, *REFUSED])
async def test_a_failure_may_be_of_anything(giving: Server, kind: str) -> None:
    """What is raised with a message, a slot and a retryable of any kind is told, and recorded."""
    async with viewer(giving.ws_url) as client:
        id_, messages = await run(client, graph(("raise", "Raise", {"kind": kind})))
    assert statuses(messages)[-1] == "error"
    assert len(failure(messages, "raise")) <= 10_001
    assert (await recorded(giving, id_))["status"] == "error"


async def test_a_failure_that_cannot_be_looked_at_is_told(giving: Server) -> None:
    """One whose attributes, and whose class even, are code that would end the server."""
    async with viewer(giving.ws_url) as client:
        _, messages = await run(client, graph(("shy", "RaiseShy", {})))
        assert failure(messages, "shy") == "shy"
        _, after = await run(client, graph(("fine", "Fill", {})))
    assert statuses(after)[-1] == "complete"


@pytest.mark.parametrize("kind", ["object", "numpy scalar", "tuple", "hostile"])
async def test_what_is_no_text_is_no_secret(giving: Server, kind: str) -> None:
    """The node fails, and what it wanted hidden is in the way of nobody who looks at the execution."""
    async with viewer(giving.ws_url) as client:
        id_, messages = await run(client, graph(("hide", "Hide", {"kind": kind}), ("fine", "Fill", {})))
    assert "requires a 'str' object" in failure(messages, "hide")
    assert (await giving.http.get(f"/api/prompt/{id_}")).json()["nodeStatus"]["fine"]["status"] == "complete"


async def test_what_was_told_stays_as_it_was(giving: Server) -> None:
    """Neither a later node that sorts a list in place, nor the one that gave it and holds it still, changes what is told."""
    payload = graph(
        ("shared", "Shared", {}),
        ("sort", "Sort", {}),
        ("spoil", "Spoil", {}),
        ("again", "Take", {}),
        edges=(("shared", "items", "sort", "items"), ("sort", "sorted", "spoil", "after"), ("shared", "items", "again", "client")),
    )
    async with viewer(giving.ws_url) as client:
        id_, messages = await run(client, payload)
    kept = (await recorded(giving, id_))["nodeStatus"]
    detail = (await giving.http.get(f"/api/prompt/{id_}")).json()["nodeStatus"]
    for told in (kept, detail):
        assert told["shared"]["output"] == {"items": [3, 1, 2]} == output_of(messages, "shared")
        assert told["sort"]["output"] == {"sorted": [1, 2, 3]}


async def test_secrets_are_hidden_in_every_container(giving: Server) -> None:
    """In sets, tuples, objects, keys and bytes, for viewers, in answers and in the history."""
    secret = "sk-planted-0123456789"
    payload = graph(("secret", "Secret", {"key": secret}))
    payload["outputInterfaceMappings"] = {"out": {"sourceNodeId": "secret", "sourceSlotKey": "output"}}
    async with viewer(giving.ws_url) as client:
        id_, messages = await run(client, payload)
    told = {
        "set": ["***"],
        "tuple": ["***"],
        "attrs": {"left": "***", "right": ["***"]},
        "keys": {"***": 1},
        "bytes": "Kioq",
        "text": "***",
    }
    assert output_of(messages, "secret") == {"output": told}
    detail = (await giving.http.get(f"/api/prompt/{id_}")).json()
    assert detail["outputs"] == {"out": told}
    for text in (json.dumps(messages), json.dumps(detail), json.dumps(await recorded(giving, id_))):
        assert secret not in text


async def test_live_values_go_from_live_slot_to_live_slot(giving: Server) -> None:
    """As they are, and are described to viewers; a slot that does not say so takes none."""
    payload = graph(
        ("open", "Open", {}),
        ("use", "Use", {}),
        ("take", "Take", {}),
        edges=(("open", "client", "use", "client"), ("open", "client", "take", "client")),
    )
    async with viewer(giving.ws_url) as client:
        id_, messages = await run(client, payload)
    assert output_of(messages, "open") == {"client": "<Client>"}
    assert output_of(messages, "use") == {"output": "Client"}
    assert failure(messages, "take") == "Input 'client' of node take takes no live value, which open.client gives"
    assert (await giving.http.get(f"/api/prompt/{id_}")).json()["nodeStatus"]["open"]["output"] == {"client": "<Client>"}
    assert (await recorded(giving, id_))["nodeStatus"]["open"]["output"] == {"client": "<Client>"}


async def test_a_resumed_execution_opens_live_values_again(giving: Server, tmp_path: Path) -> None:
    """Everything else that completed does not run again."""
    tally = tmp_path / "tally"
    payload = graph(
        ("open", "Open", {"file": str(tally)}),
        ("take", "Take", {}),
        ("bytes", "Thread", {"kind": "bytes"}),
        edges=(("open", "client", "take", "client"),),
    )
    async with viewer(giving.ws_url) as client:
        id_, _ = await run(client, payload)
        await recorded(giving, id_)
        again = (await giving.http.post(f"/api/prompt/{id_}/resume")).json()["promptId"]
    detail = await recorded(giving, again)
    assert detail["nodeStatus"]["bytes"]["output"] == {"output": "AP8="}
    assert tally.read_text().split() == ["opened", "opened"]


async def test_an_execution_holds_so_much_and_no_more(tmp_path: Path) -> None:
    """The node that gives more fails, with the size, the bound and its name; its neighbours go on."""
    path = on_path(install(tmp_path / "packs", "give", PACK))
    async with serve(tmp_path, {"engine": {"maxExecutionBytes": 3_500_000}}, **path) as server, viewer(server.ws_url) as client:
        _, messages = await run(client, graph(*((f"n{number}", "Fill", {"count": 1_000_000}) for number in range(5))))
        failed = [m["payload"]["errorDetails"]["message"] for m in messages if m["type"] == "NODE_ERROR"]
        assert len(failed) == 2
        assert all("3,500,000 bytes of values that an execution may hold (engine.maxExecutionBytes)" in message for message in failed)
        _, after = await run(client, graph(("fine", "Fill", {})))
    assert statuses(after)[-1] == "complete"


async def test_all_executions_hold_so_much_and_no_more(tmp_path: Path) -> None:
    """Those that have ended are forgotten first, the oldest before others."""
    path = on_path(install(tmp_path / "packs", "give", PACK))
    config = {"engine": {"maxRetainedBytes": 10_000_000, "keptOutputBytes": 10_000_000}, "plugins": {"disabled": ["history"]}}
    async with serve(tmp_path, config, **path) as server, viewer(server.ws_url) as client:
        ids = [(await run(client, graph(("n", "Fill", {"count": 4_000_000}))))[0] for _ in range(4)]
        found = [(await server.http.get(f"/api/prompt/{id_}")).status_code for id_ in ids]
        assert found == [404, 404, 200, 200]
        _, messages = await run(client, graph(("n", "Fill", {"count": 11_000_000})))
        assert "10,000,000 bytes of all executions in memory (engine.maxRetainedBytes)" in failure(messages, "n")
