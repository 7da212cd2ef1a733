"""The times of SillyTavern's messages, in each form that it has written over the years.

Where a form names no zone it is by the clock of whoever wrote it, which nobody knows any more: it is taken for UTC.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Any, Final

from tavernkeep.wire import iso

_MILLISECONDS: Final = 10**11  # a number of seconds beyond it is one of milliseconds
_LONGEST: Final = 100  # characters
_NUMBER: Final = re.compile(r"\d{9,16}(?:\.\d{1,9})?")
_STAMP: Final = re.compile(  # 2024-6-19 @14h 20m 5s 123ms
    r"(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})\s*@\s*"
    r"(?P<hour>\d{1,2})h\s*(?P<minute>\d{1,2})m(?:\s*(?P<second>\d{1,2})s)?(?:\s*(?P<milli>\d{1,3})ms)?",
    re.IGNORECASE,
)
_WORDS: Final = re.compile(  # June 19, 2024 2:20pm; Wed Jun 19 2024 14:20:05 GMT+0200 (CEST)
    r"(?:[a-z]{3,9},?\s+)?(?P<name>[a-z]{3,9})\.?\s+(?P<day>\d{1,2})(?:st|nd|rd|th)?,?\s+(?P<year>\d{4})"
    r"(?:,?(?:\s+at)?\s+(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:\.(?P<milli>\d{1,3}))?)?\s*(?P<half>[ap]\.?m\.?)?)?"
    r"(?:\s*(?:GMT|UTC|Z)?(?P<zone>[+-]\d{2}:?\d{2})?)?(?:\s*\([^()]*\))?",
    re.IGNORECASE,
)
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def moment_of(value: Any) -> str | None:
    """A time as ISO 8601 in UTC; `None` where the form is none that is known.

    >>> moment_of("June 19, 2024 2:20pm"), moment_of(1718806800123)
    ('2024-06-19T14:20:00.000Z', '2024-06-19T14:20:00.123Z')
    """
    try:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return _from_number(value)
        if not isinstance(value, str) or len(value) > _LONGEST:
            return None
        text = value.strip()
        if _NUMBER.fullmatch(text):
            return _from_number(float(text))
        for form in (_STAMP, _WORDS):
            if found := form.fullmatch(text):
                return _from_parts(found.groupdict())
        return _in_utc(_parsed(text))
    except (ValueError, OverflowError, OSError):
        return None


def _from_number(number: float) -> str | None:
    return iso(datetime.fromtimestamp(number / 1000 if number > _MILLISECONDS else number, UTC)) if number > 0 else None


def _parsed(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return parsedate_to_datetime(text)  # Wed, 19 Jun 2024 14:20:05 GMT


def _from_parts(parts: Mapping[str, str | None]) -> str | None:
    name = parts.get("name")
    month = _MONTHS.index(name[:3].lower()) + 1 if name else int(parts["month"] or 0)
    hour = int(parts["hour"] or 0)
    if half := parts.get("half"):
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half[0] in "pP" else 0)
    minute, second = (int(parts[key] or 0) for key in ("minute", "second"))
    zone = parts.get("zone")
    moment = datetime(int(parts["year"] or 0), month, int(parts["day"] or 0), hour, minute, second, tzinfo=_zone(zone) if zone else UTC)
    return _in_utc(moment + timedelta(milliseconds=int((parts["milli"] or "0").ljust(3, "0") if name else parts["milli"] or 0)))


def _zone(text: str) -> timezone:
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))


def _in_utc(moment: datetime) -> str:
    return iso(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
