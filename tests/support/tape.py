"""Tapes for tests: a seeded market of small true events, and ways to damage and compare tapes."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ordertape import EventBatch, OrderBook
from ordertape._engine import BatchBuilder, IdCodec
from ordertape.events import COLUMNS, EventKind, Flag, Reason, Side
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter

START = 1_700_000_000 * 10**9
"""The first ts_recv, ns."""


class Market:
    """A market of a few orders that does everything a venue does, one message a batch.

    Its book is kept in step with what it gave.
    """

    def __init__(self, codec: str = "int", seed: int = 7, *, orders: int = 12) -> None:
        self.random = random.Random(f"{codec} {seed}")
        self.spec = codec
        self.orders = orders
        self.codec = IdCodec(codec)
        self.trade_codec = IdCodec("int")
        self.builder = BatchBuilder(self.codec, 2, 8, self.trade_codec)
        self.book = OrderBook(codec=self.codec)
        self.resting: dict[str, tuple[int, int, int]] = {}
        self.now = START
        self.next_seq = 1
        self.trades = 0
        self.ids = 0

    def continue_with(self, codec: IdCodec, trade_codec: IdCodec) -> None:
        """Goes on in a tape's own keys."""
        self.builder = BatchBuilder(codec, 2, 8, trade_codec)

    def message(self, *, clear: bool = False, step_ns: int | None = None) -> EventBatch:
        """The next message: one to a few events, or a CLEAR with the book behind it."""
        step = self.random.choice((0, 1, 50_000, 3_000_000)) if step_ns is None else step_ns
        self.now += step
        if clear:
            self._clear()
        else:
            for _ in range(self.random.choice((1, 1, 1, 2, 5))):
                self._event()
        batch = self.builder.finish(self.next_seq)
        self.next_seq = batch.last_seq + 1
        self.book.apply(batch)
        return batch

    def messages(
        self, count: int, *, clear_every: int = 0, step_ns: int | None = None
    ) -> Iterator[EventBatch]:
        """So many messages, the first (and then every so many) a CLEAR where that is wanted."""
        for nth in range(count):
            clear = clear_every > 0 and nth % clear_every == 0
            yield self.message(clear=clear, step_ns=step_ns)

    def _id(self) -> str:
        self.ids += 1
        if self.spec == "uuid":
            return str(uuid.UUID(int=self.random.getrandbits(128)))
        if self.spec == "intern":
            return f"an id longer than packed forms hold, number {self.ids}"
        return str(180_000_000_000 + self.ids * 7)

    def _price(self, price: int) -> str:
        return f"{price // 100}.{price % 100:02d}"

    def _size(self, size: int) -> str:
        return f"{size // 10**8}.{size % 10**8:08d}"

    def _add(
        self, kind: EventKind, order: str | None, side: int, price: int, size: int, **more: Any
    ) -> None:
        self.builder.add(
            kind,
            side,
            order,
            self._price(price),
            self._size(size),
            self.now,
            more.get("ts_event", self.now - 2_000_000),
            more.get("flags", 0),
            more.get("reason", Reason.NONE),
            more.get("venue_seq", self.next_seq + 17),
            more.get("trade_id"),
            more.get("taker"),
            more.get("taker_side"),
        )

    def _clear(self) -> None:
        self.builder.add(EventKind.CLEAR, None, None, None, None, self.now)
        kept = self.random.sample(sorted(self.resting), k=len(self.resting) // 2)
        self.resting = {order: self.resting[order] for order in kept}
        for order, (side, price, size) in self.resting.items():
            self._add(EventKind.OPEN, order, side, price, size, flags=Flag.SNAPSHOT)

    def _event(self) -> None:
        if len(self.resting) < 3 or (
            self.random.random() < 0.45 and len(self.resting) < self.orders
        ):
            order, side = self._id(), self.random.choice((Side.BID, Side.ASK))
            price = 10_000 + (1 if side else -1) * self.random.randint(1, 20)
            size = self.random.randint(1, 10**10)
            self.resting[order] = (side, price, size)
            self._add(EventKind.OPEN, order, side, price, size)
            return
        order = self.random.choice(sorted(self.resting))
        side, price, size = self.resting[order]
        match self.random.randrange(6):
            case 0:
                size = self.random.randint(1, 10**10)
                price += self.random.choice((0, 0, 1, -1))
                self.resting[order] = (side, price, size)
                self._add(EventKind.CHANGE, order, side, price, size, reason=Reason.AMENDED)
            case 1:
                self.trades += 1
                self._add(
                    EventKind.MATCH,
                    order,
                    side,
                    price,
                    size,
                    trade_id=str(self.trades),
                    taker=self._id(),
                    taker_side=1 - side,
                )
                self._add(EventKind.DONE, order, side, price, 0, reason=Reason.FILLED)
                del self.resting[order]
            case 2:
                self.trades += 1
                self._add(
                    EventKind.TRADE,
                    None,
                    side,
                    price,
                    size,
                    trade_id=str(self.trades),
                    venue_seq=None,
                    ts_event=None,
                )
            case 3:
                self._add(EventKind.EVICT, order, side, price, size)
                del self.resting[order]
            case _:
                self._add(EventKind.DONE, order, side, price, size, reason=Reason.CANCELED)
                del self.resting[order]


def rows_of(batches: Sequence[EventBatch] | Iterator[EventBatch]) -> list[dict[str, Any]]:
    """Every row as it stands at the edge."""
    return [batch[at] for batch in batches for at in range(len(batch))]


def arrays_of(batch: EventBatch) -> dict[str, Any]:
    """Its columns as arrays, keys and scaled numbers."""
    return {
        name: np.asarray(column) for name in COLUMNS if (column := batch.column(name)) is not None
    }


def naive_book(batches: Sequence[EventBatch], at: int | None = None) -> OrderBook:
    """The book after the last complete message at ``at``, row by row and without any tape."""
    everything = EventBatch.concat(batches)
    rows = everything if at is None else everything[: everything.search_ts_recv(at)]
    book = OrderBook(codec=everything.codec)
    book.apply(rows[: rows.last_complete()])
    return book


def write_journal(
    folder: MarketFolder, batches: Sequence[EventBatch] | Iterator[EventBatch], **options: Any
) -> None:
    """A journal of batches, closed."""
    with JournalWriter(folder, **options) as writer:
        for batch in batches:
            writer.append(batch)
