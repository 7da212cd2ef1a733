"""What a failed node failed of, in words for the person who runs the workflow."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from tavernkeep.contracts.running import Chunk, NodeFailure
from tavernkeep_engine.plan.types import PlanNode
from tavernkeep_engine.run.plain import mended, text_of

_LONGEST_SLOT: Final = 200  # characters
# Asked of Python itself: what an error says of these may be the node's code.
_TRACE: Final = vars(BaseException)["__traceback__"]
_CAUSE: Final = vars(BaseException)["__cause__"]
_CONTEXT: Final = vars(BaseException)["__context__"]
_PARTS: Final = vars(BaseExceptionGroup)["exceptions"]


class ErrorChunk(Exception):
    """The node yielded an `error_chunk`: that is its failure, and viewers have seen it already."""

    @classmethod
    def of(cls, chunk: Chunk) -> "ErrorChunk":
        """The failure that a chunk says."""
        content = chunk.content
        message = content.get("message", content) if isinstance(content, Mapping) else content
        return cls(message if isinstance(message, str) else str(message))


def details_of(node: PlanNode, error: BaseException) -> dict[str, Any]:
    """The `errorDetails` of a failure, whatever it is that was raised."""
    kind = type(error)
    details: dict[str, Any] = {
        "message": message_of(error),
        "type": "NodeFailure" if issubclass(kind, ErrorChunk) else kind.__name__,
        "nodeId": node.id,
        "nodeType": node.full_type,
    }
    if issubclass(kind, NodeFailure):
        details["retryable"] = False
        with suppress(BaseException):  # it is the node's code that is asked: what it raises must not end the server
            details["retryable"] = error.retryable is True  # type: ignore[attr-defined]
            slot = error.slot  # type: ignore[attr-defined]
            if issubclass(type(slot), str):
                details["slot"] = mended(str.__str__(slot)[:_LONGEST_SLOT])
    return details


def forget_trace(error: BaseException) -> None:
    """Let go of what an error leads to: the errors before it, and the frames that it went through, with all that they hold.

    Often that is the error itself, and a circle which only the garbage collector would find.
    """
    waiting: list[BaseException | None] = [error]
    while waiting:
        if (found := waiting.pop()) is None:
            continue
        waiting += _CAUSE.__get__(found), _CONTEXT.__get__(found)
        for part in (_TRACE, _CAUSE, _CONTEXT):
            part.__set__(found, None)
        if issubclass(type(found), BaseExceptionGroup):
            waiting += _PARTS.__get__(found)


def message_of(error: BaseException) -> str:
    """The message of a failure; what it is where it has none."""
    kind = type(error)  # what it says of its class itself is the node's
    if issubclass(kind, BaseExceptionGroup):  # from a relay's task group: the one stream that failed
        return message_of(error.exceptions[0])  # type: ignore[attr-defined]
    if issubclass(kind, asyncio.CancelledError):
        return "The node cancelled itself"
    return text_of(error) or type(error).__name__
