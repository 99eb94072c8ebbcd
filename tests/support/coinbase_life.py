"""A session of Coinbase against a plain venue, without sockets and with a clock of its own."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from ordertape._engine import EventBatch, OrderBook
from ordertape.venues.coinbase import CoinbaseSession
from ordertape.venues.session import Action, Fetch, Outcome, chained
from support.coinbase import BUY, PRODUCT, SELL, START_NS, PlainCoinbase

__all__ = ["ASKED", "MS", "SECOND", "Life", "fault", "rows"]

MS = 1_000_000
SECOND = 1_000 * MS
ASKED = Fetch("/products/BTC-USD/book?level=3", "book")


class Life:
    """A session against a plain venue, with a clock of its own."""

    def __init__(self, seed: int = 1, orders: int = 0) -> None:
        self.venue = PlainCoinbase(seed)
        for nth in range(orders):
            side = (BUY, SELL)[nth % 2]
            away = Decimal(1 + nth // 2) / 100
            self.venue.add(side, Decimal(20_000) + (away if side == SELL else -away), "1.5")
        self.session = CoinbaseSession(PRODUCT, OrderBook(codec="uuid"))
        self.now = START_NS
        self.session.opened(self.now)
        self.events: list[dict[str, Any]] = []
        self.outcomes: list[Outcome] = []

    def took(self, outcome: Outcome | None) -> Outcome | None:
        first = outcome
        while outcome is not None:
            self.outcomes.append(outcome)
            if outcome.batch is not None:
                self.events += rows(outcome.batch)
            outcome = outcome.then
        return first

    def send(self, *texts: str) -> Outcome | None:
        """What the last frame led to."""
        outcome = None
        for text in texts:
            self.now += MS
            frame = self.session.frame(text.encode(), self.now)
            outcome = self.took(chained(frame, self.session.flush()))
        return outcome

    def tick(self, milliseconds: int = 10) -> Outcome | None:
        self.now += milliseconds * MS
        return self.took(self.session.tick(self.now))

    def asked(self) -> Fetch:
        """The request that is due."""
        outcome = self.tick()
        assert outcome is not None
        assert outcome.fetch is not None
        return outcome.fetch

    def answer(self, fetch: Fetch, body: Any, status: int = 200, **headers: str) -> Outcome | None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        outcome = self.took(self.session.answer(fetch, status, named, body, self.now))
        while self.session.busy:
            self.tick()
        return outcome

    def synced(self) -> Life:
        self.send(self.venue.subscriptions(), self.venue.heartbeat())
        self.answer(self.asked(), self.venue.rest())
        assert self.equal
        self.events.clear()
        self.outcomes.clear()
        return self

    @property
    def book_scales(self) -> tuple[int | None, int | None]:
        return self.session.book.price_scale, self.session.book.size_scale

    @property
    def equal(self) -> bool:
        self.session.book.check()
        book = self.session.book
        ours = [
            (name, price, order_id, size)
            for side, name in ((0, BUY), (1, SELL))
            for order_id, price, size in book.orders(side)
        ]
        return ours == self.venue.rows()


def rows(batch: EventBatch) -> list[dict[str, Any]]:
    return [batch[index] for index in range(len(batch))]


def fault(outcome: Outcome | None) -> tuple[Action, str]:
    while outcome is not None and outcome.fault is None:
        outcome = outcome.then
    assert outcome is not None
    assert outcome.fault is not None
    return outcome.fault.action, outcome.fault.reason
