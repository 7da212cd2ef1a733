"""What a failed node failed of, in words for the person who runs the workflow."""

import asyncio
from collections.abc import Mapping
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
    """The `errorDetails` of a failure."""
    details: dict[str, Any] = {
        "message": message_of(error),
        "type": "NodeFailure" if isinstance(error, ErrorChunk) else type(error).__name__,
        "nodeId": node.id,
        "nodeType": node.full_type,
    }
    if isinstance(error, NodeFailure):
        details["retryable"] = error.retryable is True
        if isinstance(error.slot, str):
            details["slot"] = mended(str.__str__(error.slot)[:_LONGEST_SLOT])
    return details


def message_of(error: BaseException) -> str:
    """The message of a failure; what it is where it has none."""
    if isinstance(error, BaseExceptionGroup):  # from a relay's task group: the one stream that failed
        return message_of(error.exceptions[0])
    if isinstance(error, asyncio.CancelledError):
        return "The node cancelled itself"
    return text_of(error) or type(error).__name__
