"""How the machine and the server do, and the login of those who may know."""

import hmac
import os
import platform
import secrets
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, Final

import attrs

from tavernkeep.clock import now
from tavernkeep.wire import iso
from tavernkeep_console.config import BackendPanelConfig

_TOKEN_S: Final = 12 * 3600.0
_MOST_TOKENS: Final = 100


@attrs.define
class Gatekeeper:
    """The login of the status page, apart from that of users.

    Attributes:
        clock: Seconds, monotonic.
    """

    config: BackendPanelConfig
    clock: Callable[[], float] = time.monotonic
    _tokens: dict[str, float] = attrs.field(factory=dict)

    @property
    def is_needed(self) -> bool:
        """Whether anybody must log in."""
        return self.config.enable_auth

    def login(self, username: str, password: str) -> str | None:
        """A token for who knows both words, for twelve hours; else `None`."""
        name, word = self.config.username or "", self.config.password or ""
        same_name = hmac.compare_digest(username.encode("utf-8", "replace"), name.encode())
        same_word = hmac.compare_digest(password.encode("utf-8", "replace"), word.encode())
        if not (same_name and same_word and word):
            return None
        now = self.clock()
        self._tokens = {token: until for token, until in list(self._tokens.items())[-_MOST_TOKENS:] if until > now}
        token = secrets.token_urlsafe(32)
        self._tokens[token] = now + _TOKEN_S
        return token

    def lets_in(self, authorization: str | None) -> bool:
        """Whether a request with this `Authorization` may see the status."""
        if not self.is_needed:
            return True
        token = (authorization or "").removeprefix("Bearer ")
        return self._tokens.get(token, 0.0) > self.clock()


def status(started: float, data: str) -> dict[str, Any]:
    """How the machine and the server do. Sizes are bytes, times seconds, loads percent.

    Args:
        started: When the server did, in seconds, monotonic.
        data: The data folder, whose disk is told of.
    """
    import psutil  # late, as it would hold up the start of every server

    memory, disk, network, own = psutil.virtual_memory(), psutil.disk_usage(data), psutil.net_io_counters(), psutil.Process()
    return {
        "version": version("tavernkeep-kernel"),
        "uptime": time.monotonic() - started,
        "os": {"platform": platform.system(), "release": platform.release(), "arch": platform.machine(), "hostname": platform.node()},
        "python": platform.python_version(),
        "cpu": {
            "count": os.cpu_count(),
            "usage": psutil.cpu_percent(),
            "load": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        },
        "memory": {
            "total": memory.total,
            "used": memory.total - memory.available,
            "percent": memory.percent,
            "process": own.memory_info().rss,
        },
        "disks": [{"mount": data, "total": disk.total, "used": disk.used, "percent": disk.percent}],
        "network": {"sent": network.bytes_sent, "received": network.bytes_recv} if network else None,
        "timestamp": iso(now()),
    }
