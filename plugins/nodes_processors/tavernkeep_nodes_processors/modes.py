"""What the nodes that are one of several operations have in common."""

from collections.abc import Iterable

from tavernkeep import DataFlowType, Slot


def choice_of(modes: Iterable[str], default: str) -> Slot:
    """The configuration by which a node's operation is chosen."""
    return Slot(
        DataFlowType.STRING,
        display_name="Operation",
        required=True,
        match_categories=("ComboOption",),
        config={"searchable": True, "suggestions": [{"value": mode} for mode in modes], "default": default},
    )
