"""Parameters that several routes take."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Query

from ordertape import limits
from ordertape.errors import SettingRefused
from ordertape.tape.times import parse_time

__all__ = ["WRITTEN_SHORT", "EndTime", "StartTime", "moment", "period", "whole_number"]

WRITTEN_SHORT: Final[dict[str, Any]] = {
    "max_digits": 36,
    "decimal_places": 18,
    "allow_inf_nan": False,
}
"""Of a decimal parameter that is written out: whatever its exponent, it is short."""
StartTime = Annotated[
    str | None,
    Query(
        description="ISO 8601, up to nine digits, naive is UTC; our clock, with it",
        examples=["2026-11-22T07:00:00Z"],
    ),
]
EndTime = Annotated[
    str | None,
    Query(
        description="ISO 8601, up to nine digits, naive is UTC; our clock, without it",
        examples=["2026-11-22T08:00:00Z"],
    ),
]


def whole_number(name: str, given: str, highest: int) -> int:
    """A parameter that is a whole number, 0 or more.  Raises SettingRefused, which names it."""
    # Its length first: Python makes no int of more than 4,300 digits, and needs long for fewer.
    digits = given.lstrip("0") or given[:1]
    if not given.isdecimal() or len(digits) > len(str(highest)) or int(digits) > highest:
        shown = given[: limits.shown_text_max]
        raise SettingRefused(f"{name}: expected a whole number to {highest}, found {shown!r}")
    return int(digits)


def moment(name: str, given: str | None) -> int | None:
    """ns since 1970 UTC.  Raises SettingRefused, which names the parameter."""
    if given is None:
        return None
    try:
        # In a URL a plus is a blank: "+00:00" arrives as " 00:00".
        return parse_time(given.replace(" 0", "+0") if given.count(":") > 2 else given)
    except SettingRefused as error:
        raise SettingRefused(f"{name}: {error}") from None


def period(start_time: str | None, end_time: str | None) -> tuple[int | None, int | None]:
    """(start, end) in ns.  Raises SettingRefused where they are the wrong way round."""
    start, end = moment("start_time", start_time), moment("end_time", end_time)
    if start is not None and end is not None and end < start:
        raise SettingRefused(
            f"end_time: expected a time not before start_time {start_time}, found {end_time}"
        )
    return start, end
