"""The plugin: the nodes, the adapters, and who finds the channel for a model."""

from collections.abc import Iterable

import httpx2
import structlog

from tavernkeep import ConfigSection, NodeDefinition, Services, hookimpl
from tavernkeep.contracts.app import App
from tavernkeep_guard.contracts import OutgoingHttp
from tavernkeep_nodes_llm import direct, hookspecs
from tavernkeep_nodes_llm.adapters.anthropic import AnthropicAdapter
from tavernkeep_nodes_llm.adapters.demo import DemoAdapter
from tavernkeep_nodes_llm.adapters.google import GoogleAdapter
from tavernkeep_nodes_llm.adapters.ollama import OllamaAdapter
from tavernkeep_nodes_llm.adapters.openai import OpenAiAdapter
from tavernkeep_nodes_llm.agent import AGENT
from tavernkeep_nodes_llm.channels import ConfiguredChannels, LlmConfig, LlmRouter
from tavernkeep_nodes_llm.contracts import Channel, Llm, LlmAdapter
from tavernkeep_nodes_llm.embeddings import EMBEDDINGS
from tavernkeep_nodes_llm.nodes import CREATE_MESSAGE, GENERIC_LLM_REQUEST, MERGE_MESSAGES
from tavernkeep_nodes_llm.structured import STRUCTURED_OUTPUT

_log = structlog.get_logger(__name__)


class NodesLlmPlugin:
    """Nodes that talk to language models, and the adapters for their services."""

    def __init__(self) -> None:
        self._clients: dict[bool, httpx2.AsyncClient] = {}

    @hookimpl
    def register_hookspecs(self) -> list[object]:
        return [hookspecs]

    @hookimpl
    def register_config(self) -> list[ConfigSection]:
        return [ConfigSection("llm", LlmConfig)]

    @hookimpl
    def llm_adapters(self, app: App) -> list[LlmAdapter]:
        config = app.config.section(LlmConfig)

        def client(channel: Channel) -> httpx2.AsyncClient:
            """Users' channels are asked within the policy for what workflows may reach; who set up the server's own may reach anything."""
            if channel.trusted not in self._clients:
                timeouts = {"timeout_s": config.timeout_s, "connect_timeout_s": config.connect_timeout_s}
                guarded = None if channel.trusted else app.services.find(OutgoingHttp)
                self._clients[channel.trusted] = guarded.client(**timeouts) if guarded else _unguarded(**timeouts)
            return self._clients[channel.trusted]

        over_http = (OpenAiAdapter, AnthropicAdapter, GoogleAdapter, OllamaAdapter)
        return [*(adapter(client, config) for adapter in over_http), DemoAdapter(config.demo_delay_s)]

    @hookimpl
    def register_services(self, app: App, services: Services, owner: str) -> None:
        config = app.config.section(LlmConfig)
        adapters: dict[str, LlmAdapter] = {}
        for plugin, offered in app.plugins.call("llm_adapters", app=app):
            _add(adapters, offered, str(plugin))
        services.add(Llm, LlmRouter(ConfiguredChannels(config), adapters), owner=owner)

    @hookimpl
    def register_nodes(self) -> list[NodeDefinition]:
        return [GENERIC_LLM_REQUEST, CREATE_MESSAGE, MERGE_MESSAGES, STRUCTURED_OUTPUT, AGENT, EMBEDDINGS, *direct.NODES]

    @hookimpl
    async def shutdown(self) -> None:
        for client in self._clients.values():
            await client.aclose()


def _unguarded(timeout_s: float, connect_timeout_s: float) -> httpx2.AsyncClient:
    # No bound on connections: how many nodes may be at work is the engine's to say.
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=20)
    return httpx2.AsyncClient(timeout=httpx2.Timeout(timeout_s, connect=connect_timeout_s), limits=limits)


def _add(adapters: dict[str, LlmAdapter], offered: Iterable[LlmAdapter], owner: str) -> None:
    for adapter in offered:
        if adapter.id in adapters:
            _log.error("two plugins offer an LLM adapter of the same name", adapter=adapter.id, ignored=owner)
        else:
            adapters[adapter.id] = adapter
