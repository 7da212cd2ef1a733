"""What several people do with a server at the same time: they run workflows, watch them, look at lists, chat, and send files to and fro."""

import asyncio
import json
import random
import time
from collections import Counter, defaultdict, deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import attrs
from websockets.exceptions import ConnectionClosed

from support.client import Message, is_final, text_of, viewer
from support.large import TEXT
from support.server import Server

_EXAMPLES: Final = Path(__file__).parents[2] / "examples"
_PAUSE_S: Final = 0.1  # of whoever asks over HTTP, between two requests
_READ_S: Final = 0.02  # that a slow viewer takes for a message
_SLOW: Final = 3
_WORDS: Final = 200
_MODEL: Final = f"echo-{_WORDS}-0"
_SAID: Final = "".join(f"t{number} " for number in range(_WORDS))
_PROJECT: Final = "load"
_SHOUT: Final = {
    "name": "shout",
    "nodes": [
        {"id": "in", "type": "core:GroupInput", "position": {"x": 0, "y": 0}},
        {"id": "loud", "type": "core:TextMerge", "position": {"x": 0, "y": 0}, "inputValues": {"separator": "!"}},
        {"id": "out", "type": "core:GroupOutput", "position": {"x": 0, "y": 0}},
    ],
    "edges": [
        {"id": "e1", "source": "in", "sourceHandle": "word", "target": "loud", "targetHandle": "text_inputs__0"},
        {"id": "e2", "source": "loud", "sourceHandle": "merged_text", "target": "out", "targetHandle": "text"},
    ],
    "viewport": {"x": 0, "y": 0, "zoom": 1},
    "interfaceInputs": {"word": {"key": "word", "dataFlowType": "STRING", "displayName": "Word"}},
    "interfaceOutputs": {"text": {"key": "text", "dataFlowType": "STRING", "displayName": "Text"}},
}


def workflows() -> dict[str, dict[str, Any]]:
    """The kinds of workflows, each as a client sends it; what streams asks the service of `support.llm`."""
    example = {name: json.loads((_EXAMPLES / f"{name}.json").read_text("utf-8")) for name in ("two-greetings", "greeting")}
    merge = [{"id": f"n{i}", "fullType": "core:TextMerge", "inputs": {"separator": "-", "text_inputs": ["x"]}} for i in range(3)]
    chain = [
        {"sourceNodeId": f"n{i}", "sourceHandle": "merged_text", "targetNodeId": f"n{i + 1}", "targetHandle": "text_inputs__0"}
        for i in range(2)
    ]
    large = [{**merge[0], "inputs": {"text_inputs": [TEXT]}}, *merge[1:]]
    ask = {"messages": [{"role": "user", "content": "hi"}], "activated_model_id": _MODEL, "stream": True}
    greet = {"id": "greet", "fullType": "core:NodeGroup", "inputs": {"one": "Ada", "two": "Bo"}}
    words = {"id": "map", "fullType": "flow:Map", "inputs": {"items": [f"word {i}" for i in range(20)]}}
    return {
        "small": {"nodes": merge, "edges": chain},
        "large": {"nodes": large, "edges": chain},
        "stream": {"nodes": [{"id": "ask", "fullType": "core:GenericLlmRequest", "inputs": ask}], "edges": []},
        "group": {"nodes": [greet | {"configValues": {"referencedWorkflowId": "two-greetings"}}], "edges": [], "workflows": example},
        "map": {"nodes": [words | {"configValues": {"referencedWorkflowId": "shout"}}], "edges": [], "workflows": {"shout": _SHOUT}},
    }


@attrs.define(eq=False)
class Load:
    """Everybody, until they are stopped.

    Attributes:
        server: Whose language models are those of `support.llm`.
        sockets: How many run one workflow after the other.
        ended: How many workflows have completed, by kind.
        requests: How many were answered over HTTP.
        took: How long each thing took that was done since this was last emptied, by what it is, in seconds.
        errors: What should not have happened.
        let_go: How often a slow viewer was disconnected, and came back.
    """

    server: Server
    sockets: int = 20
    seed: int = 0
    ended: Counter[str] = attrs.field(factory=Counter)
    requests: int = 0
    took: defaultdict[str, list[float]] = attrs.field(factory=lambda: defaultdict(list))
    errors: list[str] = attrs.field(factory=list)
    let_go: int = 0
    _latest: deque[str] = attrs.field(factory=lambda: deque(maxlen=20))  # executions that were accepted
    _streams: deque[str] = attrs.field(factory=lambda: deque(maxlen=5))
    _stopped: bool = False

    @property
    def executions(self) -> int:
        """How many have ended."""
        return self.ended.total()

    def stop(self) -> None:
        """Let everybody finish what they are at, and go."""
        self._stopped = True

    async def run(self) -> None:
        """Let everybody come, and wait until they have gone."""
        await self._asks("POST", "/api/projects", json={"name": _PROJECT})
        others = (self._look_at_lists, self._look_at_executions, self._follow, self._chat, self._share_files)
        async with asyncio.TaskGroup() as everybody:
            for number in range(self.sockets):
                everybody.create_task(self._always(lambda number=number: self._run_workflows(number)))
            for _ in range(_SLOW):
                everybody.create_task(self._always(self._watch_slowly))
            for act in others:
                everybody.create_task(self._always(act))

    async def _always(self, act: Callable[[], Awaitable[None]]) -> None:
        while not self._stopped:
            try:
                await act()
            except Exception as error:
                self.errors.append(f"{type(error).__name__}: {error}"[:500])
                await asyncio.sleep(1)

    @contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.took[what].append(time.perf_counter() - began)

    # Over sockets

    async def _run_workflows(self, number: int) -> None:
        choice = random.Random(self.seed * 1000 + number)
        known = workflows()
        kinds = ["small"] * 10 + ["stream", "group", "map"] * 3 + ["large"]
        async with viewer(self.server.ws_url) as client:
            while not self._stopped:
                kind = choice.choice(kinds)
                with self._timed(kind):
                    await client.send("PROMPT_REQUEST", known[kind])
                    messages = await client.until(lambda m: m["type"] in ("error", "PROMPT_ACCEPTED_RESPONSE"))
                    assert messages[-1]["type"] == "PROMPT_ACCEPTED_RESPONSE", f"{kind}: {messages[-1]}"
                    self._latest.append(accepted := messages[-1]["payload"]["promptId"])
                    if kind == "stream":
                        self._streams.append(accepted)
                    messages = await client.until(lambda m: m["type"] == "error" or is_final(m))
                _check(kind, messages)
                self.ended[kind] += 1

    async def _watch_slowly(self) -> None:
        async with viewer(self.server.ws_url, max_queue=1, ping_interval=None) as client:
            while not self._stopped:
                if not self._streams:
                    await asyncio.sleep(_PAUSE_S)
                    continue
                await client.send("SUBSCRIBE", {"promptId": self._streams[-1], "after": 0})
                try:
                    while not self._stopped and not is_final(message := await client.receive()):
                        assert message["type"] != "error", message
                        await asyncio.sleep(_READ_S)
                except ConnectionClosed as closed:
                    if closed.rcvd is None or closed.rcvd.code != 1013:
                        raise
                    self.let_go += 1
                    return

    # Over HTTP

    async def _asks(self, method: str, path: str, what: str = "", expected: tuple[int, ...] = (200, 201, 204), **more: Any) -> Any:
        with self._timed(f"{method} {what or path}"):
            answer = await self.server.http.request(method, path, **more)
        self.requests += 1
        assert answer.status_code in expected, f"{method} {path}: {answer.status_code} {answer.text[:300]}"
        await asyncio.sleep(_PAUSE_S)
        return answer

    async def _look_at_lists(self) -> None:
        await self._asks("GET", "/api/nodes")
        await self._asks("GET", "/api/executions")
        page = (await self._asks("GET", "/api/history", params={"limit": 50})).json()
        if page.get("next"):
            await self._asks("GET", "/api/history", params={"limit": 50, "cursor": page["next"]})
        await self._asks("GET", "/api/system_stats")
        await self._asks("GET", "/readyz")

    async def _look_at_executions(self) -> None:
        if not self._latest:
            await asyncio.sleep(_PAUSE_S)
            return
        await self._asks("GET", f"/api/prompt/{self._latest[-1]}", "/api/prompt/ID")
        await self._asks("GET", f"/api/history/{self._latest[-1]}", "/api/history/ID")

    async def _follow(self) -> None:
        if not self._latest:
            await asyncio.sleep(_PAUSE_S)
            return
        answer = await self._asks("GET", f"/api/prompt/{self._latest[-1]}/events", "/api/prompt/ID/events")
        messages = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]
        assert [message["payload"]["seq"] for message in messages] == list(range(1, len(messages) + 1)), "there is a hole in a stream"
        assert is_final(messages[-1]), messages[-1]

    async def _chat(self) -> None:
        where = {"projectId": _PROJECT}
        session = (await self._asks("POST", "/api/chat/sessions", json=where | {"title": "At the bar"})).json()["id"]
        parent = None
        for number in range(6):
            said = {"parentId": parent, "role": "assistant" if number % 2 else "user", "content": f"{number}: {TEXT[:2000]}"}
            answer = await self._asks("POST", f"/api/chat/{session}/message", "/api/chat/ID/message", params=where, json=said)
            parent = answer.json()["nodeId"]
        tree = (await self._asks("GET", f"/api/chat/{session}/tree", "/api/chat/ID/tree", params=where)).json()
        assert len(tree["nodes"]) >= 6, tree
        edit = {"operations": [{"type": "delete", "nodeIds": [parent]}]}
        await self._asks("PUT", f"/api/chat/{session}/tree/edit", "/api/chat/ID/tree/edit", params=where, json=edit)
        await self._asks("GET", "/api/chat/sessions", params=where)
        await self._asks("DELETE", f"/api/chat/sessions/{session}", "/api/chat/sessions/ID", params=where)

    async def _share_files(self) -> None:
        content = random.Random(self.requests).randbytes(1024 * 1024)
        folder, file = quote("user://load", safe=""), quote("user://load/barrel.bin", safe="")
        await self._asks("POST", f"/api/fam/upload/{folder}", "/api/fam/upload", files={"files": ("barrel.bin", content)})
        await self._asks("GET", f"/api/fam/list/{folder}", "/api/fam/list")
        answer = await self._asks("GET", f"/api/fam/download/{file}", "/api/fam/download")
        assert answer.content == content, "a file came back as another"
        await self._asks("DELETE", "/api/fam/delete", json={"logicalPaths": ["user://load/barrel.bin"]})


def _check(kind: str, messages: list[Message]) -> None:
    """A workflow has completed, and its events are all there, but for texts that were put together on the way."""
    assert messages[-1]["payload"].get("status") == "complete", f"{kind}: {messages[-1]}"
    last = 0
    for message in messages:
        seq = message["payload"]["seq"]
        merged = message["type"] == "NODE_YIELD" and seq > last
        assert merged or seq == last + 1, f"{kind}: event {seq} came after {last}"
        last = seq
    if kind == "stream":
        assert text_of(messages, "ask") == _SAID, f"a streamed text is not what was said: {text_of(messages, 'ask')!r}"
