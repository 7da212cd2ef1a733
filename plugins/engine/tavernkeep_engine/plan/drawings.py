"""Nodes that editors draw and nobody runs: frames around others, and notes."""

from typing import Final

from tavernkeep.contracts.nodes import NodeDefinition

_NAMES: Final = frozenset({"frame", "note", "comment", "stickynote", "markdownnote"})
_OWNERS: Final = frozenset({"", "core"})  # the editor's own; those of a node pack that is not there may have been anything


def is_drawing(full_type: str, definition: NodeDefinition | None) -> bool:
    """Whether a node of a type, with its definition where there is one, is there for the editor alone."""
    if definition is not None:
        return definition.is_ui_node and definition.execute is None and not definition.modes and definition.resolve is None
    namespace, _, name = full_type.rpartition(":")
    return namespace in _OWNERS and name.casefold().replace("_", "").replace("-", "") in _NAMES
