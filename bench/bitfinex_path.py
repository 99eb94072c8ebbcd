"""Bitfinex: bytes to events to book, beside cryptofeed's handler.

Ours gets everything that a collector gets: sequence, time, checksums, trades; it applies the
window rule and compares every checksum.  cryptofeed's gets the same updates of the book with the
sequence that it asks for, without time, checksums and trades, which it can't take.  Both are given
per update of the book, once as they are and once with the best prices read after each message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.context import Bench
from bench.demo_tape import SEED, SYMBOL, VENUE_SYMBOL
from bench.driver import Driver
from bench.measure import alternate, cpu_ns, frozen_inputs
from bench.peers import CRYPTOFEED, Missing
from bench.report import BenchmarkFailed, Row, Skipped
from ordertape._engine import OrderBook
from ordertape.simulator import frames
from ordertape.venues.bitfinex import BitfinexSession
from ordertape.venues.session import Checksum

__all__ = ["run"]

TIMES_AS_FAST = 5.0
DRIVER = Path(__file__).with_name("cryptofeed_driver.py")

Frames = list[tuple[int, bytes]]


def run(bench: Bench) -> Iterator[Row | Skipped]:
    bench.tell("making the frames")
    plain = [text for _, text in frames(SEED, bench.sizes.updates, **_ALIKE, **_BARE)]
    ours = _Ours(list(frames(SEED, bench.sizes.updates, **_ALIKE)))
    theirs: Driver | None = None
    try:
        python = bench.peers.python("cryptofeed", CRYPTOFEED)
        path = _written(plain, bench.folder / "frames.txt")
        theirs = Driver([str(python), str(DRIVER), str(path), VENUE_SYMBOL])
    except Missing as reason:
        yield Skipped("cryptofeed 2.4.1", str(reason))
    updates = sum(text.startswith(b"[") for text in plain) - 1
    figures: dict[str, Callable[[], float]] = {
        "plain": lambda: ours.timed(_take) / updates,
        "reads": lambda: ours.timed(_take_and_read) / updates,
    }
    if theirs is None:
        with frozen_inputs():
            found = alternate(bench.sizes.rounds, bench.tell, figures)
    else:
        with frozen_inputs(), theirs as peer:
            figures["their plain"] = lambda: peer.timed("plain") / updates
            figures["their reads"] = lambda: peer.timed("reads") / updates
            found = alternate(bench.sizes.rounds, bench.tell, figures)
        if peer.state != ours.state:
            raise BenchmarkFailed(f"expected cryptofeed's book {peer.state}, found {ours.state}")
    for figure, name in (("plain", ""), ("reads", ", best prices read")):
        peer_sample = found.get(f"their {figure}")
        row = Row.of(
            f"Bitfinex bytes to book{name}",
            found[figure],
            "ns/update",
            compared_with=peer_sample and f"{CRYPTOFEED[0]}: {peer_sample.median:,.0f} ns/update",
            ratio=peer_sample and peer_sample.median / found[figure].median,
        )
        yield row.times_as_fast(TIMES_AS_FAST) if figure == "plain" else row


_ALIKE: dict[str, Any] = {"length": 250, "symbol": VENUE_SYMBOL}
_BARE: dict[str, Any] = {"with_tail": False, "trades": False}


def _written(plain: list[bytes], path: Path) -> Path:
    """The frames a line each, the arrays with the sequence that cryptofeed expects, from 1."""
    sequence = 0
    with path.open("wb") as file:
        for text in plain:
            if text.startswith(b"["):
                sequence += 1
                text = b"%s,%d]" % (text[:-1], sequence)
            file.write(text + b"\n")
    return path


# Ours ---------------------------------------------------------------------------------------------


class _Ours:
    def __init__(self, recorded: Frames) -> None:
        begins = 1 + next(
            at for at, (_, text) in enumerate(recorded) if text.startswith(b"[") and b"[[" in text
        )
        self._before, self._frames = recorded[:begins], recorded[begins:]
        self.state: tuple[list[str], int] = ([], 0)

    def timed(self, take: Callable[[BitfinexSession, Frames], None]) -> float:
        """CPU ns of all frames behind the book's snapshot, by a new session."""
        book = OrderBook()
        session = BitfinexSession(SYMBOL, book)
        session.opened()
        _take(session, self._before)
        if not len(book):
            raise BenchmarkFailed("expected a snapshot of the book among the first frames")
        taken = cpu_ns(lambda: take(session, self._frames))
        if not session.proofs.checksum:
            raise BenchmarkFailed("expected checksums, found none")
        self.state = ([str(price) for price in book.best()], len(book))
        return taken


def _take(session: BitfinexSession, recorded: Frames) -> None:
    frame = session.frame
    for ts_recv, text in recorded:
        outcome = frame(text, ts_recv)
        if outcome is not None and outcome.checksum is not None:
            _compare(outcome.checksum)


def _take_and_read(session: BitfinexSession, recorded: Frames) -> None:
    frame, best = session.frame, session.book.best
    for ts_recv, text in recorded:
        outcome = frame(text, ts_recv)
        if outcome is not None and outcome.checksum is not None:
            _compare(outcome.checksum)
        best()


def _compare(checksum: Checksum) -> None:
    if checksum.sent != checksum.ours:
        raise BenchmarkFailed(f"expected checksum {checksum.sent}, found {checksum.ours}")
