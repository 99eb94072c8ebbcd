"""Coinbase: bytes to events to book, beside cryptofeed's handler.

Both get the same messages of the `full` channel behind the same whole book, and must end with the
same one; once as they are, and once with the best prices read after each message.  Ours checks the
sequence, keeps queues and makes a batch of events of every message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from bench.coinbase_frames import PRODUCT, CoinbaseFrames, make_frames
from bench.context import Bench
from bench.driver import Driver
from bench.measure import alternate, cpu_ns, frozen_inputs
from bench.peers import CRYPTOFEED_COINBASE, Missing
from bench.report import BenchmarkFailed, Row, Skipped
from ordertape._engine import CoinbaseSnapshot, OrderBook
from ordertape.venues.coinbase import CoinbaseSession
from ordertape.venues.coinbase_wire import book_path
from ordertape.venues.session import Fetch

__all__ = ["run"]

TIMES_AS_FAST = {"plain": 7.0, "reads": 20.0}
READ_MESSAGES = 4
"""One in so many messages is given where best prices are read: a peer sorts all its levels anew."""
SCRIPT = Path(__file__).with_name("cryptofeed_coinbase.py")


def run(bench: Bench) -> Iterator[Row | Skipped]:
    bench.tell("making the messages")
    frames = make_frames(bench.stream.first(min(bench.sizes.updates, len(bench.stream))))
    ours = _Ours(frames)
    counts = {"plain": len(frames.messages), "reads": len(frames.messages) // READ_MESSAGES}
    theirs: Driver | None = None
    try:
        python = bench.peers.python("cryptofeed-2.3.2", CRYPTOFEED_COINBASE)
        book, texts = bench.folder / "coinbase-book.json", bench.folder / "coinbase.jsonl"
        book.write_bytes(frames.book)
        texts.write_bytes(b"\n".join(frames.messages))
        theirs = Driver([str(python), str(SCRIPT), str(book), str(texts)])
    except Missing as reason:
        yield Skipped(CRYPTOFEED_COINBASE[0], str(reason))
    figures: dict[str, Callable[[], float]] = {
        which: lambda which=which: ours.timed(which, counts[which]) / counts[which]
        for which in counts
    }
    if theirs is None:
        with frozen_inputs():
            found = alternate(bench.sizes.rounds, bench.tell, figures)
    else:
        with frozen_inputs(), theirs as peer:
            for which, count in counts.items():
                figures[f"their {which}"] = lambda which=which, count=count: (
                    _same(peer.timed(f"{which} {count}"), ours.states[which], peer) / count
                )
            found = alternate(bench.sizes.rounds, bench.tell, figures)
    for which, name in (("plain", ""), ("reads", ", best prices read")):
        sample = found.get(f"their {which}")
        yield Row.of(
            f"Coinbase bytes to book{name}",
            found[which],
            "ns/message",
            compared_with=sample and f"{CRYPTOFEED_COINBASE[0]}: {sample.median:,.0f} ns/message",
            ratio=sample and sample.median / found[which].median,
        ).times_as_fast(TIMES_AS_FAST[which])


def _same(taken: float, ours: tuple[list[str], int], peer: Driver) -> float:
    if peer.state != ours:
        raise BenchmarkFailed(f"expected cryptofeed's book {peer.state}, found {ours}")
    return taken


class _Ours:
    def __init__(self, frames: CoinbaseFrames) -> None:
        self._frames = frames
        self.states: dict[str, tuple[list[str], int]] = {}

    def timed(self, which: str, count: int) -> float:
        """CPU ns of the first messages, by a new session that has the book."""
        session = _synced(self._frames.book)
        messages = self._frames.messages[:count]
        take = _take if which == "plain" else _take_and_read
        taken = cpu_ns(lambda: take(session, messages))
        best = [str(price) for price in session.book.best()]
        self.states[which] = (best, len(session.book))
        return taken


def _synced(body: bytes) -> CoinbaseSession:
    session = CoinbaseSession(PRODUCT, OrderBook(codec="uuid"))
    sequence = CoinbaseSnapshot(body, session.book.codec).sequence
    heartbeat = f'{{"type":"heartbeat","product_id":"{PRODUCT}","sequence":{sequence}}}'
    session.frame(heartbeat.encode(), 1)
    session.answer(Fetch(book_path(PRODUCT), "bench"), 200, {}, body, 2)
    while session.busy:
        session.tick(2)
    return session


def _take(session: CoinbaseSession, messages: list[bytes]) -> None:
    frame = session.frame
    for ts_recv, text in enumerate(messages, 3):
        outcome = frame(text, ts_recv)
        if outcome is not None and outcome.fault is not None:
            raise BenchmarkFailed(f"expected messages in step, found {outcome.fault.reason}")


def _take_and_read(session: CoinbaseSession, messages: list[bytes]) -> None:
    frame, best = session.frame, session.book.best
    for ts_recv, text in enumerate(messages, 3):
        outcome = frame(text, ts_recv)
        if outcome is not None and outcome.fault is not None:
            raise BenchmarkFailed(f"expected messages in step, found {outcome.fault.reason}")
        best()
