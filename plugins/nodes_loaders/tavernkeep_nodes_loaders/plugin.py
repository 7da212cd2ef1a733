"""CharacterCardLoader, HistoryLoader, PresetLoader, RegexRuleLoader, WorldBookLoader: each reads a file."""

from tavernkeep import NodeDefinition, hookimpl
from tavernkeep_nodes_loaders.loaders import NODES


@hookimpl
def register_nodes() -> list[NodeDefinition]:
    return NODES
