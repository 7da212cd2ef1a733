"""What a failed node failed of, in words for the person who runs the workflow."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from tavernkeep.contracts.running import Chunk, NodeFailure
from tavernkeep_engine.plan.types import PlanNode
from tavernkeep_engine.run.plain import mended, text_of

_LONGEST_SLOT: Final = 200  # characters


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


def message_of(error: BaseException) -> str:
    """The message of a failure; what it is where it has none."""
    kind = type(error)  # what it says of its class itself is the node's
    if issubclass(kind, BaseExceptionGroup):  # from a relay's task group: the one stream that failed
        return message_of(error.exceptions[0])  # type: ignore[attr-defined]
    if issubclass(kind, asyncio.CancelledError):
        return "The node cancelled itself"
    return text_of(error) or type(error).__name__
