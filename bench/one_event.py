"""The engine fed one event a call, beside a call that does nothing."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from bench.context import Bench
from bench.measure import alternate, cpu_ns, frozen_inputs
from bench.peers import Missing
from bench.report import BenchmarkFailed, Row, Skipped
from bench.streams import state_digest
from ordertape._engine import EventBatch, OrderBook, format_number
from ordertape.events import EventKind

__all__ = ["run"]

NS_MAX, EMPTY_NS = 350, 60
"""An event may take 350 ns where an empty call takes 60: the bound moves with the machine."""

_OPEN, _DONE, _MATCH = int(EventKind.OPEN), int(EventKind.DONE), int(EventKind.MATCH)

Call = Callable[..., object]
Rows = list[tuple[Any, ...]]


def run(bench: Bench) -> Iterator[Row | Skipped]:
    stream = bench.stream.first(bench.sizes.plain_events)
    integers, texts = _Feed(*stream.batches("integers")), _Feed(*stream.batches())
    integer_rows, text_rows = integers.scaled_rows(), texts.text_rows()
    figures: dict[str, Callable[[], float]] = {
        "integers": lambda: integers.timed(integer_rows),
        "texts": lambda: texts.timed(text_rows),
    }
    try:
        empty = _empty_call(bench)
        figures["empty"] = lambda: cpu_ns(lambda: _floor(empty, integer_rows)) / len(integer_rows)
    except Missing as reason:
        yield Skipped("empty call", str(reason))
    with frozen_inputs():
        found = alternate(bench.sizes.rounds, bench.tell, figures)
    if integers.digest != texts.digest:
        raise BenchmarkFailed("expected one final state of both books, found two")
    floor = found["empty"].median if "empty" in found else None
    names = (("integers", "scaled integers"), ("texts", "venue's text, UUIDs"))
    for figure, name in names:
        yield Row.of(
            f"engine, apply_one ({name})",
            found[figure],
            "ns/event",
            compared_with=floor and f"empty call of an extension type: {floor:.1f} ns",
            ratio=floor and found[figure].median / floor,
        ).ratio_at_most(NS_MAX / EMPTY_NS, f"≤ {NS_MAX} ns where an empty call takes {EMPTY_NS}")


class _Feed:
    """A standing book and the events that follow, made into arguments of ``apply_one``."""

    def __init__(self, snapshot: EventBatch, events: EventBatch) -> None:
        self.digest = 0
        self._snapshot = snapshot
        self._events = events

    def scaled_rows(self) -> Rows:
        ids = [int(text) for text in self._events.id_texts() if text is not None]
        return list(zip(*self._columns("kind", "side"), ids, *self._numbers(), strict=True))

    def text_rows(self) -> Rows:
        prices, sizes = self._numbers()
        batch = self._events
        price_texts = [format_number(price, batch.price_scale) for price in prices]
        size_texts = [format_number(size, batch.size_scale) for size in sizes]
        columns = (*self._columns("kind", "side"), batch.id_texts(), price_texts, size_texts)
        return list(zip(*columns, strict=True))

    def _numbers(self) -> list[list[int]]:
        return self._columns("price", "size")

    def _columns(self, *names: str) -> list[list[int]]:
        return [np.asarray(self._events.column(name)).tolist() for name in names]

    def timed(self, rows: Rows) -> float:
        book = OrderBook()
        book.apply(self._snapshot)
        taken = cpu_ns(lambda: _loop(book.apply_one, rows)) / len(rows)
        self.digest = state_digest(book)
        return taken


def _loop(call: Call, rows: Rows) -> None:
    for kind, side, order_id, price, size in rows:
        call(kind, side, order_id, price, size)


def _floor(empty: Call, rows: Rows) -> None:
    """The loop around a book that has a method for each kind, and does nothing: how the 60 ns were
    measured, which the bound refers to."""
    for kind, side, order_id, price, size in rows:
        if kind == _OPEN:
            empty(order_id, side, price, size)
        elif kind == _DONE:
            empty(order_id)
        elif kind == _MATCH:
            empty(order_id, size)
        else:
            empty(order_id, size)


def _empty_call(bench: Bench) -> Call:
    folder = str(bench.peers.empty_call())
    sys.path.insert(0, folder)
    try:
        empty = importlib.import_module("bench_empty_call").Empty()
    finally:
        sys.path.remove(folder)
    return empty.call
