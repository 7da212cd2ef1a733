"""Map, Loop, CallWorkflow: other workflows, run once, for each item, or again and again."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from tavernkeep import DataFlowType, NodeContext, NodeDefinition, NodeFailure, Slot, choices
from tavernkeep.wire import describe
from tavernkeep_nodes_flow.ways import CATEGORY

_T = DataFlowType
_WORKFLOW: Final = "referencedWorkflowId"
_MOST_ITEMS: Final = 100_000
_MOST_AT_ONCE: Final = 64
_MOST_ROUNDS: Final = 10_000


async def map_(inputs: dict[str, Any], context: NodeContext) -> dict[str, Any]:
    """Run a workflow for each item, so many at a time; the results are in the order of the items."""
    items = inputs["items"]
    if not isinstance(items, list):
        raise NodeFailure(f"items must be a list, not {describe(items)}", slot="items")
    if len(items) > _MOST_ITEMS:
        raise NodeFailure(f"items has {len(items)} items; at most {_MOST_ITEMS} are taken", slot="items")
    subflow = await context.workflow(_reference(context))
    item_input = context.config.get("itemInput") or next(iter(subflow.inputs), None)
    if item_input not in subflow.inputs:
        raise NodeFailure(f"workflow {subflow.name!r} has no input {item_input!r}; it has {', '.join(subflow.inputs) or 'none'}")
    shared = _object(inputs, "shared")
    at_once = _number(context, "concurrency", 4, _MOST_AT_ONCE)
    keep_going = context.config.get("onError") == "null"
    results: list[Any] = [None] * len(items)
    errors: list[Any] = []
    waiting = iter(enumerate(items))
    done = 0

    async def work() -> None:
        nonlocal done
        for index, item in waiting:
            given: dict[str, Any] = {**shared, str(item_input): item}
            if "index" in subflow.inputs:
                given["index"] = index
            try:
                results[index] = _single(await context.call(subflow, given, str(index)))
            except NodeFailure as failure:
                if not keep_going:
                    raise NodeFailure(f"item {index}: {failure}", retryable=failure.retryable) from None
                errors.append({"index": index, "message": str(failure)})
            done += 1
            context.progress(done, len(items))

    await _together(work() for _ in range(min(at_once, len(items))))
    return {"results": results, "errors": sorted(errors, key=lambda error: error["index"])}


async def _together(coroutines: Any) -> None:
    """Run coroutines; the first failure ends them all, and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            for coroutine in coroutines:
                group.create_task(coroutine)
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None


async def loop(inputs: dict[str, Any], context: NodeContext) -> dict[str, Any]:
    """Run a workflow on a state again and again, until an output says that it is done."""
    subflow = await context.workflow(_reference(context))
    until = context.config.get("untilOutput") or "done"
    if until not in subflow.outputs:
        raise NodeFailure(f"workflow {subflow.name!r} has no output {until!r}; it has {', '.join(subflow.outputs) or 'none'}")
    limit = _number(context, "limit", 10, _MOST_ROUNDS)
    state = _object(inputs, "state")
    for number in range(1, limit + 1):
        given = {key: value for key, value in state.items() if key in subflow.inputs}
        outputs = await context.call(subflow, given | ({"round": number} if "round" in subflow.inputs else {}), str(number))
        state = {**state, **{key: value for key, value in outputs.items() if key != until}}
        context.progress(number, limit)
        if outputs.get(until):
            return {"state": state, "rounds": number}
    raise NodeFailure(f"workflow {subflow.name!r} is not done after {limit} rounds (limit)")


async def call_workflow(inputs: dict[str, Any], context: NodeContext) -> dict[str, Any]:
    """Run a workflow whose name is an input."""
    reference = inputs["workflow"]
    if not isinstance(reference, str) or not reference:
        raise NodeFailure(f"workflow must be the id of a workflow, not {describe(reference)}", slot="workflow")
    subflow = await context.workflow(reference)
    given = _object(inputs, "inputs")
    if unknown := [key for key in given if key not in subflow.inputs]:
        raise NodeFailure(
            f"workflow {subflow.name!r} has no input {unknown[0]!r}; it has {', '.join(subflow.inputs) or 'none'}", slot="inputs"
        )
    return {"outputs": dict(await context.call(subflow, given))}


def _reference(context: NodeContext) -> str:
    reference = context.config.get(_WORKFLOW)
    if not isinstance(reference, str) or not reference:
        raise NodeFailure(f"choose a workflow ({_WORKFLOW} is not set)")
    return reference


def _object(inputs: Mapping[str, Any], slot: str) -> dict[str, Any]:
    value = inputs.get(slot)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise NodeFailure(f"{slot} must be an object, not {describe(value)}", slot=slot)
    return value


def _number(context: NodeContext, key: str, default: int, most: int) -> int:
    value = context.config.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise NodeFailure(f"{key} must be a number from 1 to {most}, not {value!r}")
    return value


def _single(outputs: Mapping[str, Any]) -> Any:
    return next(iter(outputs.values())) if len(outputs) == 1 else dict(outputs)


_REFERENCE: Final = Slot(
    _T.STRING,
    display_name="Workflow 工作流",
    description="The workflow to run, of the same project or of the library.",
    required=True,
    match_categories=("ResourceId",),
    config={"acceptedTypes": choices({"workflow": "Workflow 工作流"}), "placeholder": "Choose a workflow 选择工作流"},
)
MAP = NodeDefinition(
    type="Map",
    namespace="flow",
    category=CATEGORY,
    display_name="Map",
    description="Runs a workflow for each item of a list, so many at a time. Its nodes report as NODE/INDEX/INNER.",
    inputs={
        "items": Slot(_T.ARRAY, required=True),
        "shared": Slot(_T.OBJECT, description="Further inputs of the workflow, the same for each item."),
    },
    outputs={
        "results": Slot(_T.ARRAY, description="For each item the workflow's output; an object when it has several."),
        "errors": Slot(_T.ARRAY, description="What failed, with its index, when failures do not end it."),
    },
    config_schema={
        _WORKFLOW: _REFERENCE,
        "itemInput": Slot(
            _T.STRING,
            display_name="Input for the item 条目的输入",
            description="The workflow's first input when not set.",
            config={"placeholder": "The first 第一个"},
        ),
        "concurrency": Slot(
            _T.INTEGER,
            display_name="At once 并发数",
            description="How many items are worked on at the same time.",
            config={"default": 4, "min": 1, "max": _MOST_AT_ONCE},
        ),
        "onError": Slot(
            _T.STRING,
            display_name="When an item fails 条目失败时",
            description="Whether the first item that fails ends it, or its result is null and its message stands in `errors`.",
            match_categories=("ComboOption",),
            config={
                "default": "fail",
                "suggestions": choices({"fail": "Fail 失败", "null": "Go on, with null in its place 继续，以 null 代替"}),
            },
        ),
    },
    config_values={"concurrency": 4, "onError": "fail"},
    execute=map_,
)
LOOP = NodeDefinition(
    type="Loop",
    namespace="flow",
    category=CATEGORY,
    display_name="Loop",
    description="Runs a workflow on a state until one of its outputs says that it is done. Its other outputs are the next round's state.",
    inputs={"state": Slot(_T.OBJECT, description="The workflow's inputs in the first round.")},
    outputs={"state": Slot(_T.OBJECT), "rounds": Slot(_T.INTEGER)},
    config_schema={
        _WORKFLOW: _REFERENCE,
        "untilOutput": Slot(
            _T.STRING,
            display_name="Output that ends it 结束循环的输出",
            description="It goes on until this output of the workflow is true.",
            config={"default": "done", "placeholder": "done"},
        ),
        "limit": Slot(
            _T.INTEGER,
            display_name="Most rounds 最多轮数",
            description="It fails when it is not done after so many rounds.",
            config={"default": 10, "min": 1, "max": _MOST_ROUNDS},
        ),
    },
    config_values={"untilOutput": "done", "limit": 10},
    execute=loop,
)
CALL_WORKFLOW = NodeDefinition(
    type="CallWorkflow",
    namespace="flow",
    category=CATEGORY,
    display_name="Call workflow",
    description="Runs a workflow that an input names.",
    inputs={
        "workflow": Slot(_T.STRING, required=True, match_categories=("ResourceId",)),
        "inputs": Slot(_T.OBJECT),
    },
    outputs={"outputs": Slot(_T.OBJECT)},
    execute=call_workflow,
)
