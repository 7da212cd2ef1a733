"""The plugin: the policy for outgoing requests, the brake on guessing, and the audit log."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from tavernkeep import ConfigSection, ModelSet, Route, Services, hookimpl
from tavernkeep.contracts.app import App
from tavernkeep.contracts.auth import AuditLog, RequestLimiter
from tavernkeep.contracts.storage import Storage
from tavernkeep_guard.command import audit
from tavernkeep_guard.config import GuardConfig
from tavernkeep_guard.contracts import OutgoingHttp, Pictures, Throttle

if TYPE_CHECKING:
    from tavernkeep_guard.audit import Audit


_REQUESTS_PER_MINUTE: Final = 6000


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
        from tavernkeep_guard.routes import AuditRoutes

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
        from tavernkeep_guard.audit import Audit
        from tavernkeep_guard.outgoing import GuardedHttp, OutgoingPolicy
        from tavernkeep_guard.pictures import CheckedPictures
        from tavernkeep_guard.throttle import LoginThrottle, RequestRate

        config, local = app.config.section(GuardConfig), app.config.auth_provider == "local"
        self._audit = Audit(services.get(Storage))
        services.add(AuditLog, self._audit, owner=owner)
        services.add(Throttle, LoginThrottle(), owner=owner)
        usual = 0 if local else _REQUESTS_PER_MINUTE
        rate = config.requests_per_minute if config.requests_per_minute is not None else usual
        services.add(Pictures, CheckedPictures(config.max_picture_pixels), owner=owner)
        services.add(RequestLimiter, RequestRate(rate), owner=owner)
        private = config.allow_private if config.allow_private is not None else local
        services.add(OutgoingHttp, GuardedHttp(OutgoingPolicy.of(private, config.allowed)), owner=owner)
