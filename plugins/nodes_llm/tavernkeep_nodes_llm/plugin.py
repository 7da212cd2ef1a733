"""The plugin: the nodes, the adapters, and who finds the channel for a model."""

from tavernkeep import ConfigSection, NodeDefinition, Services, hookimpl
from tavernkeep.contracts.app import App
from tavernkeep_nodes_llm import direct, hookspecs
from tavernkeep_nodes_llm.adapters.anthropic import AnthropicAdapter
from tavernkeep_nodes_llm.adapters.demo import DemoAdapter
from tavernkeep_nodes_llm.adapters.google import GoogleAdapter
from tavernkeep_nodes_llm.adapters.ollama import OllamaAdapter
from tavernkeep_nodes_llm.adapters.openai import OpenAiAdapter
from tavernkeep_nodes_llm.agent import AGENT
from tavernkeep_nodes_llm.channels import ConfiguredChannels, LlmRouter, by_id
from tavernkeep_nodes_llm.clients import ChannelClients
from tavernkeep_nodes_llm.config import LlmConfig
from tavernkeep_nodes_llm.contracts import Llm, LlmAdapter
from tavernkeep_nodes_llm.embeddings import EMBEDDINGS
from tavernkeep_nodes_llm.nodes import CREATE_MESSAGE, GENERIC_LLM_REQUEST, MERGE_MESSAGES
from tavernkeep_nodes_llm.structured import STRUCTURED_OUTPUT


class NodesLlmPlugin:
    """Nodes that talk to language models, and the adapters for their services."""

    def __init__(self) -> None:
        self._clients: ChannelClients | None = None

    @hookimpl
    def register_hookspecs(self) -> list[object]:
        return [hookspecs]

    @hookimpl
    def register_config(self) -> list[ConfigSection]:
        return [ConfigSection("llm", LlmConfig)]

    @hookimpl
    def llm_adapters(self, app: App) -> list[LlmAdapter]:
        config = app.config.section(LlmConfig)
        self._clients = ChannelClients(config, app.services)
        over_http = (OpenAiAdapter, AnthropicAdapter, GoogleAdapter, OllamaAdapter)
        return [*(adapter(self._clients.of, config) for adapter in over_http), DemoAdapter(config.demo_delay_s)]

    @hookimpl
    def register_services(self, app: App, services: Services, owner: str) -> None:
        config = app.config.section(LlmConfig)
        adapters = by_id(app.plugins.call("llm_adapters", app=app))
        services.add(Llm, LlmRouter(ConfiguredChannels(config), adapters), owner=owner)

    @hookimpl
    def register_nodes(self) -> list[NodeDefinition]:
        return [GENERIC_LLM_REQUEST, CREATE_MESSAGE, MERGE_MESSAGES, STRUCTURED_OUTPUT, AGENT, EMBEDDINGS, *direct.NODES]

    @hookimpl
    async def shutdown(self) -> None:
        if self._clients is not None:
            await self._clients.close()
