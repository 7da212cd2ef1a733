"""CharacterCardLoader, HistoryLoader, PresetLoader, RegexRuleLoader, WorldBookLoader: each reads the file that its configuration names."""

from tavernkeep import NodeDefinition, hookimpl
from tavernkeep_nodes_loaders.loaders import NODES


@hookimpl
def register_nodes() -> list[NodeDefinition]:
    return NODES
