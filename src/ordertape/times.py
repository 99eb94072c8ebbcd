"""Times at the edge: ISO 8601 text or ``datetime`` in, nanoseconds since 1970 UTC inside."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

from ordertape import limits
from ordertape.errors import SettingRefused

__all__ = [
    "FIRST_NS",
    "LAST_NS",
    "NS_PER_DAY",
    "NS_PER_MILLISECOND",
    "NS_PER_SECOND",
    "Time",
    "datetime_from_ns",
    "day_end",
    "iso_from_ns",
    "ns_from_datetime",
    "parse_time",
]

Time: TypeAlias = str | datetime | int
"""ISO 8601 text, a datetime (naive is UTC), or nanoseconds since 1970 UTC."""

NS_PER_MILLISECOND: Final = 1_000_000
NS_PER_SECOND: Final = 1_000_000_000
NS_PER_DAY: Final = 86_400 * NS_PER_SECOND
FIRST_NS: Final = -(2**63) + 1
LAST_NS: Final = 2**63 - 2
"""What an int64 holds, but for null, and with room for the one behind the last."""
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
        return _held(value)
    if isinstance(value, datetime):
        return _held(ns_from_datetime(value))
    found = _TEXT.fullmatch(value.strip())
    if found is None:
        shown = value[: limits.name_text_max]
        raise SettingRefused(
            f"expected a time like 2026-11-22T07:00:00.123456789Z, found {shown!r}"
        )
    zone = (found["zone"] or "Z").upper().replace("Z", "+00:00")
    try:
        moment = datetime.fromisoformat(f"{found['date']}T{found['time'] or '00:00'}{zone}")
    except ValueError as error:
        raise SettingRefused(f"expected a time, found {value!r}: {error}") from None
    return _held(ns_from_datetime(moment) + int((found["fraction"] or "0").ljust(9, "0")))


def _held(ns: int) -> int:
    """A time that every column and query can hold.  Raises SettingRefused."""
    if not FIRST_NS <= ns <= LAST_NS:
        raise SettingRefused(
            f"expected a time from {iso_from_ns(FIRST_NS)} to {iso_from_ns(LAST_NS)}"
        )
    return ns


def ns_from_datetime(moment: datetime) -> int:
    """Nanoseconds since 1970 UTC, exact to the microseconds of a datetime; naive is UTC."""
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(microseconds=1) * 1000


def datetime_from_ns(ns: int) -> datetime:
    """The moment ``ns`` nanoseconds after 1970 UTC, cut (not rounded) to microseconds."""
    return _EPOCH + timedelta(microseconds=ns // 1000)


def iso_from_ns(ns: int) -> str:
    """``2026-11-22T07:00:00.123456789Z``: three, six or nine digits after the point, or none."""
    seconds, fraction = divmod(ns, NS_PER_SECOND)
    text = (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    digits = f"{fraction:09d}"
    while digits.endswith("000"):
        digits = digits[:-3]
    return f"{text}.{digits}Z" if digits else f"{text}Z"


def day_end(ns: int) -> int:
    """The first nanosecond of the next UTC day."""
    return (ns // NS_PER_DAY + 1) * NS_PER_DAY
