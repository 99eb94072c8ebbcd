"""A million events through ``apply`` in batches, against the naive book at checkpoints."""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np
import pytest

from ordertape._engine import EventBatch, OrderBook
from ordertape.events import ApplyResult, Flag, Side
from support.naive_book import NaiveBook

EVENTS = 1_000_000
BATCH = 2_500
CHECKPOINT = 40
"""Batches from one full comparison to the next."""

Row = tuple[int, int, int | None, int, int, int]
"""kind, side, id, price, size, flags"""
COUNTED = {
    ApplyResult.UNKNOWN_ID: "unknown_id", ApplyResult.DUPLICATE_ID: "duplicate_id",
    ApplyResult.NEGATIVE: "negative", ApplyResult.OVERFILL: "overfill", ApplyResult.LATE: "late",
}  # fmt: skip


def flow(naive: NaiveBook, seed: int) -> Iterator[Row]:
    """Mostly what a venue does, now and then what none should."""
    chance = random.Random(seed)
    pick, number = chance.random, chance.randrange
    names: list[int] = []
    next_id, middle = 1, 10_000
    while True:
        roll = pick()
        if roll < 0.46 or not names:
            side = number(2)
            away = int(1.2 ** number(30))
            middle += number(3) - 1
            price = middle - away if side == Side.BID else middle + away
            names.append(next_id)
            yield 1, side, next_id, price, 1 + number(50), 0
            next_id += 1
            continue
        nth = number(len(names)) if pick() < 0.5 else len(names) - 1 - number(min(len(names), 60))
        name = names[nth]
        order = naive.orders.get(name)
        if order is None:  # filled: its end is told, and sometimes told twice
            names[nth] = names[-1]
            names.pop()
            yield 4, 0, name, middle, number(2), 0
        elif roll < 0.72:
            names[nth] = names[-1]
            names.pop()
            yield 4, order.side, name, order.price, order.size, 0
        elif roll < 0.86:
            yield 3, order.side, name, order.price, min(1 + number(30), order.size), 0
        elif roll < 0.93:
            yield 2, order.side, name, order.price, max(1, order.size - number(9)), 0
        elif roll < 0.97:
            yield 2, order.side, name, order.price + number(5) - 2, 1 + number(60), 0
        elif roll < 0.98:
            yield 6, order.side, name, order.price, order.size, 0
        elif roll < 0.985:
            yield 7, order.side, None, order.price, 1, 0
        elif roll < 0.99:
            yield 3, order.side, name, order.price, order.size + 1, Flag.LATE if pick() < 0.5 else 0
        elif roll < 0.9999:
            kind = 1 + number(4)
            yield kind, number(2), name + number(2) * 10**9, order.price, number(5) - 1, 0
        else:
            names.clear()
            yield 5, 255, None, -(2**63), -(2**63), 0


@pytest.mark.parametrize("effects", [False, True], ids=["plain", "with effects"])
def test_a_million_events_leave_the_naive_book(effects: bool) -> None:
    naive, book = NaiveBook(), OrderBook(0, 0, "int")
    source = flow(naive, seed=7 + effects)
    events = EVENTS // 4 if effects else EVENTS
    for nth in range(events // BATCH):
        expected = dict.fromkeys(COUNTED.values(), 0)
        rows = []
        for _ in range(BATCH):
            row = next(source)
            rows.append(row)
            result = naive.apply(*row)
            if result:
                expected[COUNTED[result]] += 1
        kind, side, order_id, price, size, flags = zip(*rows, strict=True)
        batch = EventBatch.from_arrays(
            kind=np.array(kind, np.uint8), side=np.array(side, np.uint8), order_id=order_id,
            price=np.array(price), size=np.array(size), flags=np.array(flags, np.uint16),
            ts_recv=np.arange(BATCH), price_scale=0, size_scale=0, codec=book.codec,
        )  # fmt: skip
        counters = book.apply(batch, effects=True)[0] if effects else book.apply(batch)
        met = counters.as_dict()
        assert {name: met[name] for name in expected} == expected
        assert (len(book), book.era) == (len(naive), naive.era)
        if nth % CHECKPOINT == 0:
            compare(book, naive)
    compare(book, naive)
    assert naive.era > 0


def compare(book: OrderBook, naive: NaiveBook) -> None:
    book.check()
    assert book.best_scaled() == naive.best()
    assert book.depth_scaled(10**6) == naive.depth()
    for side in Side:
        queue = [(name, int(price), int(size)) for name, price, size in book.orders(side)]
        assert queue == [(str(name), order.price, order.size) for name, order in naive.walk(side)]
    for name in list(naive.orders)[::97]:
        assert book.place(name) == naive.place(name)
    fresh = OrderBook(0, 0, "int")
    for side in Side:
        for name, order in naive.walk(side):
            fresh.apply_one(1, side, name, order.price, order.size)
    assert book.digest() == fresh.digest()
