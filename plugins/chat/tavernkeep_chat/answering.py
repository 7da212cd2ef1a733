"""An answer as it grows: what the events of its execution make of it."""

from collections.abc import Mapping
from typing import Any

import attrs

from tavernkeep.contracts.events import INTERFACE_OUTPUTS, Event, InterfaceYield, NodeComplete, NodeExecuting, NodeRetrying
from tavernkeep.contracts.execution import SHUTDOWN, ExecutionStatus
from tavernkeep_chat.asking import Answering
from tavernkeep_chat.tree import MessageNode, Status

STOPPED: Mapping[str, Any] = {"message": "The server was stopped before the answer was whole."}


@attrs.define
class GrowingAnswer:
    """The text so far.

    Attributes:
        most_bytes: How long it may become.
        before: What stood there, and which it goes on from.
        is_too_long: It would be longer; what there is no room for is left out.
    """

    outputs: Answering
    most_bytes: int
    before: str = ""
    is_too_long: bool = False
    _pieces: list[str] = attrs.field(factory=list)
    _bytes: int = 0
    _whole: str | None = None

    def take(self, event: Event) -> None:
        """What an event adds."""
        match event:
            case InterfaceYield() if event.interface_output_key == self.outputs.live:
                content = event.yielded_content.get("content")
                if event.yielded_content.get("type") == "text_chunk" and isinstance(content, str):
                    self._add(content)
            case NodeExecuting() | NodeRetrying() if event.node_id == self.outputs.live_node:
                self._pieces.clear()  # it begins again, as after an end of the server
                self._bytes, self.is_too_long = 0, False
            case NodeComplete() if event.node_id == INTERFACE_OUTPUTS:
                self.conclude(event.output)

    def conclude(self, outputs: Mapping[str, Any]) -> None:
        """What the workflow gave in the end."""
        whole = outputs.get(self.outputs.whole) if self.outputs.whole else None
        if isinstance(whole, str) and len(whole.encode("utf-8", "replace")) > self.most_bytes:
            self.is_too_long, whole = True, None
        self._whole = whole if isinstance(whole, str) else None

    def _add(self, piece: str) -> None:
        self._bytes += len(piece.encode("utf-8", "replace"))
        if self._bytes > self.most_bytes:
            self.is_too_long = True
        else:
            self._pieces.append(piece)

    @property
    def text(self) -> str:
        """All of it, as far as it is known."""
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        return self.before + (self._whole if self._whole is not None else "".join(self._pieces))

    def settle(self, node: MessageNode, status: ExecutionStatus | None, error_info: Mapping[str, Any] | None) -> None:
        """Write it into its message; what was streamed stays there, whatever the end.

        Args:
            status: How the execution ended; `None` where nobody knows.
        """
        node.content = self.text
        ended: Status = "complete"
        node.error = None
        if status is None or (error_info or {}).get("type") == SHUTDOWN:
            ended, node.error = "error", dict(STOPPED)
        elif status is ExecutionStatus.ERROR:
            ended, node.error = "error", _readable(error_info or {})
        elif status is ExecutionStatus.INTERRUPTED:
            node.metadata = {**(node.metadata or {}), "stopped": True}
        node.status = ended


def _readable(error_info: Mapping[str, Any]) -> dict[str, Any]:
    """The error with the reason of the node that failed, which is what a person wants to know."""
    nodes = error_info.get("nodes")
    first = nodes[0] if isinstance(nodes, list) and nodes and isinstance(nodes[0], Mapping) else {}
    return {**error_info, "message": str(first.get("message") or error_info.get("message") or "The workflow failed.")}
