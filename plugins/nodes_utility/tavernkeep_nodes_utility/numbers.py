"""RandomNumber: a number that stays, counts up, counts down, or is drawn anew at each run."""

import secrets
from typing import Any, Final

from tavernkeep import DataFlowType, NodeContext, NodeDefinition, NodeFailure, Slot, choices
from tavernkeep_nodes_utility.text import CATEGORY

LIMIT: Final = 2**32  # numbers are below this, and count round to 0
FIXED, INCREASE, DECREASE, RANDOM = "固定", "增加", "减少", "随机"


def random_number(inputs: dict[str, Any], context: NodeContext) -> dict[str, Any]:
    """Give the number that follows from the typed one, by the mode."""
    value, mode = inputs["value"], inputs["mode"]
    if mode == RANDOM:
        return {"number": secrets.randbelow(LIMIT)}
    if isinstance(value, bool) or not isinstance(value, int):
        raise NodeFailure(f"value must be an integer, not {value!r}", slot="value")
    if mode == FIXED:
        return {"number": value}
    if mode in (INCREASE, DECREASE):
        return {"number": (value + (1 if mode == INCREASE else -1)) % LIMIT}
    raise NodeFailure(f"mode must be one of {FIXED}, {INCREASE}, {DECREASE}, {RANDOM}, not {mode!r}", slot="mode")


RANDOM_NUMBER = NodeDefinition(
    type="RandomNumber",
    category=CATEGORY,
    display_name="Random number",
    description="A number: fixed, one more, one less, or drawn anew at each run.",
    width=260,
    inputs={
        "mode": Slot(
            DataFlowType.STRING,
            display_name="Mode",
            description=f"{FIXED}: the value; {INCREASE}: one more; {DECREASE}: one less; {RANDOM}: any number.",
            match_categories=("ComboOption",),
            config={
                "suggestions": choices({FIXED: "Fixed 固定", INCREASE: "Increase 增加", DECREASE: "Decrease 减少", RANDOM: "Random 随机"}),
                "default": FIXED,
            },
        ),
        "value": Slot(DataFlowType.INTEGER, display_name="Value", config={"default": 0, "min": 0, "max": LIMIT - 1}),
        "reroll": Slot(DataFlowType.WILDCARD, display_name="Draw", match_categories=("Trigger",), config={"label": "Draw 抽取"}),
    },
    outputs={"number": Slot(DataFlowType.INTEGER, display_name="Number")},
    client_script_url="client-scripts/RandomNumberNode.js",
    execute=random_number,
    inline=True,
)
