"""Whole books as rows of ``level3_snapshots``; their JSON is made from columns."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import msgspec
import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc

from ordertape import limits
from ordertape._engine import EventBatch, OrderBook
from ordertape.arrow import number_type
from ordertape.events import Side
from ordertape.models import L3BookOrder, L3Snapshot, L3Statistics, datetime_from_ns

__all__ = ["latest_book", "listed_orders", "save_book", "side_json"]

_exact: Final = msgspec.json.Decoder(list[dict[str, Any]], float_hook=Decimal)
_LATEST = """
    SELECT sequence, ts_recv, era, bids::text, asks::text, total_bid_orders, total_ask_orders,
        total_bid_volume, total_ask_volume
    FROM level3_snapshots WHERE exchange = %s AND symbol = %s
    ORDER BY ts_recv DESC, sequence DESC LIMIT 1
"""

_SAVE = """
    INSERT INTO level3_snapshots (
        market, exchange, symbol, sequence, "timestamp", bids, asks, total_bid_orders,
        total_ask_orders, total_bid_volume, total_ask_volume, best_bid, best_ask, era, ts_recv)
    VALUES (%s, %s, %s, %s, moment(%s), %s::jsonb, %s::jsonb, %s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (market, sequence) DO NOTHING
"""


def save_book(
    connection: psycopg.Connection, market: int, exchange: str, symbol: str, book: OrderBook
) -> bool:
    """Saves a book as it stands; False where it is there already, or too large for JSONB."""
    if len(book) > limits.database_snapshot_orders_max:
        return False
    rows = book.snapshot()
    bids, asks, bid_volume, ask_volume = book.totals()
    done = connection.execute(
        _SAVE,
        (
            market,
            exchange,
            symbol,
            book.seq,
            book.ts_recv,
            side_json(rows, Side.BID),
            side_json(rows, Side.ASK),
            bids,
            asks,
            bid_volume,
            ask_volume,
            *book.best(),
            book.era,
            book.ts_recv,
        ),
    )
    return done.rowcount == 1


def latest_book(connection: psycopg.Connection, exchange: str, symbol: str) -> L3Snapshot | None:
    """The newest whole book of a market, None where there is none."""
    found = connection.execute(_LATEST, (exchange, symbol)).fetchone()
    if found is None:
        return None
    sequence, ts_recv, era, bids, asks, bid_count, ask_count, bid_volume, ask_volume = found
    sides = [
        [
            L3BookOrder.model_construct(order_id=order_id, price=price, size=size)
            for order_id, price, size in listed_orders(side)
        ]
        for side in (bids, asks)
    ]
    best = [side[0].price if side else None for side in sides]
    return L3Snapshot(
        exchange=exchange,
        symbol=symbol,
        sequence=sequence,
        timestamp=datetime_from_ns(ts_recv),
        ts_recv_ns=ts_recv,
        era=era,
        bids=sides[0],
        asks=sides[1],
        statistics=L3Statistics.of(bid_count, ask_count, bid_volume, ask_volume, *best),
    )


def listed_orders(side: str) -> list[tuple[str, Decimal, Decimal]]:
    """(order_id, price, size) of each order of a side's JSON, with every digit."""
    return [
        (order["order_id"], Decimal(order["price"]), Decimal(order["size"]))
        for order in _exact.decode(side)
    ]


def side_json(rows: EventBatch, side: Side) -> str:
    """``[{"order_id","price","size"}]`` of one side of ``OrderBook.snapshot()``, numbers exact."""
    sides = np.asarray(rows.column("side")) if len(rows) else np.empty(0, np.uint8)
    first, last = np.searchsorted(sides, [side, side + 1])
    part = rows[int(first) : int(last)]
    if not len(part):
        return "[]"
    # Ids of packed forms need no escapes; of others every text is made a JSON string first.
    ids: Any = pa.array(part.id_texts(), pa.string())
    if part.codec.spec in {"ascii", "intern"} or part.codec.terms:
        ids = _escaped(ids)
    pieces: Any = pc.binary_join_element_wise(
        pa.scalar('{"order_id":"', pa.string()),
        ids,
        pa.scalar('","price":', pa.string()),
        _plain(part, "price", part.price_scale),
        pa.scalar(',"size":', pa.string()),
        _plain(part, "size", part.size_scale),
        pa.scalar("}", pa.string()),
        pa.scalar("", pa.string()),
    )
    listed = pa.ListArray.from_arrays(pa.array([0, len(pieces)], pa.int32()), pieces)
    joined: Any = pc.binary_join(listed, ",")
    return f"[{joined[0].as_py()}]"


def _plain(rows: EventBatch, name: str, scale: int) -> Any:
    """A column of numbers as plain decimal text without trailing zeros."""
    values = np.asarray(rows.column(name))
    wide = np.empty((len(values), 2), np.int64)
    wide[:, 0], wide[:, 1] = values, values >> 63
    numbers: Any = pa.Array.from_buffers(
        number_type(0), len(values), [None, pa.py_buffer(wide.data)]
    )
    digits: Any = pc.cast(numbers, pa.string())
    if scale == 0:
        return digits
    # Of text with a point, cut by hand: a cast of small decimals would write an exponent.
    negative = pc.starts_with(digits, "-")
    digits = pc.utf8_lpad(pc.utf8_ltrim(digits, "-"), scale + 1, "0")
    whole = pc.utf8_slice_codeunits(digits, 0, -scale)
    fraction = pc.utf8_rtrim(pc.utf8_slice_codeunits(digits, -scale), "0")
    nothing = pa.scalar("", pa.string())
    is_whole: Any = pc.equal(fraction, nothing)
    point = pc.if_else(is_whole, nothing, pa.scalar(".", pa.string()))
    sign = pc.if_else(negative, pa.scalar("-", pa.string()), nothing)
    return pc.binary_join_element_wise(sign, whole, point, fraction, nothing)


def _escaped(texts: Any) -> Any:
    """Texts as they stand between the quotes of JSON strings."""
    if not pc.any(pc.match_substring_regex(texts, r'["\\\x00-\x1f]')).as_py():
        return texts
    rows = [msgspec.json.encode(text)[1:-1].decode() for text in texts.to_pylist()]
    return pa.array(rows, pa.string())
