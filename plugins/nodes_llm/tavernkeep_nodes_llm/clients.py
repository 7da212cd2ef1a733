"""The HTTP clients that ask services: one within the policy for what workflows may reach, one for what the operator has set up."""

import attrs
import httpx2

from tavernkeep import Services
from tavernkeep_guard.contracts import OutgoingHttp
from tavernkeep_nodes_llm.config import LlmConfig
from tavernkeep_nodes_llm.contracts import Channel


@attrs.frozen
class ChannelClients:
    """A client for each kind of channel, made when it is first asked for."""

    config: LlmConfig
    services: Services
    _clients: dict[bool, httpx2.AsyncClient] = attrs.field(factory=dict)

    def of(self, channel: Channel) -> httpx2.AsyncClient:
        """Users' channels are asked within the policy for what workflows may reach; who set up the server's own may reach anything."""
        if channel.trusted not in self._clients:
            timeouts = {"timeout_s": self.config.timeout_s, "connect_timeout_s": self.config.connect_timeout_s}
            guarded = None if channel.trusted else self.services.find(OutgoingHttp)
            self._clients[channel.trusted] = guarded.client(**timeouts) if guarded else _unguarded(**timeouts)
        return self._clients[channel.trusted]

    async def close(self) -> None:
        """End their connections."""
        for client in self._clients.values():
            await client.aclose()


def _unguarded(timeout_s: float, connect_timeout_s: float) -> httpx2.AsyncClient:
    # No bound on connections: how many nodes may be at work is the engine's to say.
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=20)
    return httpx2.AsyncClient(timeout=httpx2.Timeout(timeout_s, connect=connect_timeout_s), limits=limits)
