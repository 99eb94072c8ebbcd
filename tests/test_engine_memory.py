"""What the engine weighs: a book in bytes an order, and nothing that grows with time."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from ordertape._engine import EventBatch, OrderBook

ORDERS = 100_000
BYTES_AN_ORDER_MAX = 160
GROWTH_MIB_MAX = 100


def opened(levels: int) -> EventBatch:
    prices = np.random.default_rng(7).integers(0, levels, ORDERS)
    return EventBatch.from_arrays(
        kind=np.ones(ORDERS, np.uint8), side=(prices % 2).astype(np.uint8),
        order_id=np.arange(ORDERS, dtype=np.uint64), price=prices, ts_recv=np.arange(ORDERS),
        size=np.ones(ORDERS, np.int64), price_scale=0, size_scale=0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("levels", "effects"), [(2_000, False), (20_000, False), (50_000, False), (20_000, True)]
)
def test_an_order_weighs_no_more_than_said(levels: int, effects: bool) -> None:
    book = OrderBook()
    book.apply(opened(levels), effects=effects)
    assert len(book) == ORDERS
    assert book.memory_bytes <= BYTES_AN_ORDER_MAX * ORDERS


RSS = """
import resource, sys
import numpy as np
from ordertape._engine import BatchBuilder, EventBatch, OrderBook, WindowResolver

def rss():  # KiB at its highest
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
"""

LARGE_BOOK = (
    RSS
    + """
book, random = OrderBook(codec="uuid"), np.random.default_rng(7)
before = rss()
for start in range(0, {orders}, 1000):
    prices = random.integers(0, 20_000, 1000)
    book.apply(EventBatch.from_arrays(
        kind=np.ones(1000, np.uint8), side=(prices % 2).astype(np.uint8),
        order_id=random.integers(0, 255, (1000, 16), np.uint8), price=prices,
        size=np.ones(1000, np.int64), ts_recv=np.arange(1000), price_scale=2, size_scale=8,
        codec=book.codec,
    ))
assert len(book) == {orders}
print(rss() - before)
"""
)

LONG_RUN = (
    RSS
    + """
rows, live = 5000, 20_000
ids = np.arange(live + rows, dtype=np.uint64)
def batch(first, kind):
    numbers = np.arange(first, first + rows, dtype=np.uint64)
    prices = (numbers * np.uint64(7919) % np.uint64(3001)).astype(np.int64)
    return EventBatch.from_arrays(
        kind=np.full(rows, kind, np.uint8), side=(prices % 2).astype(np.uint8), order_id=numbers,
        price=prices, size=np.ones(rows, np.int64), ts_recv=np.arange(rows),
        price_scale=0, size_scale=0)
book = OrderBook(codec="int")
def turn(n):
    book.apply(batch(n * rows, 1), effects=n % 2 == 0)
    if n * rows >= live:
        book.apply(batch(n * rows - live, 4), effects=n % 2 == 1)
for n in range(40):
    turn(n)
before, bytes_before = rss(), book.memory_bytes
for n in range(40, 240):
    turn(n)
assert len(book) == live
assert book.memory_bytes <= bytes_before * 1.1, (bytes_before, book.memory_bytes)
print(rss() - before)
"""
)

LONG_WINDOW = (
    RSS
    + """
book = OrderBook()
window = WindowResolver(
    book, orders_per_side=25, horizon_ns=1000, evicted_max=1000, trades_max=1000)
def turn(n):
    window.put(str(n), str(n % 997), "1", n)
    if n >= 30:
        window.remove(str(n - 30), n)
    window.trade(str(n), "-1", str(n % 13), n)
    if n % 3 == 0:
        window.commit(n, n)
for n in range(60_000):
    turn(n)
before = rss()
for n in range(60_000, 300_000):
    turn(n)
print(rss() - before)
"""
)


def growth_mib(program: str) -> float:
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return int(run.stdout) / 1024


def test_a_process_grows_little_for_a_book_of_a_hundred_thousand_orders() -> None:
    assert growth_mib(LARGE_BOOK.format(orders=ORDERS)) <= GROWTH_MIB_MAX


def test_two_million_orders_that_come_and_go_leave_nothing_behind() -> None:
    assert growth_mib(LONG_RUN) <= 4


def test_a_window_that_runs_for_long_does_not_grow() -> None:
    assert growth_mib(LONG_WINDOW) <= 2
