"""Small helper nodes: text, numbers, streams, widgets."""

from tavernkeep import NodeDefinition, hookimpl
from tavernkeep_nodes_utility.numbers import RANDOM_NUMBER
from tavernkeep_nodes_utility.streams import STREAM_LOGGER, STREAM_SUFFIX_RELAY
from tavernkeep_nodes_utility.text import TEXT_MERGE
from tavernkeep_nodes_utility.widgets import TEST_WIDGETS


@hookimpl
def register_nodes() -> list[NodeDefinition]:
    return [TEXT_MERGE, RANDOM_NUMBER, STREAM_LOGGER, STREAM_SUFFIX_RELAY, TEST_WIDGETS]
