"""The book of a moment from the database alone: the nearest whole book, then events by seq."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import psycopg
from psycopg import sql

from ordertape import limits
from ordertape._engine import OrderBook
from ordertape.database.books import listed_orders
from ordertape.database.rows import KINDS, SIDES, Generation, generations_of
from ordertape.database.stored import stored_market
from ordertape.errors import DatabaseError, UnknownMarket
from ordertape.events import EventKind, Flag, Side
from ordertape.models import iso_from_ns

__all__ = ["replayed"]

_NEAREST = """
    SELECT sequence, ts_recv, era, bids::text, asks::text FROM level3_snapshots
    WHERE exchange = %s AND symbol = %s AND (%s::bigint IS NULL OR ts_recv <= %s)
    ORDER BY sequence DESC LIMIT 1
"""
_EVENTS = """
    SELECT seq, ts_recv, kind::text, side::text, order_id::text, price, size, bits
    FROM {} WHERE seq > %s AND (%s::bigint IS NULL OR ts_recv <= %s) ORDER BY seq
"""


def replayed(
    connection: psycopg.Connection, exchange: str, symbol: str, at: int | None
) -> OrderBook:
    """The book at ``at`` (ns, inclusive; None: now), after the last complete message.

    Raises UnknownMarket where nothing was recorded by then, DatabaseError where a whole book that
    an era began with is not kept any more.
    """
    book = OrderBook()
    nearest = connection.execute(_NEAREST, (exchange, symbol, at, at)).fetchone()
    seq, ts_recv = 0, 0
    if nearest is not None:
        seq, ts_recv, era, bids, asks = nearest
        for side, orders in ((Side.BID, bids), (Side.ASK, asks)):
            for order in listed_orders(orders):
                _apply(book, int(EventKind.OPEN), int(side), *order)
        book.era = era or 0
    replay = _Replay(book, seq, ts_recv)
    market = stored_market(connection, exchange, symbol, exactly=True)
    for generation in [] if market is None else generations_of(connection, market.market):
        query = sql.SQL(_EVENTS).format(sql.Identifier(generation.table))
        with connection.transaction(), connection.cursor(name="replay") as cursor:
            cursor.itersize = limits.page_rows_max
            cursor.execute(query, (seq, at, at))
            for row in cursor:
                replay.take(row, generation)
    if replay.seq == 0:
        moment = "yet" if at is None else f"by {iso_from_ns(at)}"
        raise UnknownMarket(f"{exchange} {symbol}: nothing was recorded {moment}")
    if replay.missing is not None:
        raise DatabaseError(
            f"{exchange} {symbol}: the book that era began with at event {replay.missing} is not "
            "kept in the database any more; the tape has it (`ordertape book`)"
        )
    return replay.finished()


class _Replay:
    """Rows into a book; what follows the last complete message waits."""

    def __init__(self, book: OrderBook, seq: int, ts_recv: int) -> None:
        self._book, self.seq, self._ts_recv = book, seq, ts_recv
        self._begun = seq > 0
        self._waiting: list[tuple[Any, ...]] = []
        self.missing: int | None = None

    def take(self, row: tuple[Any, ...], generation: Generation) -> None:
        seq, ts_recv, kind, side, order_id, price, size, bits = row
        code = int(KINDS[kind])
        if code == EventKind.CLEAR and self._begun:
            # Its orders are no rows; its own whole book would have been the nearest.
            self.missing = seq
        self._begun = True
        if not bits & Flag.LATE:
            self._waiting.append(
                (
                    code,
                    SIDES.get(side),
                    order_id,
                    _decimal(price, generation.price_scale),
                    _decimal(size, generation.size_scale),
                )
            )
        if bits & Flag.LAST:
            for event in self._waiting:
                _apply(self._book, *event)
            self._waiting.clear()
            self.seq, self._ts_recv = seq, ts_recv

    def finished(self) -> OrderBook:
        """The book with the seq and the time of its last message."""
        era = self._book.era
        book = OrderBook(codec=self._book.codec)
        book.restore(self._book.snapshot(), era, self.seq, self._ts_recv)
        return book


def _apply(book: OrderBook, *event: Any) -> None:
    book.apply_one(*event)


def _decimal(value: int | None, scale: int) -> Decimal | None:
    return None if value is None else Decimal(value).scaleb(-scale)
