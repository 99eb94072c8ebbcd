"""The archive: bytes an event in its Parquet files, the books beside them left out."""

from __future__ import annotations

from collections.abc import Iterator

from bench.context import Bench
from bench.demo_tape import archived_bytes, write_archive
from bench.peers import Missing
from bench.report import Row, Skipped
from ordertape._engine import EventBatch
from ordertape.tape.folder import MarketFolder
from ordertape.tape.lobster import read_lobster

__all__ = ["run"]

DEMO_BYTES, LOBSTER_BYTES, UUID_BYTES = 16.5, 12.5, 24.5
_LOBSTER = "data/lobster_aapl_2012/AAPL_2012-06-21_34200000_37800000"
MESSAGES = f"{_LOBSTER}_message_50.csv.gz"


def run(bench: Bench) -> Iterator[Row | Skipped]:
    demo = bench.demo
    bench.tell("integer ids")
    yield _row("demo tape, integer ids", demo.archived, demo.events).at_most(DEMO_BYTES)
    bench.tell("UUIDs")
    uuids = demo.with_uuids()
    folder = write_archive(bench.folder / "uuids", uuids)
    yield _row("demo tape, UUIDs", folder, uuids).at_most(UUID_BYTES)
    bench.tell("LOBSTER")
    try:
        messages = bench.peers.shared_file(MESSAGES)
    except Missing as reason:
        yield Skipped("archive, LOBSTER AAPL", str(reason))
        return
    aapl = EventBatch.concat(list(read_lobster(messages)))
    folder = write_archive(bench.folder / "lobster", aapl)
    yield _row("LOBSTER AAPL", folder, aapl).at_most(LOBSTER_BYTES)


def _row(name: str, folder: MarketFolder, events: EventBatch) -> Row:
    count = sum(events.counts())
    size, books = archived_bytes(folder)
    beside = f"journal: {_frame_bytes(events) / count:.1f} B/event; books: {books / count:.1f}"
    return Row(f"archive, {name}", size / count, "B/event", compared_with=beside)


def _frame_bytes(events: EventBatch) -> int:
    """What the same events take in frames of the journal."""
    rows = 1_000
    return sum(
        len(events[first : first + rows].encode_frame(1, 0))
        for first in range(0, len(events), rows)
    )
