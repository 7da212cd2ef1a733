"""What the nodes that are one of several operations have in common."""

from collections.abc import Mapping

from tavernkeep import DataFlowType, Slot, choices


def choice_of(modes: Mapping[str, str], default: str) -> Slot:
    """The configuration by which a node's operation is chosen.

    Args:
        modes: What each is called; where there are many, as `group/name`.
    """
    return Slot(
        DataFlowType.STRING,
        display_name="Operation 运算",
        description="What is done with the inputs.",
        required=True,
        match_categories=("ComboOption",),
        config={"searchable": True, "suggestions": choices(modes), "default": default},
    )
