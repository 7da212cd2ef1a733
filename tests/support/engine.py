"""The engine in this process, with the node types of the reference interpreter made real."""

import asyncio
from collections.abc import Mapping
from typing import Any

import attrs

from support import reference as ref
from tavernkeep import Chunk, DataFlowType, NodeDefinition, NodeMode, Outputs, PassThrough, Routed, Slot, StreamFailed, UserContext
from tavernkeep.contracts.bus import EventBus
from tavernkeep.contracts.events import Event, StatusUpdate
from tavernkeep.contracts.execution import ExecutionDetail, Recall, Recorded, Submission
from tavernkeep.contracts.nodes import NodeRegistry
from tavernkeep.contracts.services import Services
from tavernkeep.contracts.workflow import WorkflowPayload
from tavernkeep.testing import PATIENCE_S
from tavernkeep.wire import structure
from tavernkeep_engine.config import EngineConfig
from tavernkeep_engine.schedule.scheduler import EmbeddedScheduler
from tavernkeep_nodes_io.groups import GROUP_INPUT, GROUP_OUTPUT, NODE_GROUP

USER = UserContext("u", "u", is_admin=True)
WORDS = ["a", "b", "", "c"]


def _add(inputs: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    return {"sum": inputs["a"] + inputs["b"]}, []


def _fail_if_odd(inputs: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    if inputs["x"] % 2:
        raise ValueError("odd")
    return {"out": inputs["x"]}, []


def _produce(inputs: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    count, fail_at = config.get("count", 3), config.get("failAt")
    chunks = [f"{inputs['word']}{number}" for number in range(count)]
    if fail_at is not None and fail_at <= count:
        raise ref.Failed("half way", chunks[:fail_at])
    return {"count": count}, chunks


def _texts(stream: Any) -> list[str]:
    return [str(chunk) for chunk in (stream.chunks if isinstance(stream, ref.BrokenStream) else stream)]


def _relay(inputs: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    chunks = [f"{chunk}!" for chunk in _texts(inputs["stream"])]
    if isinstance(inputs["stream"], ref.BrokenStream):
        raise ref.Failed("the source failed", chunks)
    return {"seen": len(chunks)}, chunks


def _collect(inputs: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    if isinstance(inputs["stream"], ref.BrokenStream) and not config.get("tolerant"):
        raise ref.Failed("the source failed")
    broken = "…" if isinstance(inputs["stream"], ref.BrokenStream) else ""
    return {"text": "".join(_texts(inputs["stream"])) + broken}, []


R = ref.Slot
TYPES: dict[str, ref.Type] = {
    "t:Const": ref.Type({}, {"out": R("INTEGER")}, lambda inputs, config: ({"out": config.get("value", 1)}, [])),
    "t:Word": ref.Type({"word": R("STRING", default="w")}, {"out": R("STRING")}, lambda inputs, config: ({"out": inputs["word"]}, [])),
    "t:Nothing": ref.Type({"x": R()}, {"out": R()}, lambda inputs, config: ({}, [])),
    "t:Null": ref.Type({"x": R()}, {"out": R()}, lambda inputs, config: ({"out": None}, [])),
    **{
        f"t:Add{kind}": ref.Type({"a": R("INTEGER", required=True), "b": R("INTEGER", default=10)}, {"sum": R("INTEGER")}, _add)
        for kind in ("Inline", "Async", "Thread")
    },
    "t:FailIfOdd": ref.Type({"x": R("INTEGER", required=True)}, {"out": R("INTEGER")}, _fail_if_odd, bypass=({"out": "x"}, {"out": 7})),
    "t:Strict": ref.Type(
        {"x": R("STRING", required=lambda config: bool(config.get("strict")))},
        {"out": R("STRING")},
        lambda i, c: ({"out": str(i.get("x"))}, []),
    ),
    "t:Cat": ref.Type(
        {"items": R("STRING", multi=True, required=True), "sep": R("STRING", default=",")},
        {"text": R("STRING"), "count": R("INTEGER")},
        lambda inputs, config: ({"text": inputs["sep"].join(map(str, inputs["items"])), "count": len(inputs["items"])}, []),
        bypass="mute",
    ),
    "t:Modal": ref.Type(
        {"x": R("STRING", default="plain")},
        {"out": R("STRING")},
        lambda inputs, config: ({"out": inputs["x"]}, []),
        modes={
            "number": ref.Type(
                {"n": R("INTEGER", required=True)}, {"out": R("INTEGER")}, lambda inputs, config: ({"out": inputs["n"]}, [])
            ),
            "pair": ref.Type(
                {"x": R("STRING", default="p"), "n": R("INTEGER", default=2)},
                {"out": R("STRING"), "n": R("INTEGER")},
                lambda inputs, config: ({"out": inputs["x"], "n": inputs["n"]}, []),
            ),
        },
    ),
    "t:Branch": ref.Type(
        {"x": R(required=True)},
        {"yes": R(), "no": R()},
        lambda inputs, config: ({"yes" if inputs["x"] else "no": inputs["x"]}, []),
        not_taken=lambda outputs: {"yes", "no"} - set(outputs),
    ),
    "t:Produce": ref.Type({"word": R("STRING", default="s")}, {"live": R("STRING", stream=True), "count": R("INTEGER")}, _produce),
    "t:Relay": ref.Type(
        {"stream": R("STRING", stream=True, required=True)}, {"live": R("STRING", stream=True), "seen": R("INTEGER")}, _relay
    ),
    "t:Collect": ref.Type({"stream": R("STRING", stream=True, required=True)}, {"text": R("STRING")}, _collect),
    "t:First": ref.Type(
        {"stream": R("STRING", stream=True, required=True)},
        {"out": R("STRING")},
        lambda inputs, config: ({"out": config.get("value", "x")}, []),
    ),
}


def _slots(slots: Mapping[str, ref.Slot]) -> dict[str, Slot]:
    return {
        key: Slot(
            DataFlowType(slot.type),
            required=slot.required,
            multi=slot.multi,
            is_stream=slot.stream,
            config={} if slot.default is ref.ABSENT else {"default": slot.default},
        )
        for key, slot in slots.items()
    }


def _execute(name: str, type_: ref.Type) -> Any:
    def plain(inputs: dict[str, Any], context: Any) -> dict[str, Any]:
        outputs, _ = type_.run(inputs, context.config)
        off = type_.not_taken(outputs)
        return Routed(outputs, off) if off else outputs

    async def later(inputs: dict[str, Any], context: Any) -> dict[str, Any]:
        await asyncio.sleep(0)
        return plain(inputs, context)

    async def produce(inputs: dict[str, Any], context: Any) -> Any:
        try:
            outputs, chunks = type_.run(inputs, context.config)
        except ref.Failed as failure:
            for chunk in failure.chunks:
                yield chunk
            raise
        yield Outputs(outputs)
        for chunk in chunks:
            await asyncio.sleep(0)
            yield chunk

    async def relay(inputs: dict[str, Any], context: Any) -> Any:
        seen = 0
        async for chunk in inputs["stream"]:
            seen += 1
            yield Chunk("text_chunk", f"{chunk.content}!")
        yield Outputs(seen=seen)

    async def collect(inputs: dict[str, Any], context: Any) -> dict[str, Any]:
        pieces = []
        try:
            async for chunk in inputs["stream"]:
                pieces.append(str(chunk.content))  # noqa: PERF401 - what came before a failure counts
        except StreamFailed:
            if not context.config.get("tolerant"):
                raise
            pieces.append("…")
        return {"text": "".join(pieces)}

    async def first(inputs: dict[str, Any], context: Any) -> dict[str, Any]:
        try:
            async for _ in inputs["stream"]:
                break
        except StreamFailed:
            pass
        return {"out": context.config.get("value", "x")}

    special = {"t:Produce": produce, "t:Relay": relay, "t:Collect": collect, "t:First": first, "t:AddAsync": later}
    return special.get(name, plain)


def registry() -> NodeRegistry:
    """The reference's node types as the engine runs them."""
    found = NodeRegistry()
    for name, type_ in TYPES.items():
        execute = _execute(name, type_)
        bypass = PassThrough(*type_.bypass) if isinstance(type_.bypass, tuple) else type_.bypass
        found.add(
            NodeDefinition(
                type=name.partition(":")[2],
                namespace="t",
                inputs=_slots(type_.inputs),
                outputs=_slots(type_.outputs),
                execute=execute,
                inline=name != "t:AddThread",
                modes={
                    key: NodeMode(key, _slots(mode.inputs), _slots(mode.outputs), _execute(name, mode)) for key, mode in type_.modes.items()
                },
                mode_config_key="mode" if type_.modes else None,
                bypass_behavior=bypass,
            ),
            "test",
        )
    for definition in (GROUP_INPUT, GROUP_OUTPUT, NODE_GROUP):
        found.add(definition, "io")
    return found


REGISTRY = registry()


@attrs.define
class Engine:
    """A scheduler with nothing around it."""

    config: EngineConfig = attrs.field(factory=lambda: EngineConfig(stream_buffer=2, max_concurrent_nodes=3))
    nodes: NodeRegistry = attrs.field(default=REGISTRY)
    bus: EventBus = attrs.field(factory=EventBus)
    max_concurrent: int = 5
    scheduler: EmbeddedScheduler = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.scheduler = EmbeddedScheduler(self.bus, self.nodes, Services(), self.config, self.max_concurrent)

    async def run(
        self, payload: Mapping[str, Any], interrupt_after: int | None = None, recorded: Mapping[str, Recorded] | None = None
    ) -> tuple[ExecutionDetail, list[Event]]:
        """Run a workflow to its end; with a number, interrupt it after so many events."""
        seen: list[Event] = []
        ended = asyncio.Event()
        interrupts: set[asyncio.Task[Any]] = set()

        def watch(event: Event) -> None:
            seen.append(event)
            if len(seen) == interrupt_after:
                interrupts.add(asyncio.get_running_loop().create_task(self.scheduler.interrupt(event.execution_id, USER)))
            if isinstance(event, StatusUpdate) and event.status.is_final:
                ended.set()

        def accepted(execution_id: str) -> None:
            self.bus.watch(execution_id, watch)

        async def recall() -> Recall:
            return Recall(recorded or {})

        submission = Submission(structure(dict(payload), WorkflowPayload), USER, accepted, recall)
        execution_id = await self.scheduler.submit(submission)
        async with asyncio.timeout(PATIENCE_S):
            await ended.wait()
            await asyncio.gather(*interrupts)
        detail = await self.scheduler.detail(execution_id, USER)
        assert detail is not None
        return detail, seen

    async def settled(self) -> None:
        """Return when what has ended is packed."""
        await asyncio.gather(*self.scheduler._settling._tasks)
