"""Pages of events: what a page may read, its query, opaque cursors."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection, sql

from ordertape import limits
from ordertape.database.statistics import seq_bounds
from ordertape.errors import SettingRefused
from ordertape.filters import Filters
from ordertape.tape.times import Time, parse_time

__all__ = [
    "Bounds",
    "behind",
    "bounded",
    "bounds_of",
    "page_query",
    "read_cursor_text",
    "write_cursor",
]


@dataclass(frozen=True, slots=True)
class Bounds:
    """Which events a page may look at: first and last seq, and ts_recv (ns) from and before."""

    first_seq: int | None = None
    last_seq: int | None = None
    start_ns: int | None = None
    end_ns: int | None = None

    def conditions(self) -> tuple[list[str], list[Any]]:
        wanted = (
            ("sequence >= %s", self.first_seq),
            ("sequence <= %s", self.last_seq),
            ("ts_recv >= %s", self.start_ns),
            ("ts_recv < %s", self.end_ns),
        )
        given = [(text, value) for text, value in wanted if value is not None]
        return [text for text, _ in given], [value for _, value in given]


def conditions_of(filters: Filters) -> tuple[list[str], list[Any]]:
    """SQL conditions on ``level3_orders``, and their parameters."""
    side, kind = filters.side, filters.kind
    wanted = (
        ("side = %s", None if side is None else side.name.lower()),
        ("event_type = %s", None if kind is None else kind.name.lower()),
        ("order_id = %s", filters.order_id),
        ("price >= %s", filters.min_price),
        ("price <= %s", filters.max_price),
        ("size >= %s", filters.min_size),
    )
    given = [(text, value) for text, value in wanted if value is not None]
    return [text for text, _ in given], [value for _, value in given]


def page_query(
    exchange: str,
    symbol: str,
    bounds: Bounds,
    filters: Filters,
    *,
    descending: bool,
    rows: int,
) -> tuple[sql.Composed, list[Any]]:
    """The SQL of a page and its parameters."""
    texts, values = ["exchange = %s", "symbol = %s"], [exchange, symbol]
    for part in (bounds.conditions(), conditions_of(filters)):
        texts += part[0]
        values += part[1]
    source = sql.SQL("level3_orders")
    if filters.order_id is not None:
        # The function finds the rows of an order by the index; the view can't.
        source = sql.SQL("order_history(%s, %s, %s)")
        values = [exchange, symbol, filters.order_id, *values]
    query = sql.SQL(
        "SELECT order_id, sequence, side, price, size, event_type, metadata "
        "FROM {} WHERE {} ORDER BY sequence {} LIMIT %s"
    ).format(
        source,
        sql.SQL(" AND ").join(sql.SQL(text) for text in texts),
        sql.SQL("DESC" if descending else "ASC"),
    )
    return query, [*values, rows]


async def bounds_of(
    connection: AsyncConnection[Any],
    exchange: str,
    symbol: str,
    start_time: Time | None,
    end_time: Time | None,
) -> Bounds:
    """Times, and as sequences, which the index finds."""
    start = None if start_time is None else parse_time(start_time)
    end = None if end_time is None else parse_time(end_time)
    if start is None and end is None:
        return Bounds()
    first, after = await seq_bounds(connection, exchange, symbol, start, end)
    return Bounds(first, None if after is None else after - 1, start, end)


def behind(bounds: Bounds, seq: int | None, *, descending: bool) -> Bounds:
    """The bounds of the page that follows an event."""
    if seq is None:
        return bounds
    first, last = bounds.first_seq, bounds.last_seq
    if descending:
        last = seq - 1 if last is None else min(last, seq - 1)
    else:
        first = seq + 1 if first is None else max(first, seq + 1)
    return Bounds(first, last, bounds.start_ns, bounds.end_ns)


async def bounded(
    connection: AsyncConnection[Any],
    exchange: str,
    symbol: str,
    bounds: Bounds,
    *,
    descending: bool,
) -> tuple[Bounds, int | None]:
    """Bounds of a filtered page, so that rare events can't make it read everything.

    Also the seq that it reaches, None where that is the end.
    """
    query, values = page_query(exchange, symbol, bounds, Filters(), descending=descending, rows=1)
    found = await (await connection.execute(query, values)).fetchone()
    if found is None:
        return bounds, None
    begin = int(found[1])
    if descending:
        reached = begin - limits.page_scan_rows_max + 1
        first = reached if bounds.first_seq is None else max(reached, bounds.first_seq)
        ends = reached <= (bounds.first_seq or 1)
        limited = Bounds(first, bounds.last_seq, bounds.start_ns, bounds.end_ns)
        return limited, None if ends else reached
    reached = begin + limits.page_scan_rows_max - 1
    query, values = page_query(
        exchange,
        symbol,
        Bounds(reached + 1, bounds.last_seq, bounds.start_ns, bounds.end_ns),
        Filters(),
        descending=False,
        rows=1,
    )
    more = await (await connection.execute(query, values)).fetchone()
    if more is None:
        return bounds, None
    return Bounds(bounds.first_seq, reached, bounds.start_ns, bounds.end_ns), reached


def write_cursor(seq: int, *, descending: bool) -> str:
    """An opaque, URL-safe text for the place behind an event."""
    text = f"{'d' if descending else 'a'}{seq}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor_text(cursor: str, *, descending: bool) -> int:
    """The seq of the last event before the page.  Raises SettingRefused."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        text = base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, UnicodeError):
        text = ""
    if re.fullmatch(r"[ad]\d{1,19}", text) is None or int(text[1:]) >= 2**63:
        raise SettingRefused(
            f"cursor is {cursor[: limits.shown_text_max]!r}: expected the next_cursor of a page"
        )
    if (text[0] == "d") != descending:
        raise SettingRefused("cursor is of a page in the other order: expected the same order")
    return int(text[1:])
