"""Running a function that computes for long in a process of its own, which is ended when it is no longer wanted."""

import importlib
from typing import Any

import anyio.to_process

from tavernkeep.contracts.authoring import Node
from tavernkeep.contracts.running import ExecutionContext, NodeContext
from tavernkeep_engine.run.values import Given


async def run_process(name: str, inputs: dict[str, Any], config: dict[str, Any], most: int, limiter: anyio.CapacityLimiter) -> Given:
    """Call what `package.module:name` names, a `Node` or an execute function, in a worker process; when cancelled, that is killed.

    Worker processes are used again. What goes in and comes out is pickled; what comes out is plain data already.

    Args:
        most: How many bytes one value that it gives may take.
    """
    return await anyio.to_process.run_sync(_call, name, inputs, config, most, cancellable=True, limiter=limiter)


def _call(name: str, inputs: dict[str, Any], config: dict[str, Any], most: int) -> Given:
    module, _, path = name.partition(":")
    found: Any = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    execute: Any = found.definition.execute if isinstance(found, Node) else found
    execution: ExecutionContext = None  # type: ignore[assignment] # there is no execution in this process
    return Given.of(execute(inputs, NodeContext(execution, "", "", config)), most)
