"""Orders from birth to end, in pages."""

from __future__ import annotations

import base64
import binascii
import time
import zlib
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from ordertape import limits
from ordertape.api.answers import exact
from ordertape.api.context import Api, Exchange, Meant, Symbol, TheApi
from ordertape.api.query import EndTime, StartTime, period
from ordertape.api.work import Leave
from ordertape.errors import MarketBusy, SettingRefused
from ordertape.events import REASON_CODES, REASONS, Side
from ordertape.lifecycles.log import LivesLog, Wanted
from ordertape.lifecycles.tables import ENDINGS, FLAGS, with_distances
from ordertape.models import iso_from_ns

__all__ = ["router"]

router = APIRouter(tags=["lifecycles"])
ENDING_CODES = {text: code for code, text in ENDINGS.items()}
Place = tuple[int, int | str]
"""Of a row in a log: told_seq and nth; of an order that is alive: opened_seq and its id."""


@router.get(
    "/lifecycles/{exchange}/{symbol:path}",
    summary="Orders from birth to end, a row each, a page at a time",
    response_class=Response,
    responses={
        200: {"description": "as docs/lifecycles.md says"},
        409: {"description": "it does not persist, or much of its archive is being stored yet"},
    },
)
async def lifecycles(
    request: Request,
    api: TheApi,
    exchange: Exchange,
    symbol: Symbol,
    start_time: StartTime = None,
    end_time: EndTime = None,
    limit: Annotated[
        int, Query(ge=1, le=limits.page_rows_max, description="most rows in the answer")
    ] = limits.page_rows_default,
    cursor: Annotated[str | None, Query(description="next_cursor of the page before")] = None,
    order_id: Annotated[str | None, Query(description="the venue's own text")] = None,
    min_size: Annotated[
        Decimal | None,
        Query(
            ge=0, lt=10**18, allow_inf_nan=False, description="of the size it opened with, with it"
        ),
    ] = None,
    reason: Annotated[
        Literal["filled", "canceled", "unknown", "self-trade", "expired", "admin"] | None,
        Query(description="why it ended"),
    ] = None,
    ending: Annotated[
        Literal["told", "cut", "evicted"] | None,
        Query(description="whether the venue told its end, or knowledge of it ended"),
    ] = None,
    alive: Annotated[
        bool, Query(description="those that go on, in their place; times are then of their opening")
    ] = False,
) -> Response:
    meant = api.find(exchange, symbol)
    if not meant.persists:
        raise MarketBusy(
            f"{meant.exchange} {meant.symbol} does not persist: its events are live only"
        )
    start, end = period(start_time, end_time)
    wanted = Wanted(
        start,
        end,
        order_id,
        None if reason is None else REASON_CODES[reason],
        None if ending is None else ENDING_CODES[ending],
        min_size,
        by="opened" if alive else "ended",
    )
    query = f"lifecycles {meant.exchange} {meant.symbol} {alive} {wanted}"
    place = None if cursor is None else _decode(cursor, query, alive)

    def answer(leave: Leave) -> dict[str, Any]:
        log = api.lives(meant)
        if alive:
            rows, following = _alive(log, wanted, place, limit, leave)
        else:
            rows, following = _ended(api, meant, log, wanted, place, limit, leave)
        return {
            "exchange": meant.exchange,
            "symbol": meant.symbol,
            "start_time": None if start is None else iso_from_ns(start),
            "end_time": None if end is None else iso_from_ns(end),
            "count": len(rows),
            "lifecycles": rows,
            "next_cursor": None if following is None else _encode(following, query),
            **meant.envelope(api.history(meant)),
        }

    return exact(await api.work.run(request, answer))


# Pages --------------------------------------------------------------------------------------------


def _ended(
    api: Api,
    meant: Meant,
    log: LivesLog,
    wanted: Wanted,
    place: Place | None,
    limit: int,
    leave: Leave,
) -> tuple[list[dict[str, Any]], Place | None]:
    """Blocking work: rows behind a place, and the place of the last one looked at where there may
    be more.  A page that took too long to look for its rows is short."""
    after = place[0] if place is not None else 0
    if wanted.start is not None:  # no end is known before it is there
        after = max(after, api.lookup(meant).seq_from(wanted.start))
    rows: list[dict[str, Any]] = []
    deadline = time.monotonic() + limits.page_scan_ms_max / 1000
    for stretch in log.stretches(after, wanted, leave):
        table = stretch.rows if place is None else _behind(stretch.rows, "nth", place, "told_seq")
        taken = table.slice(0, limit - len(rows))
        rows += _shown(taken)
        if len(taken) < len(table):
            return rows, (_cell(taken, "told_seq"), _cell(taken, "nth"))
        if len(rows) == limit or time.monotonic() > deadline:
            return rows, stretch.last
    return rows, None


def _alive(
    log: LivesLog, wanted: Wanted, place: Place | None, limit: int, leave: Leave
) -> tuple[list[dict[str, Any]], Place | None]:
    """Blocking work: the same of orders that go on."""
    table = wanted.of(log.alive(leave))
    if place is not None:
        table = _behind(table, "order_id", place, "opened_seq")
    taken = table.slice(0, limit)
    more = len(taken) < len(table)
    return _shown(taken), ((_cell(taken, "opened_seq"), _cell(taken, "order_id")) if more else None)


def _behind(table: pa.Table, rank: str, place: Place, seq: str) -> pa.Table:
    same = (pc.field(seq) == place[0]) & (pc.field(rank) > place[1])
    return table.filter((pc.field(seq) > place[0]) | same)


def _cell(table: pa.Table, name: str) -> Any:
    return table.column(name)[-1].as_py()


def _shown(table: pa.Table) -> list[dict[str, Any]]:
    """Rows as the edges show them: exact numbers, times ISO, codes as their texts."""
    return [_life(row) for row in with_distances(table).to_pylist()]


def _life(row: dict[str, Any]) -> dict[str, Any]:
    ended = row["ended"] if row["ending"] else None
    return {
        "order_id": row["order_id"],
        "side": Side(row["side"]).name.lower(),
        "opened": iso_from_ns(row["opened"]),
        "ended": None if ended is None else iso_from_ns(ended),
        "ending": ENDINGS[row["ending"]],
        "reason": REASONS.get(row["reason"]),
        "price_first": row["price_first"],
        "price": row["price"],
        "distance_first": row["distance_first"],
        "distance": row["distance"],
        "size_first": row["size_first"],
        "size": row["size"],
        "filled": row["filled"],
        "fills": row["fills"],
        "amendments": row["amendments"],
        "inferred": row["inferred"],
        "orders_ahead_first": row["ahead_first"],
        "orders_ahead": row["ahead"],
        **{name: row[name] for name in ("bid_first", "ask_first", "bid", "ask")},
        **{name: bool(row["flags"] & bit) for bit, name in FLAGS.items()},
        "era": row["era"],
        "opened_sequence": row["opened_seq"],
        "ended_sequence": row["ended_seq"] if row["ending"] else None,
        "told_sequence": row["told_seq"],
    }


# Cursors ------------------------------------------------------------------------------------------


def _encode(place: Place, query: str) -> str:
    packed = msgspec.json.encode((zlib.crc32(query.encode()), *place))
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def _decode(cursor: str, query: str, alive: bool) -> Place:
    """Raises SettingRefused where it is none of this query's."""
    try:
        packed = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        digest, seq, rank = msgspec.json.decode(packed, type=tuple[int, int, int | str])
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise SettingRefused(
            f"cursor: expected a next_cursor of ours, found {cursor[: limits.shown_text_max]!r}"
        ) from None
    if (
        digest == zlib.crc32(query.encode())
        and isinstance(rank, str) == alive
        and (0 <= seq < 2**63 and (isinstance(rank, str) or 0 <= rank < 2**31))
    ):
        return seq, rank
    raise SettingRefused(
        "cursor: expected the query that the cursor came from, found other parameters"
    )
