"""Installed plugins for a test: a module and the metadata of a distribution in a folder that is put on the import path."""

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent


def install(folder: Path, name: str, source: str, *, version: str = "1.0", entry: str | None = None) -> Path:
    """Make a distribution with one module that is a plugin of the same name; gives the folder for the import path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.py").write_text(dedent(source), encoding="utf-8")
    info = folder / f"{name}_dist-{version}.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-dist\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(f"[tavernkeep.plugins]\n{name} = {entry or name}\n")
    return folder


def on_path(*folders: Path) -> Mapping[str, str]:
    """The variable that puts folders on the import path of a server."""
    return {"PYTHONPATH": ":".join(map(str, folders))}


ODD_NODES = '''
    """Nodes that misbehave in every way a node can, and some that only take their time."""

    import asyncio
    import sys
    import threading
    import time
    from collections.abc import AsyncIterator

    from tavernkeep import Chunk, DataFlowType, NodeContext, NodeDefinition, NodeFailure, Outputs, Slot, Stream, hookimpl, node


    @node("odd:Raise")
    def raise_(kind: str = "ValueError") -> str:
        """Raise anything."""
        errors = {
            "ValueError": ValueError("no good"),
            "empty": RuntimeError(),
            "SystemExit": SystemExit(3),
            "KeyboardInterrupt": KeyboardInterrupt(),
            "CancelledError": asyncio.CancelledError(),
            "StopIteration": StopIteration(1),
            "GeneratorExit": GeneratorExit(),
            "MemoryError": MemoryError(),
            "BaseException": BaseException("base"),
            "NodeFailure": NodeFailure("on purpose", retryable=True, slot="kind"),
            "surrogate": ValueError("half a pair: \\ud800"),
        }
        if kind == "RecursionError":
            return raise_(kind)
        raise errors[kind]


    @node("odd:RaiseInline", inline=True)
    def raise_inline(kind: str = "ValueError") -> str:
        """Raise anything, on the event loop."""
        return raise_(kind)


    @node("odd:RaiseAsync")
    async def raise_async(kind: str = "ValueError") -> str:
        """Raise anything, in a task."""
        return raise_(kind)


    @node("odd:RaiseStream")
    async def raise_stream(kind: str = "ValueError") -> AsyncIterator[str]:
        """Raise anything, half way through a stream."""
        yield "so far "
        raise_(kind)


    @node("odd:ErrorChunk")
    async def error_chunk() -> AsyncIterator[Chunk]:
        """Fail by an error chunk."""
        yield Chunk("text_chunk", "a")
        yield Chunk("error_chunk", {"message": "by chunk"})
        yield Chunk("text_chunk", "never sent")


    @node("odd:ForeverAsync")
    async def forever_async() -> str:
        """Never return."""
        await asyncio.Event().wait()


    @node("odd:ForeverThread")
    def forever_thread() -> str:
        """Never return, in a thread, and take no notice of anything."""
        while True:
            time.sleep(0.01)


    @node("odd:Stubborn")
    async def stubborn() -> str:
        """Ignore that it is cancelled, twice."""
        for _ in range(3):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                pass


    @node("odd:UntilCancelled")
    def until_cancelled(context: NodeContext) -> str:
        """Block in a thread until told to stop."""
        while not context.cancelled:
            time.sleep(0.005)
        return "stopped"


    def wrong_type(value):
        return lambda inputs, context: value


    class Unsendable:
        pass


    loop = []
    loop.append(loop)
    WRONG = {
        "List": wrong_type([1]),
        "Text": wrong_type("text"),
        "Number": wrong_type(7),
        "Class": wrong_type(Unsendable),
        "Nothing": wrong_type(None),
        "Unsendable": lambda inputs, context: {
            "output": Unsendable(), "set": {1, 2}, "key": {(1, 2): 3}, "bytes": b"ab", "nan": float("nan"),
        },
        "Loop": lambda inputs, context: {"output": loop},
        "Surrogate": lambda inputs, context: {"output": "half \\ud800 pair"},
    }


    @node("odd:Meet")
    async def meet(context: NodeContext, parties: int = 2) -> int:
        """Return once so many of its kind have begun: only if they run at the same time."""
        context.execution.metadata.setdefault("met", []).append(context.node_id)
        gate = context.execution.metadata.setdefault("gate", asyncio.Event())
        if len(context.execution.metadata["met"]) >= parties:
            gate.set()
        await gate.wait()
        return parties


    @node("odd:Count")
    async def count(upto: int = 10) -> AsyncIterator[str]:
        """Stream numbers as fast as they are taken."""
        for number in range(upto):
            yield f"{number} "


    @node("odd:Fast")
    async def fast(context: NodeContext, upto: int = 10) -> AsyncIterator[str]:
        """Stream numbers, and note how far it is ahead of the slow one."""
        state = context.execution.metadata
        for number in range(upto):
            state["sent"] = number
            state["ahead"] = max(state.get("ahead", 0), number - state.get("taken", 0))
            yield f"{number} "


    @node("odd:Slow")
    async def slow(stream: Stream, context: NodeContext) -> dict:
        """Take a stream slowly."""
        state = context.execution.metadata
        taken = 0
        async for chunk in stream:
            taken += 1
            state["taken"] = taken
            await asyncio.sleep(0)
        return {"taken": taken, "ahead": state["ahead"]}


    @node("odd:Progress")
    def progress(context: NodeContext, steps: int = 3) -> str:
        """Report from a thread how far it is."""
        for step in range(steps):
            context.progress(step + 1, steps)
        return "done"


    @node("odd:Secret", outputs={"plain": Slot(DataFlowType.STRING), "hidden": Slot(DataFlowType.OBJECT, secret=True)}, inline=True)
    def secret(key: __import__("typing").Annotated[str, Slot(secret=True)], fail: bool = False):
        """Leak a secret in every way it can."""
        if fail:
            raise ValueError(f"cannot log in with {key}")
        return {"plain": f"the key is {key}", "hidden": {"key": key}}


    @node("odd:Where")
    def where() -> str:
        """Name the thread."""
        return threading.current_thread().name


    @hookimpl
    def register_nodes():
        wrong = [
            NodeDefinition(type=f"Returns{name}", namespace="odd", execute=execute, inline=True, outputs={"output": Slot()})
            for name, execute in WRONG.items()
        ]
        return [raise_, raise_inline, raise_async, raise_stream, error_chunk, forever_async, forever_thread, stubborn, until_cancelled,
                meet, count, fast, slow, progress, secret, where, *wrong]
'''


def install_odd_nodes(folder: Path) -> Path:
    return install(folder, "odd_nodes", ODD_NODES)
