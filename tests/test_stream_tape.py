"""A stream on a real tape: restarted, it goes on, and verify agrees with every mark."""

from __future__ import annotations

from pathlib import Path

from ordertape._engine import OrderBook
from ordertape.stream import MarketStream, StreamState
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter
from ordertape.tape.reader import TapeReader
from ordertape.tape.verify import verify
from ordertape.venues import venue_of
from support.bitfinex import START_MS, NaiveVenue

MS = 1_000_000
SECOND = 1_000 * MS


class Collection:
    """One market collected into a tape, again and again, with a clock of its own."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.venue = NaiveVenue(length=25)
        self.now = START_MS * MS

    def send(self, stream: MarketStream, frames: list[str]) -> None:
        for frame in frames:
            self.now += 40 * MS
            stream.on_frame(frame.encode(), self.now)
            stream.tick(self.now)

    def collect(self, iterations: int, *, stops: bool) -> str:
        """Collects for a while; the digest of the book at its end."""
        folder = MarketFolder(self.data, "bitfinex", "BTC/USD")
        with JournalWriter(folder) as journal:
            stream = MarketStream(
                venue_of("bitfinex"),
                "BTC/USD",
                sink=journal,
                recovered=journal.recovered,
                snapshot_interval_seconds=10,
            )
            journal.book = stream.book
            stream.start(self.now)
            stream.on_open(self.now)
            self.send(stream, self.venue.connection())
            for _ in range(iterations):
                self.send(stream, self.venue.iteration())
            assert stream.state is StreamState.LIVE
            if stops:
                stream.stop(self.now)
            self.now += 5 * SECOND
            return stream.book.digest()


def test_a_tape_of_several_runs_verifies_and_counts_each_gap_once(tmp_path: Path) -> None:
    collection = Collection(tmp_path)
    digests = [collection.collect(60, stops=stops) for stops in (True, False, True)]
    report = verify(tmp_path, "bitfinex", "BTC/USD")
    assert report.equal, str(report)
    assert (report.eras, report.gaps, report.faults) == (3, 2, 0)
    assert report.marks == report.marks_equal > 10
    book = OrderBook()
    for batch in TapeReader(tmp_path, "bitfinex", "BTC/USD").batches():
        book.apply(batch)
    assert book.digest() == digests[-1]
    assert book.seq == report.last_seq == report.events
