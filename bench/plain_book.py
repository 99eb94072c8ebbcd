"""The plain-Python book beside the engine, both on the beginning of one stream.

It always runs, needs nothing, and holds the engine to the same final state.
"""

from __future__ import annotations

from collections.abc import Iterator

from bench.book import PlainBook
from bench.context import Bench
from bench.measure import alternate, cpu_ns, frozen_inputs
from bench.report import BenchmarkFailed, Row
from bench.streams import state_digest
from ordertape._engine import OrderBook

__all__ = ["run"]


def run(bench: Bench) -> Iterator[Row]:
    """The plain book beside the engine on the beginning of the stream."""
    stream = bench.stream.first(bench.sizes.plain_events)
    before, rows = stream.rows_before(), stream.rows()
    snapshot, events = stream.batches()
    books: dict[str, PlainBook | OrderBook] = {}

    def plain() -> float:
        book = books["plain"] = PlainBook()
        book.play(before)
        return cpu_ns(lambda: book.play(rows)) / len(rows)

    def engine() -> float:
        book = books["engine"] = OrderBook()
        book.apply(snapshot)
        return cpu_ns(lambda: book.apply(events)) / len(events)

    with frozen_inputs():
        found = alternate(bench.sizes.rounds, bench.tell, {"plain": plain, "engine": engine})
    _same_state(books)
    yield Row.of(
        "plain-Python book",
        found["plain"],
        "ns/event",
        compared_with=f"engine, one call: {found['engine'].median:.1f} ns/event",
        ratio=found["plain"].median / found["engine"].median,
    )


def _same_state(books: dict[str, PlainBook | OrderBook]) -> None:
    plain, engine = books["plain"], books["engine"]
    assert isinstance(plain, PlainBook)
    assert isinstance(engine, OrderBook)
    ours, theirs = state_digest(engine), plain.digest()
    if ours != theirs:
        raise BenchmarkFailed(f"expected the plain book's final state {theirs}, found {ours}")
