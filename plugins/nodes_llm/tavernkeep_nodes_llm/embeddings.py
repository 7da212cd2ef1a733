"""Embeddings: a vector for each text."""

from typing import Any

from tavernkeep import DataFlowType, NodeContext, NodeDefinition, NodeFailure, Slot
from tavernkeep.wire import describe
from tavernkeep_nodes_llm.adapters.errors import secrets_of
from tavernkeep_nodes_llm.contracts import Llm
from tavernkeep_nodes_llm.nodes import CATEGORY


async def embed(inputs: dict[str, Any], context: NodeContext) -> dict[str, Any]:
    """Embed one text or several."""
    given = inputs["texts"]
    texts = given if isinstance(given, list) else [given]
    for position, text in enumerate(texts):
        if not isinstance(text, str):
            raise NodeFailure(f"texts[{position}] must be a text, not {describe(text)}", slot="texts")
    if not texts:
        return {"vectors": []}
    model = str(inputs.get("activated_model_id") or "")
    channel, adapter = await context.service(Llm).route(model, context.user)
    for secret in secrets_of(channel):
        context.hide(secret)
    vectors = await adapter.embed(model, texts, channel)
    return {"vectors": vectors, "vector": vectors[0]}


EMBEDDINGS = NodeDefinition(
    type="Embeddings",
    namespace="llm",
    category=CATEGORY,
    display_name="Embeddings",
    description="A vector for each text, by an embedding model.",
    inputs={
        "texts": Slot(DataFlowType.WILDCARD, description="A text, or a list of texts.", required=True),
        "activated_model_id": Slot(DataFlowType.STRING, display_name="Model"),
    },
    outputs={
        "vectors": Slot(DataFlowType.ARRAY, description="One for each text.", match_categories=("VectorEmbedding",)),
        "vector": Slot(DataFlowType.ARRAY, description="That of the first text.", match_categories=("VectorEmbedding",)),
    },
    execute=embed,
    is_preview_unsafe=True,
)
