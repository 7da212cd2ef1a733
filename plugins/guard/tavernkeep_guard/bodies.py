"""What the routes take and give."""

from typing import Any, Final

import attrs


@attrs.frozen
class AuditEntry:
    """An entry of the audit log."""

    id: int
    at: str
    action: str
    target: str
    details: dict[str, Any]
    uid: str | None = None
    username: str | None = None
    credential: str | None = None
    address: str | None = None


_ID: Final = [attrs.validators.ge(0), attrs.validators.lt(2**63)]


@attrs.frozen
class AuditQuery:
    """Which entries.

    Attributes:
        action: What the action begins with: `login`, `key.`.
        before: AuditPage with a lower id than this: the next page.
    """

    uid: str | None = attrs.field(default=None, validator=attrs.validators.optional(attrs.validators.max_len(64)))
    action: str | None = attrs.field(default=None, validator=attrs.validators.optional(attrs.validators.max_len(60)))
    before: int | None = attrs.field(default=None, validator=attrs.validators.optional(_ID))
    limit: int = attrs.field(default=100, validator=[attrs.validators.ge(1), attrs.validators.le(1000)])


@attrs.frozen
class AuditPage:
    """Some entries of the audit log, the last first."""

    entries: list[AuditEntry]
