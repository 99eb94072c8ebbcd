"""Rows and whole books that come from elsewhere, not from a tape."""

from __future__ import annotations

import fcntl
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import psycopg
from psycopg import sql

from ordertape._engine import EventBatch, IdCodec, parse_number
from ordertape.database.changes import take_turn
from ordertape.database.copy import FOOTER, HEADER, events_of, needs_of, rows_of
from ordertape.database.markets import ensure_market, newest_generation, next_generation
from ordertape.database.partitions import DAY_NS, Leaf, day_of, ensure_leaf
from ordertape.database.rows import generations_of
from ordertape.database.schema import renew_view
from ordertape.errors import NumberRefused, SaveRefused, TapeDiffers
from ordertape.events import FLAG_NAMES, NO_SIDE, NULL, REASON_CODES, Flag
from ordertape.models import L3Order, L3Orderbook, L3Side, L3Snapshot
from ordertape.numbers import plain
from ordertape.tape.folder import MarketFolder
from ordertape.tape.times import parse_time

__all__ = ["save_orders", "save_snapshot"]

_KEYS: Final = frozenset(
    {
        "reason",
        "trade_id",
        "taker_order_id",
        "taker_side",
        "old_price",
        "old_size",
        "venue_seq",
        "ts_event_ns",
        "ts_recv_ns",
        "era",
        *FLAG_NAMES.values(),
    }
)
_INT64_MAX: Final = 2**63 - 1
_SCALE_MAX: Final = 18
"""Digits after the point that the engine's numbers have at most."""


def save_orders(
    connection: psycopg.Connection,
    orders: Sequence[L3Order],
    *,
    data: Path | None,
    order_index: bool = True,
) -> int:
    """Saves events of one market whose ``sequence`` is not there yet, all or nothing; how many.

    Raises SaveRefused where the market is collected or a value does not fit, NumberRefused.
    """
    if not orders:
        return 0
    exchange, symbol = orders[0].exchange, orders[0].symbol
    with connection.transaction():
        # Leaves are made below: turn before tables.
        take_turn(connection)
        market = _market(connection, exchange, symbol, data)
        # One saver of a market at a time, so that no sequence is looked for twice and saved twice.
        connection.execute("SELECT 1 FROM markets WHERE market = %s FOR UPDATE", (market,))
        known = _known(connection, market, [order.sequence for order in orders])
        fresh = {order.sequence: order for order in orders if order.sequence not in known}
        if fresh:
            rows = [fresh[sequence] for sequence in sorted(fresh)]
            _copy(connection, market, rows, order_index=order_index)
    renew_view(connection)
    return len(fresh)


def _market(connection: psycopg.Connection, exchange: str, symbol: str, data: Path | None) -> int:
    if data is not None and _is_collected(MarketFolder(data, exchange, symbol)):
        raise SaveRefused(f"{exchange} {symbol} is being collected: its rows come from its tape")
    try:
        return ensure_market(connection, exchange, symbol, origin="saved", keep=True)
    except TapeDiffers:
        raise SaveRefused(
            f"{exchange} {symbol} is collected: its rows come from its tape, nothing was saved"
        ) from None


def _is_collected(folder: MarketFolder) -> bool:
    """Whether a process writes the market's tape now."""
    try:
        with folder.lock.open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _known(connection: psycopg.Connection, market: int, sequences: list[int]) -> set[int]:
    """Which of the sequences are there, at whatever scale."""
    found: set[int] = set()
    for generation in generations_of(connection, market):
        query = sql.SQL("SELECT seq FROM {} WHERE seq = ANY (%s)")
        table = sql.Identifier(generation.table)
        found |= {row[0] for row in connection.execute(query.format(table), (sequences,))}
    return found


def _copy(
    connection: psycopg.Connection, market: int, orders: list[L3Order], *, order_index: bool
) -> None:
    batch = _batch(orders)
    arrays, _ = events_of(batch)
    arrays["ts_recv"] = np.array([_received(order) for order in orders], np.int64)
    eras = np.array([int(order.metadata.get("era", 0)) for order in orders], np.int32)
    generation = newest_generation(connection, market)
    needs = needs_of(batch, arrays)
    if generation is None or not needs.fit(generation):
        generation = next_generation(connection, market, orders[0].sequence, needs, generation)
    days = arrays["ts_recv"] // DAY_NS
    for day in np.unique(days):
        here = np.flatnonzero(days == day)
        leaf = Leaf(generation.number, day_of(int(day) * DAY_NS))
        ensure_leaf(connection, leaf, order_index=order_index)
        part = {name: values[here] for name, values in arrays.items()}
        rows = rows_of(batch, part, here, eras[here], generation)
        statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(
            sql.Identifier(leaf.name), sql.SQL(", ").join(map(sql.Identifier, rows.columns))
        )
        with connection.cursor() as cursor, cursor.copy(statement) as stream:
            stream.write(HEADER)
            stream.write(rows.data)
            stream.write(FOOTER)


# From models to columns ---------------------------------------------------------------------------


def _batch(orders: list[L3Order]) -> EventBatch:
    for order in orders:
        _check(order)
    price_scale = _scale(
        "price", [(order.price, order.metadata.get("old_price")) for order in orders]
    )
    size_scale = _scale("size", [(order.size, order.metadata.get("old_size")) for order in orders])

    def numbers(field: str, name: str, scale: int) -> list[int]:
        values = [
            getattr(order, field) if field == name else order.metadata.get(name) for order in orders
        ]
        return [_scaled(name, value, scale) for value in values]

    def known(name: str) -> list[int]:
        return [int(order.metadata.get(name, NULL)) for order in orders]

    def texts(name: str) -> list[str | None]:
        found = (order.metadata.get(name) for order in orders)
        return [None if text is None else str(text) for text in found]

    def sides(values: list[Any]) -> Any:
        return np.array([NO_SIDE if v is None else int(L3Side(v).code) for v in values], np.uint8)

    return EventBatch.from_arrays(
        kind=np.array([int(order.event_type.kind) for order in orders], np.uint8),
        side=sides([order.side for order in orders]),
        order_id=[order.order_id for order in orders],
        price=np.array(numbers("price", "price", price_scale), np.int64),
        size=np.array(numbers("size", "size", size_scale), np.int64),
        price_before=np.array(numbers("price", "old_price", price_scale), np.int64),
        size_before=np.array(numbers("size", "old_size", size_scale), np.int64),
        ts_event=np.array(known("ts_event_ns"), np.int64),
        # A batch's times never decrease; what these rows say is put in its place afterwards.
        ts_recv=np.zeros(len(orders), np.int64),
        venue_seq=np.array(known("venue_seq"), np.int64),
        seq=np.array([order.sequence for order in orders], np.int64),
        # Each row is a message of its own.
        flags=np.array([_flags(order) for order in orders], np.uint16),
        reason=np.array([_reason(order) for order in orders], np.uint8),
        trade_id=texts("trade_id"),
        taker_order_id=texts("taker_order_id"),
        taker_side=sides([order.metadata.get("taker_side") for order in orders]),
        price_scale=price_scale,
        size_scale=size_scale,
        codec=IdCodec("auto"),
        trade_codec=IdCodec("auto"),
    )


def _check(order: L3Order) -> None:
    """Raises SaveRefused for what no column holds: nothing may be lost without being told."""
    if unknown := sorted(order.metadata.keys() - _KEYS):
        raise SaveRefused(
            f"event {order.sequence}: metadata has {unknown[0]!r}, expected only "
            f"{', '.join(sorted(_KEYS))}"
        )
    if not 0 < order.sequence <= _INT64_MAX:
        raise SaveRefused(f"sequence is {order.sequence}: expected 1 to 2^63 - 1")


def _received(order: L3Order) -> int:
    given = order.metadata.get("ts_recv_ns")
    return int(given) if given is not None else parse_time(order.timestamp)


def _flags(order: L3Order) -> int:
    flags = Flag.LAST
    for flag, name in FLAG_NAMES.items():
        if order.metadata.get(name):
            flags |= flag
    return int(flags)


def _reason(order: L3Order) -> int:
    text = order.metadata.get("reason")
    if text is None:
        return 0
    if text not in REASON_CODES:
        known = ", ".join(REASON_CODES)
        raise SaveRefused(f"event {order.sequence}: reason is {text!r}, expected one of {known}")
    return REASON_CODES[text]


def _scale(field: str, pairs: list[tuple[Any, Any]]) -> int:
    """Digits after the point that hold every number.  Raises NumberRefused."""
    texts = [_text(value) for pair in pairs for value in pair if value is not None]
    finest = max(texts, key=_digits, default="")
    if _digits(finest) > _SCALE_MAX:
        raise NumberRefused(
            field,
            finest,
            f"has {_digits(finest)} digits after the point, expected at most {_SCALE_MAX}",
        )
    return _digits(finest)


def _digits(text: str) -> int:
    return len(text.partition(".")[2])


def _scaled(field: str, value: Any, scale: int) -> int:
    """The number as an integer at a scale.  Raises NumberRefused."""
    if value is None:
        return NULL
    text = _text(value)
    try:
        return parse_number(text, scale)
    except NumberRefused as error:
        raise NumberRefused(field, text, error.reason) from None


def _text(value: Any) -> str:
    number = Decimal(value)
    return plain(number) if number.is_finite() else str(value)


# Whole books --------------------------------------------------------------------------------------

_SAVE = """
    INSERT INTO level3_snapshots (
        market, exchange, symbol, sequence, "timestamp", bids, asks, total_bid_orders,
        total_ask_orders, total_bid_volume, total_ask_volume, best_bid, best_ask, era, ts_recv)
    VALUES (%s, %s, %s, %s, %s, %s::jsonb, %s::jsonb, %s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (market, sequence) DO NOTHING
"""


def save_snapshot(
    connection: psycopg.Connection, snapshot: L3Snapshot, *, data: Path | None
) -> bool:
    """Saves a whole book; False where one after that event is there.  Raises SaveRefused."""
    with connection.transaction():
        market = _market(connection, snapshot.exchange, snapshot.symbol, data)
        figures = snapshot.statistics
        done = connection.execute(
            _SAVE,
            (
                market,
                snapshot.exchange,
                snapshot.symbol,
                snapshot.sequence,
                snapshot.timestamp,
                _side_text(snapshot, "bids"),
                _side_text(snapshot, "asks"),
                figures.bid_count,
                figures.ask_count,
                figures.total_bid_volume,
                figures.total_ask_volume,
                snapshot.best_bid,
                snapshot.best_ask,
                snapshot.era,
                snapshot.ts_recv_ns
                if snapshot.ts_recv_ns is not None
                else parse_time(snapshot.timestamp),
            ),
        )
    return done.rowcount == 1


def _side_text(book: L3Orderbook, side: str) -> str:
    orders = [
        {
            "order_id": order.order_id,
            "price": msgspec.Raw(plain(order.price).encode()),
            "size": msgspec.Raw(plain(order.size).encode()),
        }
        for order in getattr(book, side)
    ]
    return msgspec.json.encode(orders).decode()
