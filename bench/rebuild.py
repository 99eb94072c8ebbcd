"""Rebuild: the demo tape read from its files into a book, by the wall clock.

A second thread decodes ahead, so CPU time of one thread would say too little; that of both stands
beside it, and tells a slow disk or a busy machine from slow code.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

from bench.context import Bench
from bench.measure import alternate, frozen_inputs
from bench.report import BenchmarkFailed, Row
from ordertape._engine import OrderBook
from ordertape.tape.folder import MarketFolder
from ordertape.tape.reader import read_tape

__all__ = ["run"]

EVENTS_PER_SECOND = 8_000_000


def run(bench: Bench) -> Iterator[Row]:
    demo = bench.demo
    archived, journaled = demo.archived, demo.journaled
    events = sum(demo.events.counts())

    cpu: dict[str, list[tuple[float, float]]] = {"archive": [], "journal": []}

    def rebuilt(folder: MarketFolder, cpu: list[tuple[float, float]]) -> float:
        begun = time.perf_counter()
        reader, all_threads = time.thread_time_ns(), time.process_time_ns()
        book = OrderBook()
        for batch in read_tape(folder.data, folder.exchange, folder.symbol):
            book.apply(batch)
        reader = time.thread_time_ns() - reader
        all_threads = time.process_time_ns() - all_threads
        taken = time.perf_counter() - begun
        cpu.append((reader / events, (all_threads - reader) / events))
        if book.digest() != demo.digest:
            raise BenchmarkFailed(f"expected book {demo.digest}, rebuilt {book.digest()}")
        return events / taken

    with frozen_inputs():
        found = alternate(
            bench.sizes.rounds,
            bench.tell,
            {
                "archive": lambda: rebuilt(archived, cpu["archive"]),
                "journal": lambda: rebuilt(journaled, cpu["journal"]),
            },
        )
    for figure in ("archive", "journal"):
        name = f"rebuild, read_tape into a book, from the {figure}"
        reader, decoder = (statistics.median(times) for times in zip(*cpu[figure], strict=True))
        beside = f"CPU: {reader:.0f} ns/event reading and applying, {decoder:.0f} decoding ahead"
        row = Row.of(name, found[figure], "events/s", compared_with=beside)
        yield row.at_least(EVENTS_PER_SECOND)
