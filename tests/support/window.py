"""A window resolver under test: told as a feed would, checked at every commit."""

from __future__ import annotations

from typing import Any, NamedTuple

from ordertape._engine import EventBatch, OrderBook, WindowResolver
from ordertape.events import EventKind, Flag, Side
from support.naive_book import NaiveBook

OPEN, CHANGE, MATCH, DONE = EventKind.OPEN, EventKind.CHANGE, EventKind.MATCH, EventKind.DONE
CLEAR, EVICT, TRADE = EventKind.CLEAR, EventKind.EVICT, EventKind.TRADE
INFERRED, LATE = Flag.INFERRED, Flag.LATE
WINDOW = 5
HORIZON_NS = 1000
LEFT = object()
"""What comes of a frame that a resolver under test leaves alone."""


class Row(NamedTuple):
    """What a test looks at in an event."""

    kind: int
    order_id: str | None
    price: Any
    size: Any
    reason: int = 0
    flags: int = 0


class Bench:
    """A resolver with its book, and a second book that sees nothing but the events."""

    def __init__(
        self, orders_per_side: int = WINDOW, trades_max: int = 100, evicted_max: int = 100
    ):
        self.book, self.replica = OrderBook(), OrderBook()
        self.window = WindowResolver(
            self.book, orders_per_side=orders_per_side, horizon_ns=HORIZON_NS,
            evicted_max=evicted_max, trades_max=trades_max, otherwise=lambda *_: LEFT,
        )  # fmt: skip
        self.next_seq, self.now, self.latest = 1, 10, 0

    def clear(self) -> None:
        self.window.clear(self.now)

    def put(self, order_id: int, price: Any, amount: Any, at: int | None = None) -> None:
        self.window.put(order_id, str(price), str(amount), self.now, at)

    def remove(self, order_id: int, at: int | None = None) -> None:
        self.window.remove(order_id, self.now, at)

    def trade(self, trade_id: int, amount: Any, price: Any, at: int | None = None) -> bool:
        return self.window.trade(trade_id, str(amount), str(price), self.now, at)

    def commit(self, later: int = 1) -> list[Row]:
        """The commit's events but for LAST, after checking all that always holds."""
        self.now += later
        digest = self.book.digest()
        batch = self.window.commit(self.next_seq, self.now)
        assert self.window.pending == 0
        self.book.check()
        self.check_checksum()
        if batch is None:
            assert self.book.digest() == digest
            return []
        self.check_form(batch)
        counters = self.replica.apply(batch)
        assert counters.faults == counters.crossed == int(self.book.crossed)
        assert self.replica.digest() == self.book.digest()
        assert (self.replica.seq, self.replica.era) == (self.book.seq, self.book.era)
        self.next_seq = batch.last_seq + 1
        return [row_of(batch[n]) for n in range(len(batch))]

    def check_checksum(self) -> None:
        """What the book keeps of the text from one commit to the next never shows."""
        naive = NaiveBook()
        for side in Side:
            for name, price, size in self.book.orders(side):
                naive.apply(OPEN, side, int(name), price, size)
        assert self.book.top_text(4) == naive.top_text(4)

    def check_form(self, batch: EventBatch) -> None:
        rows = [batch[n] for n in range(len(batch))]
        assert [bool(row["flags"] & Flag.LAST) for row in rows] == [False] * (len(rows) - 1) + [
            True
        ]
        expected = self.next_seq - 1
        for row in rows:
            if row["flags"] & Flag.SNAPSHOT:
                assert (row["kind"], row["seq"], rows[0]["kind"]) == (OPEN, rows[0]["seq"], CLEAR)
            else:
                expected += 1
                assert row["seq"] == expected
            assert row["ts_recv"] >= self.latest
            self.latest = row["ts_recv"]


def row_of(row: dict[str, Any]) -> Row:
    return Row(*(row[name] for name in Row._fields[:-1]), row["flags"] & ~Flag.LAST)


def fill(bench: Bench, side: int = Side.BID, rows: int = WINDOW) -> None:
    """Orders 1, 2, … of 10 each, the best at 100."""
    for n in range(rows):
        price, amount = (100 - n, 10) if side == Side.BID else (101 + n, -10)
        bench.put(1 + n + 50 * side, price, amount)
    bench.commit()
