"""The hook that this plugin adds."""

from collections.abc import Iterable

from tavernkeep import hookspec
from tavernkeep.contracts.app import App
from tavernkeep_nodes_llm.contracts import LlmAdapter


@hookspec
def llm_adapters(app: App) -> Iterable[LlmAdapter]:  # type: ignore[empty-body]
    """Adapters for kinds of LLM services; a channel names one by its id."""
