"""What a workflow is asked for an answer: the conversation in its inputs, and which of its outputs are the answer."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from tavernkeep import ApiError
from tavernkeep.contracts.workflow import StoredWorkflow, WorkflowPayload
from tavernkeep.wire import Invalid, Problem, loads
from tavernkeep_chat.tree import MessageNode

MAIN: Final = "main"
_MESSAGE: Final = "message"
_HISTORY: Final = "history"
_GO_ON: Final = "[Go on with your last message from where it ends, and repeat nothing of it.]"
_BYTES_A_TOKEN: Final = 4


@attrs.frozen
class Conversation:
    """What was said, as a workflow is told it.

    Attributes:
        history: Before the last message, as `{role, content}`.
        message: What a user said last; empty where the last word was somebody else's.
        left_out: How many messages there was no room for.
    """

    history: list[dict[str, str]]
    message: str
    left_out: int = 0

    @classmethod
    def of(cls, path: Iterable[MessageNode], tokens: int, *, go_on: bool = False) -> "Conversation":
        """What a model may know of the messages that lead somewhere: those that are hidden are nothing, and the newest go first.

        Args:
            tokens: How much of it at most; the last message is there in any case.
            go_on: The last message is to be gone on with.
        """
        said = [node for node in path if node.is_enabled and node.content.strip()]
        room, first = tokens * _BYTES_A_TOKEN, len(said)
        while first:
            room -= len(said[first - 1].content.encode("utf-8", "replace"))
            if room < 0 and first < len(said):
                break
            first -= 1
        told = [{"role": node.role, "content": node.content} for node in said[first:]]
        message = _GO_ON if go_on else told.pop()["content"] if told and told[-1]["role"] == "user" else ""
        return cls(told, message, first)


@attrs.frozen
class Answering:
    """Which outputs of a workflow are the answer.

    Attributes:
        live: The one that streams, and the node that feeds it.
        whole: The one that has all of it at the end, which may be another text than what was streamed.
    """

    live: str | None
    live_node: str | None
    whole: str | None

    @classmethod
    def of(cls, payload: WorkflowPayload) -> "Answering":
        """Those that are called `live` and `answer`, else the first of each kind.

        Raises:
            ApiError: 422, the workflow has no output.
        """
        slots, fed = payload.interface_outputs, payload.output_interface_mappings
        streams = [key for key in fed if key in slots and slots[key].is_stream]
        others = [key for key in fed if key not in streams]
        live = "live" if "live" in streams else next(iter(streams), None)
        whole = "answer" if "answer" in others else next(iter(others), None)
        if live is None and whole is None:
            raise ApiError(422, f"The workflow {payload.name!r} has no output that could be an answer.")
        return cls(live, fed[live].source_node_id if live else None, whole)


def asked(
    workflow: StoredWorkflow, conversation: Conversation, settings: Mapping[str, Any], inputs: Mapping[str, Any], metadata: dict[str, Any]
) -> WorkflowPayload:
    """A workflow with the conversation in its inputs `message` and `history`, and in the others what the chat's settings say of them.

    Args:
        inputs: What wins over the settings.

    Raises:
        ApiError: 422, it has no input for what was said.
        Invalid: It has none of that name.
    """
    payload = workflow.to_payload()
    slots = payload.interface_inputs
    if _MESSAGE not in slots and _HISTORY not in slots:
        known = ", ".join(slots) or "none"
        raise ApiError(422, f"The workflow {workflow.name!r} has no input {_MESSAGE!r} or {_HISTORY!r} for what was said; it has: {known}.")
    if unknown := [key for key in inputs if key not in slots]:
        raise Invalid([Problem(f"inputs.{key}", f"the workflow has no such input; it has: {', '.join(slots)}") for key in unknown])
    values = {key: settings[key] for key in slots if settings.get(key) is not None} | {
        _MESSAGE: conversation.message,
        _HISTORY: conversation.history,
    }
    payload = payload.with_inputs({key: value for key, value in {**values, **inputs}.items() if key in slots})
    return attrs.evolve(payload, metadata={**payload.metadata, **metadata})


def shipped() -> dict[str, Any]:
    """The workflow that new projects begin with, and that answers where a project has none called `main`."""
    content: dict[str, Any] = loads((Path(__file__).parent / "main.json").read_bytes())
    return content
