"""Branch, Switch, Merge: which way a workflow takes."""

from typing import Any, Final

from tavernkeep import DataFlowType, NodeContext, NodeDefinition, NodeMode, Routed, Slot
from tavernkeep.contracts.nodes import Resolution

CATEGORY: Final = "Flow"
_T = DataFlowType
_ANYTHING: Final = ("BehaviorWildcard",)
_OTHERWISE: Final = "default"


def branch(inputs: dict[str, Any], context: NodeContext) -> dict[str, Any]:
    """Give the value on the one way or the other."""
    condition = inputs["condition"]
    taken, other = ("true", "false") if condition else ("false", "true")
    return Routed({taken: inputs.get("value", condition)}, [other])


def switch(inputs: dict[str, Any], context: NodeContext) -> dict[str, Any]:
    """Give the value on the way of the first case that it equals."""
    value, cases = inputs["value"], _cases(context.config)
    taken = next((f"case_{number}" for number, case in enumerate(cases) if _same(case, value)), _OTHERWISE)
    ways = [*(f"case_{number}" for number in range(len(cases))), _OTHERWISE]
    return Routed({taken: inputs.get("data", value)}, [way for way in ways if way != taken])


def _cases(config: Any) -> list[Any]:
    cases = config.get("cases")
    return cases if isinstance(cases, list) else []


def _same(case: Any, value: Any) -> bool:
    """Equal, and of one kind: 1 is not true. A case that was typed as text also fits a number that is written so."""
    if isinstance(case, bool) is not isinstance(value, bool):
        return isinstance(case, str) and case == str(value).lower()
    return bool(case == value) or (isinstance(case, str) and not isinstance(value, (str, dict, list)) and case == str(value))


async def resolve_switch(resolution: Resolution) -> NodeMode:
    """An output for each case."""
    ways = {
        f"case_{number}": Slot(_T.WILDCARD, display_name=str(case), match_categories=_ANYTHING)
        for number, case in enumerate(_cases(resolution.config))
    }
    return NodeMode("", SWITCH.inputs, {**ways, **SWITCH.outputs})


def merge(inputs: dict[str, Any], context: NodeContext) -> dict[str, Any]:
    """Give what came, from whichever ways were taken."""
    given = inputs["inputs"]
    return {"value": given[0], "values": given}


BRANCH = NodeDefinition(
    type="Branch",
    namespace="flow",
    category=CATEGORY,
    display_name="Branch",
    description="Takes one of two ways. What only depends on the other is skipped.",
    inputs={
        "condition": Slot(
            _T.WILDCARD, description="Nothing, 0, false and what is empty are no.", required=True, match_categories=_ANYTHING
        ),
        "value": Slot(_T.WILDCARD, description="What goes on; the condition itself when absent.", match_categories=_ANYTHING),
    },
    outputs={
        "true": Slot(_T.WILDCARD, display_name="Yes", match_categories=_ANYTHING),
        "false": Slot(_T.WILDCARD, display_name="No", match_categories=_ANYTHING),
    },
    execute=branch,
    inline=True,
)
SWITCH = NodeDefinition(
    type="Switch",
    namespace="flow",
    category=CATEGORY,
    display_name="Switch",
    description="Takes the way of the first case that the value equals, else the last one. What only depends on the others is skipped.",
    dynamic_slots=True,
    inputs={
        "value": Slot(_T.WILDCARD, required=True, match_categories=_ANYTHING),
        "data": Slot(_T.WILDCARD, description="What goes on; the value itself when absent.", match_categories=_ANYTHING),
    },
    outputs={_OTHERWISE: Slot(_T.WILDCARD, display_name="Otherwise", match_categories=_ANYTHING)},
    config_schema={
        "cases": Slot(_T.ARRAY, display_name="Cases", description="Each has an output: case_0, case_1, …", config={"default": []})
    },
    config_values={"cases": []},
    execute=switch,
    inline=True,
    resolve=resolve_switch,
)
MERGE = NodeDefinition(
    type="Merge",
    namespace="flow",
    category=CATEGORY,
    display_name="Merge",
    description="Brings ways together: goes on with what came from those that were taken.",
    inputs={"inputs": Slot(_T.WILDCARD, required=True, multi=True, match_categories=_ANYTHING)},
    outputs={
        "value": Slot(_T.WILDCARD, description="The first that came, by the order of the edges.", match_categories=_ANYTHING),
        "values": Slot(_T.ARRAY, description="All that came."),
    },
    execute=merge,
    inline=True,
)
