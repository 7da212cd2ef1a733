"""Delay, WaitForPerson: time, and people."""

import asyncio
from typing import Any, Final

from tavernkeep import DataFlowType, NodeContext, NodeDefinition, NodeFailure, Slot
from tavernkeep_nodes_flow.listed import listed
from tavernkeep_nodes_flow.ways import CATEGORY

_T = DataFlowType
_LONGEST_S: Final = 7 * 24 * 3600.0


async def delay(inputs: dict[str, Any], context: NodeContext) -> dict[str, Any]:
    """Pass a value on after a time."""
    seconds = inputs["seconds"]
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds <= _LONGEST_S:
        raise NodeFailure(f"seconds must be a number from 0 to {_LONGEST_S:g}, not {seconds!r}", slot="seconds")
    await asyncio.sleep(seconds)
    return {"value": inputs.get("value")}


async def wait_for_person(inputs: dict[str, Any], context: NodeContext) -> dict[str, Any]:
    """Ask whoever watches, and go on with the first answer that is allowed."""
    choices = listed(context.config, "choices")
    question = {"question": inputs["question"]} | ({"choices": choices} if choices else {})
    if "data" in inputs:
        question["data"] = inputs["data"]
    answer = await context.ask(**question)
    while choices and answer not in choices:
        answer = await context.ask(**question, refused=answer)
    return {"answer": answer}


DELAY = NodeDefinition(
    type="Delay",
    namespace="flow",
    category=CATEGORY,
    display_name="Delay",
    description="Passes a value on after a time.",
    inputs={
        "seconds": Slot(_T.FLOAT, required=True, config={"default": 1, "min": 0, "max": _LONGEST_S}),
        "value": Slot(_T.WILDCARD, match_categories=("BehaviorWildcard",)),
    },
    outputs={"value": Slot(_T.WILDCARD, match_categories=("BehaviorWildcard",))},
    execute=delay,
)
WAIT_FOR_PERSON = NodeDefinition(
    type="WaitForPerson",
    namespace="flow",
    category=CATEGORY,
    display_name="Wait for a person",
    description="Asks whoever watches the execution, and goes on with the answer. A time limit is the node's execution policy.",
    inputs={
        "question": Slot(_T.STRING, required=True, config={"default": "Go on?"}),
        "data": Slot(_T.WILDCARD, description="Shown with the question.", match_categories=("BehaviorWildcard",)),
    },
    outputs={"answer": Slot(_T.WILDCARD, match_categories=("BehaviorWildcard",))},
    config_schema={
        "choices": Slot(
            _T.STRING,
            display_name="Choices 选项",
            description="What may be answered, one on each line, or a JSON list; anything when there are none.",
            config={"default": "", "multiline": True, "placeholder": "One on each line 每行一个"},
        )
    },
    config_values={"choices": ""},
    execute=wait_for_person,
    is_preview_unsafe=True,
)
