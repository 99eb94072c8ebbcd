"""Times at the edge: ISO 8601 text or ``datetime`` in, nanoseconds since 1970 UTC inside."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from ordertape.errors import SettingRefused

__all__ = ["Time", "day_end", "format_time", "parse_time"]

Time: TypeAlias = str | datetime | int
"""ISO 8601 text, a datetime (naive is UTC), or nanoseconds since 1970 UTC."""

SECOND = 10**9
DAY = 86_400 * SECOND
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TEXT = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)"
    r"(?:[T ](?P<time>\d\d:\d\d(?::\d\d)?)(?:[.,](?P<fraction>\d{1,9}))?"
    r"(?P<zone>[Zz]|[+-]\d\d:?\d\d)?)?"
)


def parse_time(value: Time) -> int:
    """Nanoseconds since 1970 UTC; naive input is UTC, a date alone its midnight.

    Raises SettingRefused where the text is no ISO 8601 time of up to nine digits.
    """
    if isinstance(value, bool):
        raise SettingRefused(f"expected a time, found {value!r}")
    if isinstance(value, int):
        return value
    if isinstance(value, datetime):
        return _from_datetime(value)
    found = _TEXT.fullmatch(value.strip())
    if found is None:
        raise SettingRefused(
            f"expected a time like 2026-11-22T07:00:00.123456789Z, found {value!r}"
        )
    zone = (found["zone"] or "Z").upper().replace("Z", "+00:00")
    try:
        moment = datetime.fromisoformat(f"{found['date']}T{found['time'] or '00:00'}{zone}")
    except ValueError as error:
        raise SettingRefused(f"expected a time, found {value!r}: {error}") from None
    return _from_datetime(moment) + int((found["fraction"] or "0").ljust(9, "0"))


def _from_datetime(moment: datetime) -> int:
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(microseconds=1) * 1000


def format_time(ns: int) -> str:
    """ISO 8601 with Z and as many of nine digits (in threes) as the moment has."""
    seconds, fraction = divmod(ns, SECOND)
    text = (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    digits = f"{fraction:09d}"
    while digits.endswith("000"):
        digits = digits[:-3]
    return f"{text}.{digits}Z" if digits else f"{text}Z"


def day_end(ns: int) -> int:
    """The first nanosecond of the next UTC day."""
    return (ns // DAY + 1) * DAY
