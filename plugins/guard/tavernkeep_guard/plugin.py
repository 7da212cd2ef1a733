"""The plugin: the policy for outgoing requests, the brake on guessing, and the audit log."""

from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import click

from tavernkeep import ConfigSection, ModelSet, Route, Services, hookimpl
from tavernkeep.app import App
from tavernkeep.auth import AuditLog
from tavernkeep_guard.command import audit
from tavernkeep_guard.contracts import OutgoingHttp, Throttle

if TYPE_CHECKING:
    from tavernkeep_guard.audit import Audit


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
    """The policy for outgoing HTTP requests, the brake on guessing passwords, and the audit log."""

    def __init__(self) -> None:
        self._audit: Audit | None = None

    @hookimpl
    def register_models(self) -> list[ModelSet]:
        return [ModelSet("guard", "tavernkeep_guard.models", Path(__file__).parent / "migrations")]

    @hookimpl
    def register_commands(self) -> list[click.Command]:
        return [audit]

    @hookimpl
    def register_routes(self) -> list[Route]:
        from tavernkeep_guard.audit import AuditRoutes

        assert self._audit is not None, "services are registered before routes"
        return AuditRoutes(self._audit).routes()

    @hookimpl
    async def startup(self) -> None:
        if self._audit is not None:
            self._audit.start()

    @hookimpl
    async def shutdown(self) -> None:
        if self._audit is not None:
            await self._audit.close()

    @hookimpl
    def register_config(self) -> list[ConfigSection]:
        return [ConfigSection("guard", GuardConfig)]

    @hookimpl
    def register_services(self, app: App, services: Services, owner: str) -> None:
        from tavernkeep_guard.outgoing import GuardedHttp, OutgoingPolicy

        config = app.config.section(GuardConfig)
        private = config.allow_private if config.allow_private is not None else app.config.auth_provider == "local"
        from tavernkeep_guard.audit import Audit
        from tavernkeep_guard.throttle import LoginThrottle

        self._audit = Audit()
        services.add(AuditLog, self._audit, owner=owner)
        services.add(Throttle, LoginThrottle(), owner=owner)
        services.add(OutgoingHttp, GuardedHttp(OutgoingPolicy.of(private, config.allowed)), owner=owner)
