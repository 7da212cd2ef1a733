"""Branch, Switch, Merge: which way a workflow takes."""

from collections.abc import Mapping
from typing import Any, Final

from tavernkeep import DataFlowType, NodeContext, NodeDefinition, NodeMode, Routed, Slot, choices
from tavernkeep.contracts.nodes import Resolution
from tavernkeep_nodes_flow.listed import listed

CATEGORY: Final = "Flow"
_COUNT: Final = "caseCount"  # the configuration key by which an editor shows more or fewer ways
_COUNTS: Final = (1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 32)
_SHOWN: Final = 4  # ways where nobody has said how many
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
    value, cases = inputs["value"], listed(context.config, "cases")
    taken = next((_way(number) for number, case in enumerate(cases) if _same(case, value)), _OTHERWISE)
    return Routed({taken: inputs.get("data", value)}, [way for way in _ways(context.config) if way != taken])


def _way(number: int) -> str:
    return f"case_{number}"


def _ways(config: Mapping[str, Any]) -> dict[str, Slot]:
    """An output for each case, and for each that an editor shows without one."""
    cases = listed(config, "cases")
    shown = SWITCH.mode_for(config).outputs
    named = {_way(number): _case(str(case)) for number, case in enumerate(cases)}
    return {**named, **{key: slot for key, slot in shown.items() if key not in named}}


def _case(name: str) -> Slot:
    return Slot(_T.WILDCARD, display_name=name, match_categories=_ANYTHING)


def _same(case: Any, value: Any) -> bool:
    """Equal, and of one kind: 1 is not true. A case that was typed as text also fits a number that is written so."""
    if isinstance(case, bool) is not isinstance(value, bool):
        return isinstance(case, str) and case == str(value).lower()
    return bool(case == value) or (isinstance(case, str) and not isinstance(value, (str, dict, list)) and case == str(value))


async def resolve_switch(resolution: Resolution) -> NodeMode:
    """An output for each case."""
    return NodeMode("", SWITCH.inputs, _ways(resolution.config))


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
_SWITCHED: Final = {
    "value": Slot(_T.WILDCARD, display_name="Value", required=True, match_categories=_ANYTHING),
    "data": Slot(_T.WILDCARD, display_name="Data", description="What goes on; the value itself when absent.", match_categories=_ANYTHING),
}
_COUNTED: Final = {
    str(count): NodeMode(
        str(count),
        _SWITCHED,
        {**{_way(number): _case(f"Case {number}") for number in range(count)}, _OTHERWISE: _case("Otherwise")},
        display_name=f"{count} cases",
    )
    for count in _COUNTS
}
SWITCH = NodeDefinition(
    type="Switch",
    namespace="flow",
    category=CATEGORY,
    display_name="Switch",
    description="Takes the way of the first case that the value equals, else the last one. What only depends on the others is skipped.",
    dynamic_slots=True,
    inputs=_SWITCHED,
    outputs=_COUNTED[str(_SHOWN)].outputs,
    modes=_COUNTED,
    default_mode_id=str(_SHOWN),
    mode_config_key=_COUNT,
    config_schema={
        "cases": Slot(
            _T.STRING,
            display_name="Cases 情形",
            description="What the value is compared with, one on each line, or a JSON list. Each has an output: case_0, case_1, …",
            config={"default": "", "multiline": True, "placeholder": "One on each line 每行一个"},
        ),
        _COUNT: Slot(
            _T.STRING,
            display_name="Outputs shown 显示的输出",
            description="How many cases have an output in the editor.",
            match_categories=("ComboOption",),
            config={"default": str(_SHOWN), "suggestions": choices({str(count): f"{count} cases {count} 种情形" for count in _COUNTS})},
        ),
    },
    config_values={"cases": "", _COUNT: str(_SHOWN)},
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
