"""`/api/admin/audit`."""

import attrs

from tavernkeep import Route
from tavernkeep_guard.audit import Audit
from tavernkeep_guard.bodies import AuditPage, AuditQuery


@attrs.frozen
class AuditRoutes:
    """The handlers; each does what its route says."""

    audit: Audit

    def routes(self) -> list[Route]:
        """The routes."""
        return [Route("GET", "/api/admin/audit", self.entries, "audit:admin")]

    async def entries(self, query: AuditQuery) -> AuditPage:
        """The audit log: logins, keys, roles, changes of plugins and configuration."""
        return AuditPage(await self.audit.entries(limit=query.limit, before=query.before, uid=query.uid, action=query.action))
