"""Times as the macros of character cards write them, in English: the patterns of moment.js, which cards are written for.

Source: https://momentjs.com/docs/#/displaying/format/
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

_DAYS: Final = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_OFFSET: Final = re.compile(r"(?:utc|gmt)?\s*([+-])\s*(\d{1,2})(?::?([0-5]\d))?", re.IGNORECASE)
_LONG: Final = {
    "LTS": "h:mm:ss A",
    "LT": "h:mm A",
    "LLLL": "dddd, MMMM D, YYYY h:mm A",
    "LLL": "MMMM D, YYYY h:mm A",
    "LL": "MMMM D, YYYY",
    "L": "MM/DD/YYYY",
    "llll": "ddd, MMM D, YYYY h:mm A",
    "lll": "MMM D, YYYY h:mm A",
    "ll": "MMM D, YYYY",
    "l": "M/D/YYYY",
}
_TOKENS: Final[Mapping[str, Callable[[datetime], str]]] = {
    "YYYYYY": lambda at: f"+{at.year:06}",
    "YYYY": lambda at: f"{at.year:04}",
    "YY": lambda at: f"{at.year % 100:02}",
    "Y": lambda at: str(at.year),
    "Qo": lambda at: _ordinal((at.month + 2) // 3),
    "Q": lambda at: str((at.month + 2) // 3),
    "MMMM": lambda at: _MONTHS[at.month - 1],
    "MMM": lambda at: _MONTHS[at.month - 1][:3],
    "MM": lambda at: f"{at.month:02}",
    "Mo": lambda at: _ordinal(at.month),
    "M": lambda at: str(at.month),
    "DDDD": lambda at: f"{at.timetuple().tm_yday:03}",
    "DDDo": lambda at: _ordinal(at.timetuple().tm_yday),
    "DDD": lambda at: str(at.timetuple().tm_yday),
    "DD": lambda at: f"{at.day:02}",
    "Do": lambda at: _ordinal(at.day),
    "D": lambda at: str(at.day),
    "dddd": lambda at: _DAYS[_weekday(at)],
    "ddd": lambda at: _DAYS[_weekday(at)][:3],
    "dd": lambda at: _DAYS[_weekday(at)][:2],
    "do": lambda at: _ordinal(_weekday(at)),
    "d": lambda at: str(_weekday(at)),
    "e": lambda at: str(_weekday(at)),
    "E": lambda at: str(at.isoweekday()),
    "GGGG": lambda at: f"{at.isocalendar().year:04}",
    "WW": lambda at: f"{at.isocalendar().week:02}",
    "Wo": lambda at: _ordinal(at.isocalendar().week),
    "W": lambda at: str(at.isocalendar().week),
    "HH": lambda at: f"{at.hour:02}",
    "H": lambda at: str(at.hour),
    "hh": lambda at: f"{at.hour % 12 or 12:02}",
    "h": lambda at: str(at.hour % 12 or 12),
    "kk": lambda at: f"{at.hour or 24:02}",
    "k": lambda at: str(at.hour or 24),
    "mm": lambda at: f"{at.minute:02}",
    "m": lambda at: str(at.minute),
    "ss": lambda at: f"{at.second:02}",
    "s": lambda at: str(at.second),
    "SSS": lambda at: f"{at.microsecond // 1000:03}",
    "SS": lambda at: f"{at.microsecond // 10_000:02}",
    "S": lambda at: str(at.microsecond // 100_000),
    "A": lambda at: "PM" if at.hour >= 12 else "AM",
    "a": lambda at: "pm" if at.hour >= 12 else "am",
    "ZZ": lambda at: _offset(at).replace(":", ""),
    "Z": lambda at: _offset(at),
    "zz": lambda at: at.tzname() or "",
    "z": lambda at: at.tzname() or "",
    "X": lambda at: str(int(at.timestamp())),
    "x": lambda at: str(int(at.timestamp() * 1000)),
}
_PIECE: Final = re.compile(r"\[([^\[\]]*)\]|(" + "|".join(sorted((*_LONG, *_TOKENS), key=len, reverse=True)) + ")")
_SPANS: Final = (  # up to so many seconds, in units of so many, called so
    (45, 1, "a few seconds"),
    (90, 60, "a minute"),
    (45 * 60, 60, "{} minutes"),
    (90 * 60, 3600, "an hour"),
    (22 * 3600, 3600, "{} hours"),
    (36 * 3600, 86_400, "a day"),
    (26 * 86_400, 86_400, "{} days"),
    (45 * 86_400, 2_629_746, "a month"),
    (320 * 86_400, 2_629_746, "{} months"),
    (548 * 86_400, 31_556_952, "a year"),
)


def formatted(at: datetime, pattern: str) -> str:
    """A time by a pattern; what stands in square brackets stays as it is.

    >>> formatted(datetime(2026, 11, 5, 16, 7, tzinfo=UTC), "dddd Do MMM YYYY, h:mm a [UTC]Z")
    'Thursday 5th Nov 2026, 4:07 pm UTC+00:00'
    """

    def made(found: re.Match[str]) -> str:
        if found[1] is not None:
            return found[1]
        token = found[2]
        return formatted(at, _LONG[token]) if token in _LONG else _TOKENS[token](at)

    return _PIECE.sub(made, pattern)


def zone_of(name: str) -> tzinfo:
    """A time zone by its name (`Asia/Shanghai`) or by what it is off from UTC (`UTC+8`, `+05:30`).

    Raises:
        ValueError: There is none.
    """
    name = name.strip()
    if name.upper() in ("UTC", "GMT", "Z"):
        return UTC
    if found := _OFFSET.fullmatch(name):
        off = timedelta(hours=int(found[2]), minutes=int(found[3] or 0))
        if off < timedelta(days=1):
            return timezone(-off if found[1] == "-" else off)
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{name[:100]!r} is no time zone") from None


def time_in(text: str, zone: tzinfo | None) -> datetime:
    """A time of ISO 8601; one that says no zone is of this one, or of the machine's.

    Raises:
        ValueError: It is none.
    """
    at = datetime.fromisoformat(text.strip())
    return at.replace(tzinfo=zone) if at.tzinfo is None and zone is not None else at.astimezone(zone)


def apart(first: datetime, second: datetime) -> str:
    """How long one time is before or after another, roughly.

    >>> apart(datetime(2026, 1, 3, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))
    'in 2 days'
    """
    seconds = (first - second).total_seconds()
    length = abs(seconds)
    span = next(((words, unit) for most, unit, words in _SPANS if length < most), ("{} years", 31_556_952))
    words = span[0].format(max(2, round(length / span[1])))
    return f"in {words}" if seconds > 0 else f"{words} ago"


def _weekday(at: datetime) -> int:
    return at.isoweekday() % 7


def _ordinal(number: int) -> str:
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _offset(at: datetime) -> str:
    minutes = int((at.utcoffset() or timedelta()).total_seconds() // 60)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
