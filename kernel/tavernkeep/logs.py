"""Logging: structlog for everything, the standard library's loggers included; secrets are taken out at the last step."""

import json
import logging
import re
import sys
from collections.abc import Iterable, Iterator, MutableMapping
from typing import Any, Final

import structlog

from tavernkeep.config.sections import LoggingConfig
from tavernkeep.contracts.auth import UserContext

HIDDEN: Final = "***"
_SECRET_KEYS: Final = re.compile(r"api_?key|authorization|password|passwd|secret|token|cookie|credential", re.IGNORECASE)
_SHORTEST_SECRET: Final = 4

_audit = structlog.get_logger("tavernkeep.audit")


def hide(value: Any, secrets: Iterable[str]) -> Any:
    """A copy of plain data in which no string holds one of the secrets, be it trimmed or escaped as Python or JSON write it."""
    # All at once: nodes in threads may add to them meanwhile.
    forms = {form for secret in tuple(secrets) for form in _forms(secret) if len(form) >= _SHORTEST_SECRET}
    return _hide(value, sorted(forms, key=len, reverse=True)) if forms else value


def _forms(secret: str) -> Iterator[str]:
    for form in {secret, secret.strip()}:
        yield from (form, repr(form)[1:-1], ascii(form)[1:-1], repr(form.encode("utf-8", "replace"))[2:-1], json.dumps(form)[1:-1])


def _hide(value: Any, secrets: list[str]) -> Any:
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, HIDDEN)
        return value
    if isinstance(value, bytes):
        for secret in secrets:
            value = value.replace(secret.encode(), HIDDEN.encode())
        return value
    if isinstance(value, dict):
        return {_hide(key, secrets): _hide(item, secrets) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_hide(item, secrets) for item in value]
    return value


class Redactor:
    """A structlog processor that hides the values of keys that sound secret, and known secrets wherever they stand."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = [secret for secret in secrets if secret]

    def __call__(self, logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        shown = {key: HIDDEN if isinstance(value, str) and _SECRET_KEYS.search(key) else value for key, value in event.items()}
        hidden: dict[str, Any] = hide(shown, self._secrets)
        return hidden


def configure_logging(config: LoggingConfig, secrets: Iterable[str] = ()) -> None:
    """Send all logs to standard error, as the configuration wants them.

    Args:
        secrets: Strings that must not appear in any line, such as the configured keys.
    """
    as_json = config.format == "json" or (config.format == "auto" and not sys.stderr.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    renderer = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    ending: list[Any] = [structlog.processors.format_exc_info, Redactor(secrets), renderer]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ending]
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(config.level.upper())
    # These tell of every connection, query or packet; that is for those who debug them.
    for name in ("asyncio", "aiosqlite", "tortoise", "httpcore2", "httpx2", "hypercorn.access"):
        logging.getLogger(name).setLevel("WARNING")


class AuditInLog:
    """See `AuditLog`: what was done stands in the log, and nowhere else."""

    def note(self, action: str, user: UserContext | None, *, target: str = "", address: str | None = None, **details: Any) -> None:
        """See `AuditLog`."""
        _audit.info(action, user=user.uid if user else None, target=target, address=address, **details)
