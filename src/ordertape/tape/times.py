"""``ordertape.times`` under the name that other rooms know it by."""

from __future__ import annotations

from ordertape.times import Time, day_end, parse_time
from ordertape.times import iso_from_ns as format_time

__all__ = ["Time", "day_end", "format_time", "parse_time"]
