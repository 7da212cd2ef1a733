"""StreamLogger and StreamSuffixRelay: pass a stream on."""

from collections.abc import AsyncIterator
from typing import Any

import attrs

from tavernkeep import Chunk, DataFlowType, NodeContext, NodeDefinition, Slot
from tavernkeep_nodes_utility.text import CATEGORY


async def stream_logger(inputs: dict[str, Any], context: NodeContext) -> AsyncIterator[Chunk]:
    """Log each chunk and pass it on."""
    log = context.log
    async for chunk in inputs["inputStream"]:
        log.info("chunk", chunk_type=chunk.type, content=chunk.content)
        yield attrs.evolve(chunk, slot=None)


async def stream_suffix_relay(inputs: dict[str, Any], context: NodeContext) -> AsyncIterator[Chunk]:
    """Pass each chunk on, texts with the suffix behind them."""
    suffix = str(inputs["suffix"])
    async for chunk in inputs["inputStream"]:
        content = f"{chunk.content}{suffix}" if chunk.type == "text_chunk" else chunk.content
        yield attrs.evolve(chunk, content=content, slot=None)


STREAM_LOGGER = NodeDefinition(
    type="StreamLogger",
    category=CATEGORY,
    display_name="Stream logger",
    description="Writes each chunk of a stream to the server's log and passes it on.",
    inputs={"inputStream": Slot(DataFlowType.WILDCARD, display_name="Stream", is_stream=True, required=True)},
    outputs={"outputStream": Slot(DataFlowType.WILDCARD, display_name="Stream", is_stream=True)},
    execute=stream_logger,
)
STREAM_SUFFIX_RELAY = NodeDefinition(
    type="StreamSuffixRelay",
    category=CATEGORY,
    display_name="Stream suffix relay",
    description="Adds a suffix to each piece of text of a stream.",
    inputs={
        "inputStream": Slot(DataFlowType.STRING, display_name="Stream", is_stream=True, required=True),
        "suffix": Slot(DataFlowType.STRING, display_name="Suffix", config={"default": "---", "multiline": False}),
    },
    outputs={"outputStream": Slot(DataFlowType.STRING, display_name="Stream", is_stream=True)},
    execute=stream_suffix_relay,
)
