"""Noticed losses, as the database knows them."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import psycopg

__all__ = ["Gap", "gap_figures", "gaps_between"]

_GAPS = """
    SELECT from_ns, to_ns, reason, healed_by FROM level3_gaps
    WHERE exchange = %s AND symbol = %s
        AND (%s::bigint IS NULL OR to_ns IS NULL OR to_ns > %s)
        AND (%s::bigint IS NULL OR from_ns < %s)
    ORDER BY from_ns
"""


class Gap(NamedTuple):
    """``to_ns`` is None while it lasts; ``healed_by``: the event of the book that healed it."""

    from_ns: int
    to_ns: int | None
    reason: str
    healed_by: int | None


def gaps_between(
    connection: psycopg.Connection,
    exchange: str,
    symbol: str,
    start: int | None,
    end: int | None,
) -> list[Gap]:
    """Those that touch an interval (ns; None: unbounded)."""
    found = connection.execute(_GAPS, (exchange, symbol, start, start, end, end))
    return [Gap(*row) for row in found]


def gap_figures(gaps: Sequence[Gap], start: int | None, end: int | None) -> dict[str, Any]:
    """How many, and the seconds of an interval that lie in those that are over."""
    lost = 0
    for gap in gaps:
        if gap.to_ns is None:
            continue
        first = gap.from_ns if start is None else max(start, gap.from_ns)
        last = gap.to_ns if end is None else min(end, gap.to_ns)
        lost += max(0, last - first)
    return {"count": len(gaps), "seconds": Decimal(lost).scaleb(-9)}
