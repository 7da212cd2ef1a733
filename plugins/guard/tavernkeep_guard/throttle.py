"""The brake on guessing: by account and address together, by address, and by account for addresses that it has not been used from."""

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import attrs

from tavernkeep import ApiError, UserContext

_REMEMBERED: Final = 20_000  # of each kind; who has not tried for longest is forgotten first
_KNOWN_ADDRESSES: Final = 10


def place_of(address: str | None) -> str:
    """What counts as one client: an address, or of IPv6 the /64, all of which belongs to whoever has one of it.

    >>> place_of("203.0.113.7"), place_of("2001:db8::7"), place_of("::ffff:203.0.113.7"), place_of(None)
    ('203.0.113.7', '2001:db8::/64', '203.0.113.7', '')
    """
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return address or ""
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is None:
        return str(ipaddress.ip_network((parsed.packed[:8] + bytes(8), 64)))
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)


@attrs.frozen
class Rule:
    """How fast delays grow.

    Attributes:
        free: So many attempts go without a delay.
        longest_s: No delay is longer, in seconds.
    """

    free: int
    longest_s: float

    def delay_s(self, failures: int) -> float:
        """How long to wait after so many failures."""
        return 0.0 if failures < self.free else min(2.0 ** min(failures - self.free, 40), self.longest_s)


_PAIR: Final = Rule(5, 15 * 60.0)
_ADDRESS: Final = Rule(30, 15 * 60.0)
_ACCOUNT: Final = Rule(20, 60.0)  # from places that are new to it alone, and never long: whoever owns it must get in


@attrs.define(eq=False)
class RequestRate:
    """So many requests a minute of each user, and of each address without a login; half a minute's may come at once.

    See `tavernkeep.contracts.auth.RequestLimiter`. A token bucket for each, filled as time passes.

    Args:
        clock: Seconds, monotonic.
    """

    per_minute: int
    clock: Callable[[], float] = time.monotonic
    _buckets: OrderedDict[str, tuple[float, float]] = attrs.field(factory=OrderedDict)

    def wait_s(self, user: UserContext | None, address: str | None) -> float:
        """See `RequestLimiter`."""
        if not self.per_minute:
            return 0.0
        key, now, most = f"user {user.uid}" if user else f"from {place_of(address)}", self.clock(), max(1.0, self.per_minute / 2)
        left, since = self._buckets.pop(key, (most, now))
        left = min(most, left + (now - since) * self.per_minute / 60)
        allowed = left >= 1
        self._buckets[key] = (left - 1 if allowed else left, now)
        while len(self._buckets) > _REMEMBERED:
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (1 - left) * 60 / self.per_minute


@attrs.define(eq=False)
class _Failures:
    rule: Rule
    clock: Callable[[], float]
    _entries: OrderedDict[str, tuple[int, float]] = attrs.field(factory=OrderedDict)

    def wait_s(self, key: str) -> float:
        count, since = self._entries.get(key, (0, 0.0))
        return since + self.rule.delay_s(count) - self.clock()

    def add(self, key: str) -> None:
        count, since = self._entries.pop(key, (0, self.clock()))
        if self.clock() - since > 4 * self.rule.longest_s:
            count = 0
        self._entries[key] = (count + 1, self.clock())
        while len(self._entries) > _REMEMBERED:
            self._entries.popitem(last=False)

    def forget(self, key: str) -> None:
        self._entries.pop(key, None)

    def take_back(self, key: str) -> None:
        if key in self._entries:
            count, since = self._entries[key]
            self._entries[key] = (max(0, count - 1), since)


class LoginThrottle:
    """See `Throttle`.

    Args:
        clock: Seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._pairs = _Failures(_PAIR, clock)
        self._addresses = _Failures(_ADDRESS, clock)
        self._accounts = _Failures(_ACCOUNT, clock)
        self._known: OrderedDict[str, list[str]] = OrderedDict()

    def attempt(self, account: str, address: str | None) -> None:
        """See `Throttle`."""
        account, place = account.casefold()[:200], place_of(address)
        wait = max(self._pairs.wait_s(f"{account} {place}"), self._addresses.wait_s(place))
        if place not in self._known.get(account, ()):
            wait = max(wait, self._accounts.wait_s(account))
        if wait > 0:
            seconds = math.ceil(wait)
            raise ApiError(429, f"Too many attempts; try again in {seconds} s.", headers={"Retry-After": str(seconds)})
        self._pairs.add(f"{account} {place}")
        self._addresses.add(place)
        self._accounts.add(account)

    def passed(self, account: str, address: str | None) -> None:
        """See `Throttle`."""
        account, place = account.casefold()[:200], place_of(address)
        self._pairs.forget(f"{account} {place}")
        self._addresses.take_back(place)
        self._accounts.take_back(account)
        known = self._known.pop(account, [])
        self._known[account] = [*(other for other in known if other != place), place][-_KNOWN_ADDRESSES:]
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
