"""What the crash tests run: nodes that leave a mark on the disk each time that they run, and workflows made of all that there is."""

import random
from collections.abc import Callable, Sequence
from typing import Any, Final

import attrs

NODES: Final = '''
    """Nodes that leave a mark on the disk each time that they run."""

    import asyncio
    import os
    import time
    import zlib
    from collections import Counter
    from collections.abc import AsyncIterator
    from typing import Any

    from tavernkeep import NodeContext, Outputs, Stream, hookimpl, node
    from tavernkeep.wire import dumps

    TRIED = Counter()


    def leave(context: NodeContext) -> str:
        mark = f"{context.execution.execution_id}/{context.node_id}"
        number = os.open(os.environ["CRASH_MARKS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(number, (mark + "\\n").encode())
        os.fsync(number)
        os.close(number)
        return mark


    def made_of(context: NodeContext, value: Any) -> str:
        return f"{context.node_id}:{zlib.crc32(dumps(value)):x}"


    @node("crash:Mark", output="text")
    async def mark(context: NodeContext, value: Any = None) -> str:
        """Work for a moment."""
        leave(context)
        await asyncio.sleep(0.002)
        return made_of(context, value)


    @node("crash:Thread", output="text")
    def thread(context: NodeContext, value: Any = None) -> str:
        """Work for a moment, in a thread."""
        leave(context)
        time.sleep(0.002)
        return made_of(context, value)


    @node("crash:Flaky", output="text")
    async def flaky(context: NodeContext, value: Any = None) -> str:
        """Fail twice, then work."""
        mark = leave(context)
        TRIED[mark] += 1
        await asyncio.sleep(0.001)
        if TRIED[mark] < 3:
            raise OSError("not yet")
        return made_of(context, value)


    @node("crash:Speak")
    async def speak(context: NodeContext, value: Any = None) -> AsyncIterator[str | Outputs]:
        """Stream some words."""
        leave(context)
        for number in range(12):
            yield f"{made_of(context, value)} {number} "
            await asyncio.sleep(0)
        yield Outputs(text=made_of(context, value))


    @node("crash:Listen", output="text")
    async def listen(context: NodeContext, stream: Stream) -> str:
        """Read a stream to its end."""
        leave(context)
        return made_of(context, [chunk.content async for chunk in stream if chunk.type == "text_chunk"])


    @node("crash:Split", output="items")
    async def split(context: NodeContext, value: Any = None, count: int = 4) -> list:
        """Make several of one."""
        leave(context)
        return [f"{value}#{number}" for number in range(count)]


    @node("crash:State", output="state")
    async def state(context: NodeContext, value: Any = None) -> dict:
        """What a loop begins with."""
        leave(context)
        return {"value": value}


    @node("crash:Enough", output="enough")
    async def enough(context: NodeContext, round: int, of: int = 3) -> bool:
        """Whether a loop is done."""
        leave(context)
        return round >= of


    @hookimpl
    def register_nodes():
        return [mark, thread, flaky, speak, listen, split, state, enough]
'''


def _edge(source: str, target: str) -> dict[str, str]:
    """`node.slot` to `node.slot`."""
    (a, b), (c, d) = source.split("."), target.split(".")
    return {"sourceNodeId": a, "sourceHandle": b, "targetNodeId": c, "targetHandle": d}


def _stored(name: str, nodes: dict[str, Any], edges: Sequence[str], inputs: str, outputs: str) -> dict[str, Any]:
    """A workflow that others refer to; an edge is `node.slot > node.slot`, a node its type or all of it."""
    ends = [[end.split(".") for end in edge.split(" > ")] for edge in edges]
    return {
        "name": name,
        "nodes": [{"id": id_, **({"type": node} if isinstance(node, str) else node)} for id_, node in nodes.items()],
        "edges": [
            {"id": f"e{number}", "source": a, "sourceHandle": b, "target": c, "targetHandle": d}
            for number, ((a, b), (c, d)) in enumerate(ends)
        ],
        "interfaceInputs": {key: {"key": key, "dataFlowType": "WILDCARD"} for key in inputs.split()},
        "interfaceOutputs": {key: {"key": key, "dataFlowType": "WILDCARD"} for key in outputs.split()},
    }


_IN, _OUT = "core:GroupInput", "core:GroupOutput"
WORKFLOWS: Final = {
    "item": _stored(
        "item",
        {"in": _IN, "a": "crash:Mark", "b": "crash:Thread", "out": _OUT},
        ["in.value > a.value", "a.text > b.value", "b.text > out.text"],
        "value",
        "text",
    ),
    "round": _stored(
        "round",
        {"in": _IN, "a": "crash:Mark", "n": "crash:Enough", "out": _OUT},
        ["in.value > a.value", "a.text > out.value", "in.round > n.round", "n.enough > out.done"],
        "value round",
        "value done",
    ),
    "inner": _stored(
        "inner",
        {"in": _IN, "s": "crash:Speak", "l": "crash:Listen", "out": _OUT},
        ["in.value > s.value", "s.output > l.stream", "l.text > out.text"],
        "value",
        "text",
    ),
    "outer": _stored(
        "outer",
        {
            "in": _IN,
            "a": "crash:Mark",
            "g": {"type": "core:NodeGroup", "configValues": {"referencedWorkflowId": "inner"}},
            "b": "crash:Thread",
            "out": _OUT,
        },
        ["in.value > a.value", "a.text > g.value", "g.text > b.value", "b.text > out.text"],
        "value",
        "text",
    ),
}


@attrs.define
class _Making:
    """A workflow that is being made."""

    chance: random.Random
    nodes: list[dict[str, Any]] = attrs.field(factory=list)
    edges: list[dict[str, str]] = attrs.field(factory=list)

    def add(self, type_: str, *edges: str, inputs: dict[str, Any] | None = None, **config: Any) -> str:
        """Add a node, with edges `node.slot > slot`; gives its id."""
        id_ = f"{type_.partition(':')[2].lower()}{len(self.nodes)}"
        self.nodes.append({"id": id_, "fullType": type_, "inputs": inputs or {}, "configValues": config})
        for edge in edges:
            source, slot = edge.split(" > ")
            self.edges.append(_edge(source, f"{id_}.{slot}"))
        return id_

    def chain(self, source: str) -> str:
        for _ in range(self.chance.randint(1, 4)):
            source = self.add("crash:Mark", f"{source} > value") + ".text"
        return source

    def threads(self, source: str) -> str:
        ends = [self.add("crash:Thread", f"{source} > value") for _ in range(2)]
        return self.add("flow:Merge", *(f"{id_}.text > inputs__{number}" for number, id_ in enumerate(ends))) + ".values"

    def flaky(self, source: str) -> str:
        return self.add("crash:Flaky", f"{source} > value", executionPolicy={"attempts": 3, "waitS": 0.001}) + ".text"

    def stream(self, source: str) -> str:
        speak = self.add("crash:Speak", f"{source} > value")
        ends = [self.add("crash:Listen", f"{speak}.output > stream") for _ in range(2)]
        return self.add("flow:Merge", *(f"{id_}.text > inputs__{number}" for number, id_ in enumerate(ends))) + ".values"

    def switch(self, source: str) -> str:
        value = self.chance.choice(["a", "b", "c"])
        switch = self.add("flow:Switch", f"{source} > data", inputs={"value": value}, cases=["a", "b"])
        ways = [self.add("crash:Mark", f"{switch}.{way} > value") for way in ("case_0", "case_1", "default")]
        return self.add("flow:Merge", *(f"{way}.text > inputs__{number}" for number, way in enumerate(ways))) + ".value"

    def branch(self, source: str) -> str:
        branch = self.add("flow:Branch", f"{source} > value", inputs={"condition": self.chance.random() < 0.5})
        ways = [self.add("crash:Mark", f"{branch}.{way} > value") for way in ("true", "false")]
        below = self.add("crash:Thread", f"{ways[1]}.text > value")
        return self.add("flow:Merge", f"{ways[0]}.text > inputs__0", f"{below}.text > inputs__1") + ".value"

    def map(self, source: str) -> str:
        split = self.add("crash:Split", f"{source} > value")
        return self.add("flow:Map", f"{split}.items > items", referencedWorkflowId="item", concurrency=2) + ".results"

    def loop(self, source: str) -> str:
        state = self.add("crash:State", f"{source} > value")
        return self.add("flow:Loop", f"{state}.state > state", referencedWorkflowId="round") + ".state"

    def groups(self, source: str) -> str:
        return self.add("core:NodeGroup", f"{source} > value", referencedWorkflowId="outer") + ".text"

    def ask(self, source: str) -> str:
        return self.add("flow:WaitForPerson", f"{source} > data", inputs={"question": "Well?"}) + ".answer"


_PARTS: Final[Sequence[Callable[[_Making, str], str]]] = (
    _Making.chain,
    _Making.threads,
    _Making.flaky,
    _Making.stream,
    _Making.switch,
    _Making.branch,
    _Making.map,
    _Making.loop,
    _Making.groups,
    _Making.ask,
)


def workflow(chance: random.Random, name: str) -> dict[str, Any]:
    """A workflow of some of the parts, each below one that stands before it, and an output of it for each."""
    making = _Making(chance)
    ends = [making.add("crash:Mark", inputs={"value": name}) + ".text"]
    for part in chance.sample(_PARTS, chance.randint(1, 4)):
        ends.append(part(making, chance.choice(ends)))
    mappings = [end.split(".") for end in ends]
    return {
        "nodes": making.nodes,
        "edges": making.edges,
        "workflows": WORKFLOWS,
        "metadata": {"workflowName": name},
        "interfaceOutputs": {f"o{number}": {"key": f"o{number}", "dataFlowType": "WILDCARD"} for number in range(len(ends))},
        "outputInterfaceMappings": {f"o{number}": {"sourceNodeId": a, "sourceSlotKey": b} for number, (a, b) in enumerate(mappings)},
    }
