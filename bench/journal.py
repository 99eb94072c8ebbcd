"""The journal: batches of 1,000 events appended until the last is durable, by the wall clock.

Waiting for the disk is part of it, so this and the rebuild are no CPU time.
"""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Iterator

from bench.context import Bench
from bench.measure import alternate, frozen_inputs
from bench.report import Row
from ordertape import limits
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter

__all__ = ["run"]

BATCH_ROWS = 1_000
EVENTS_PER_SECOND = 1_000_000


def run(bench: Bench) -> Iterator[Row]:
    events = bench.demo.events
    batches = [events[first : first + BATCH_ROWS] for first in range(0, len(events), BATCH_ROWS)]
    data = bench.folder / "journal"
    cpu: list[float] = []

    def written() -> float:
        folder = MarketFolder(data, "bitfinex", "BTC/USDT")
        with JournalWriter(folder) as journal:
            begun, cpu_begun = time.perf_counter(), time.thread_time_ns()
            for batch in batches:
                journal.append(batch)
            cpu.append((time.thread_time_ns() - cpu_begun) / len(events))
            journal.sync()
            taken = time.perf_counter() - begun
        shutil.rmtree(data)
        return len(events) / taken

    with frozen_inputs():
        found = alternate(bench.sizes.rounds, bench.tell, {"written": written})
    yield Row.of(
        f"journal, batches of {BATCH_ROWS:,}, sync every {limits.journal_sync_ms_max} ms",
        found["written"],
        "events/s",
        compared_with=f"CPU of the appending thread: {statistics.median(cpu):.0f} ns/event",
    ).at_least(EVENTS_PER_SECOND)
