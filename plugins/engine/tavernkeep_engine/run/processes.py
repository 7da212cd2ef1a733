"""Running a function that computes for long in a process of its own, which is ended when it is no longer wanted."""

import ctypes
import importlib
import os
import signal
import sys
from typing import Any, Final

import anyio.to_process

from tavernkeep.contracts.authoring import Node
from tavernkeep.contracts.running import ExecutionContext, NodeContext
from tavernkeep_engine.run.values import Given

_PR_SET_PDEATHSIG: Final = 1  # prctl(2)


async def run_process(name: str, inputs: dict[str, Any], config: dict[str, Any], most: int, limiter: anyio.CapacityLimiter) -> Given:
    """Call what `package.module:name` names, a `Node` or an execute function, in a worker process; when cancelled, that is killed.

    Worker processes are used again, and end with the server, however that ends. What goes in and comes out is pickled; what comes out is
    plain data already.

    Args:
        most: How many bytes one value that it gives may take.
    """
    return await anyio.to_process.run_sync(_call, os.getpid(), name, inputs, config, most, cancellable=True, limiter=limiter)


def _call(server: int, name: str, inputs: dict[str, Any], config: dict[str, Any], most: int) -> Given:
    _end_with(server)
    module, _, path = name.partition(":")
    found: Any = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    execute: Any = found.definition.execute if isinstance(found, Node) else found
    execution: ExecutionContext = None  # type: ignore[assignment] # there is no execution in this process
    return Given.of(execute(inputs, NodeContext(execution, "", "", config)), most)


def _end_with(server: int) -> None:
    """Have this process killed when the server is gone. One that waits sees its pipe closed; one that computes would go on for ever."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != server:  # it was gone before
            os.kill(os.getpid(), signal.SIGKILL)
