"""The wall clock. Whatever keeps or tells a time takes a `Clock`, so that a test can turn it; what only waits uses `time.monotonic`."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)
