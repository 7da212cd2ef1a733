"""The plugin: the policy for outgoing requests, as a service."""

import attrs

from tavernkeep import ConfigSection, Services, hookimpl
from tavernkeep.app import App
from tavernkeep_guard.contracts import OutgoingHttp


@attrs.frozen
class GuardConfig:
    """Where requests of workflows may go.

    Attributes:
        allow_private: Whether to this machine and private networks; in single-user mode alone when not set.
        allowed: What may be reached all the same: names, `name:port`, addresses, networks.
    """

    allow_private: bool | None = None
    allowed: list[str] = attrs.field(factory=list)


class GuardPlugin:
    """The policy for outgoing HTTP requests."""

    @hookimpl
    def register_config(self) -> list[ConfigSection]:
        return [ConfigSection("guard", GuardConfig)]

    @hookimpl
    def register_services(self, app: App, services: Services, owner: str) -> None:
        from tavernkeep_guard.outgoing import GuardedHttp, OutgoingPolicy

        config = app.config.section(GuardConfig)
        private = config.allow_private if config.allow_private is not None else app.config.auth_provider == "local"
        services.add(OutgoingHttp, GuardedHttp(OutgoingPolicy.of(private, config.allowed)), owner=owner)
