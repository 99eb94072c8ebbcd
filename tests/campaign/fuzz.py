"""Spoilt texts through the whole way: session, stream, book and journal, a judge beside them.

A venue of tests/support says what happens, a part of its texts is spoilt on the way.  After each
the book is one that the judge allows, or the stream has left LIVE and a gap row stands open; in the
end the journal, read again, leads to the same book at every mark.
"""

from __future__ import annotations

import json
import random
import resource
import tempfile
from abc import ABC, abstractmethod
from collections import deque
from pathlib import Path
from typing import Any

from campaign.judges import BitfinexJudge, CoinbaseJudge
from campaign.mutations import mutated
from ordertape import limits
from ordertape._engine import EventBatch, OrderBook
from ordertape.settings import Credentials
from ordertape.stream.market import MarketStream, Step, Wish
from ordertape.stream.state import StreamState
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter
from ordertape.tape.marks import Mark
from ordertape.tape.verify import verify
from ordertape.venues.coinbase import Phase
from ordertape.venues.registry import venue_of
from ordertape.venues.session import Fetch
from support.bitfinex import START_MS, NaiveVenue
from support.coinbase import PRODUCT, PlainCoinbase

__all__ = ["FRAMES", "attempt"]

FRAMES = 10_000
"""Spoilt texts of one try."""
MS = 1_000_000
SECOND = 1_000 * MS
SPOILT = 0.5
"""Of the texts of a book that stands; a tenth as often while it begins."""
FOLLOWED = 25
"""Texts after a spoilt one was taken before the connection begins anew: books part from then on."""
WINDOW = 25
"""Orders a side, or about so."""
CALM = 60
"""Texts without a book before nothing more is spoilt, and time goes by faster."""
PATIENCE_NS = (limits.maintenance_ms_max + 30_000) * 1_000_000
"""So long after it was LIVE it is LIVE again, also where a spoilt text told of a pause."""
MEMORY_BYTES = 96 * 2**20
"""What a try may add to the process: texts of some megabytes among them."""


class Gaps:
    """A journal that is asked whether a gap is open."""

    def __init__(self, journal: JournalWriter) -> None:
        self.journal = journal
        self.open = False

    def append(self, batch: EventBatch, /) -> None:
        self.journal.append(batch)

    def snapshot(self, book: OrderBook, /) -> None:
        self.journal.snapshot(book)

    def mark(self, mark: Mark, /) -> None:
        if mark.kind == "gap":
            self.open = mark.fields["to_ns"] is None
        self.journal.mark(mark)


class Fuzz(ABC):
    """One stream and one venue; what a venue's own says stands in ``_Bitfinex``, ``_Coinbase``."""

    def __init__(self, venue: str, symbol: str, seed: int, frames: int, folder: Path) -> None:
        self.draw = random.Random(f"fuzz {venue} {seed}")
        self.symbol, self.frames, self.now = symbol, frames, START_MS * MS
        self.folder = MarketFolder(folder, venue, symbol)
        self.journal = JournalWriter(self.folder, segment_bytes=4 * 2**20)
        self.gaps = Gaps(self.journal)
        self.stream = MarketStream(
            venue_of(venue),
            symbol,
            sink=self.gaps,
            credentials=Credentials("k", "c2VjcmV0", "p") if venue == "coinbase" else None,
            snapshot_interval_seconds=limits.snapshot_interval_seconds_min,
        )
        self.journal.book = self.stream.book
        self.judge: Any
        self.outbox: deque[str] = deque()
        """What the venue has said and the stream not heard."""
        self.spoilt = self.taken = self.refused = self.compared = 0
        self.wrong: list[str] = []
        self._since_taken = 0
        """Texts since a spoilt one was taken into this book, 0 where none was."""
        self._tainted = False
        """Whether anything was spoilt on this connection."""
        self._plain = 0
        """So many texts of a LIVE book stay as they are."""
        self._without, self._lived_ns = 0, self.now
        self._ended = False

    # A venue's own --------------------------------------------------------------------------------

    @abstractmethod
    def texts(self) -> list[str]:
        """What happens next."""

    @abstractmethod
    def greet(self) -> list[str]:
        """What the venue answers to an opened connection."""

    @abstractmethod
    def answer(self, step: Step) -> list[str]:
        """What the venue says to what it is sent."""

    def said(self) -> None:  # noqa: B027 - most venues have nothing
        """A text was said: what else is due."""

    @abstractmethod
    def heard(self) -> None:
        """The stream took something in: what the judge has to know."""

    # The way --------------------------------------------------------------------------------------

    def run(self) -> list[str]:
        self.stream.start(self.now)
        self._open()
        while self.spoilt < self.frames and len(self.wrong) < 5:
            if not self.outbox:
                self.outbox.extend(self.texts())
            self.say(self.outbox.popleft())
            self.said()
            if self._since_taken > FOLLOWED:
                self._close("begun anew")
            elif self.now - self._lived_ns > PATIENCE_NS:
                self.wrong.append(f"{self.spoilt}: not LIVE again: {self.stream.reason}")
        self.stream.stop(self.now)
        self._bounded()
        self.journal.close()
        self._verify()
        if not min(self.taken, self.refused, self.compared):
            self.wrong.append(f"taken {self.taken}, refused {self.refused}")
        return self.wrong

    def say(self, text: str) -> None:
        """A text of the venue, spoilt on its way or not, or a spoilt one before it."""
        plain, live = text.encode(), self.stream.state is StreamState.LIVE
        chance = SPOILT if live else SPOILT / 10
        if self._without > CALM or self._plain > 0:
            self._plain -= live
            chance = 0.0
        if self.draw.random() < chance:
            connects = self.stream.connects
            self._arrive(mutated(plain, self.draw), True)
            if self.draw.random() < 0.7 or self.stream.connects != connects:
                return
        self._arrive(plain, False)

    @property
    def holds(self) -> bool:
        """Whether a book stands, is being taken over, or waits until the messages reach it."""
        state, session = self.stream.state, self.stream.session
        waits = getattr(session, "_ahead", None) is not None
        return state in (StreamState.LIVE, StreamState.STALE) or session.busy or waits

    def _arrive(self, text: bytes, spoilt: bool) -> None:
        stream, was_live, held = self.stream, self.stream.state is StreamState.LIVE, self.holds
        if stream.state is StreamState.CONNECTING:
            return
        self.now += self.draw.choice((MS, MS, 7 * MS)) + (200 * MS if self._without > CALM else 0)
        may_live, checksum = self.judge.hear(text, spoilt)
        self.spoilt += spoilt
        self._tainted |= spoilt
        sent = [stream.on_frame(text, self.now), stream.flush(), stream.tick(self.now)]
        self.heard()
        self._judge(text, spoilt, was_live, may_live, checksum)
        if held and not self.holds:
            self.judge.lost(text)
        for step in sent:
            if step is not None:
                self.follow(step)

    def _judge(
        self, text: bytes, spoilt: bool, was_live: bool, may_live: bool, checksum: int | None
    ) -> None:
        state = self.stream.state
        live = state is StreamState.LIVE
        self._without = 0 if live else self._without + 1
        if live:
            self._lived_ns = self.now
            self._look(text, was_live and not may_live, checksum)
        elif was_live and state is not StreamState.STALE:
            if not self.gaps.open:
                self._note("no gap row is open after", text)
            if not self._tainted:
                self._note(f"{state.value} ({self.stream.reason}) after a plain text", text)
            self.stream.book.check()
            self._since_taken = 0
        if was_live and spoilt:
            self.taken, self.refused = self.taken + live, self.refused + (not live)
            self._since_taken += live
        self._since_taken += self._since_taken > 0

    def _look(self, text: bytes, must_leave: bool, checksum: int | None) -> None:
        self.compared += 1
        if self.judge.blind:
            return
        found = "still LIVE after" if must_leave else ""
        found = found or self.judge.allows(self.stream.book, checksum)
        if found:
            self._note(found, text)
            self._since_taken = FOLLOWED + 1  # one defect is one line

    def _note(self, what: str, text: bytes) -> None:
        self.wrong.append(f"{self.spoilt}: {what}: {text[:300]!r}")

    def follow(self, step: Step) -> None:
        if step.wish is not None:
            self._ended = step.wish is Wish.END
            self._close(step.reason)
            return
        self.outbox.extend(self.answer(step))

    def _open(self) -> None:
        self.judge.opened()
        self._since_taken, self._tainted = 0, False
        self._plain = 40 if self.draw.random() < 0.05 else 0
        step = self.stream.on_open(self.now)
        self.outbox = deque(self.greet())
        self.follow(step)

    def _close(self, reason: str) -> None:
        self.stream.on_close(reason, self.now)
        self.now += 100 * MS
        if self._ended:
            self._ended = False
            self.stream.start(self.now)
        self._open()

    def _verify(self) -> None:
        """The journal, read again, leads to the same book at every mark."""
        report = verify(self.folder.data, self.folder.exchange, self.symbol)
        if report.difference is not None:
            self.wrong.append(f"the tape: {report.difference}")
        if report.missing_events or report.marks_equal != report.marks or not report.marks:
            self.wrong.append(f"the tape: {report}")

    def _bounded(self) -> None:
        """What is kept for whoever wants to know is kept within its limits."""
        stream = self.stream
        kept = sum(len(frame.text) for frame in stream.quarantine.frames)
        bounds = {
            "quarantined bytes": (
                kept,
                limits.quarantine_frames_max * limits.quarantine_frame_bytes_max,
            ),
            "errors": (len("".join(stream.errors)), limits.stream_errors_kept * 2_000),
            "counters": (len(stream.counters), 200),
            "channels": (len(stream.session.foreign), limits.channels_max),
        }
        self.wrong += [
            f"{found} {name}, at most {most}"
            for name, (found, most) in bounds.items()
            if found > most
        ]


class _Bitfinex(Fuzz):
    def __init__(self, seed: int, frames: int, folder: Path) -> None:
        super().__init__("bitfinex", "BTC/USD", seed, frames, folder)
        self.venue = NaiveVenue(seed, length=WINDOW, depth=12)
        self.judge = BitfinexJudge()

    def texts(self) -> list[str]:
        for bids in (True, False):  # a small book is read and compared quickly
            for order_id, _, _ in self.venue.all.side(bids)[WINDOW:]:
                del self.venue.all.orders[order_id]
        return self.venue.iteration() or [self.venue.heartbeat()]

    def greet(self) -> list[str]:
        self.venue.sequence = 0
        return ['{"event":"info","version":2,"platform":{"status":1}}']

    def heard(self) -> None:
        """Everything that this judge needs stands in the texts."""

    def answer(self, step: Step) -> list[str]:
        said: list[str] = []
        for text in step.send:
            asked = json.loads(text)
            if asked["event"] == "conf":
                said.append(self.venue.conf())
            elif asked["event"] == "unsubscribe":
                told = {"event": "unsubscribed", "status": "OK", "chanId": asked["chanId"]}
                said.append(json.dumps(told))
            elif asked["channel"] == "book":
                self.venue.book_channel += 1
                said += [self.venue.subscribed()[0], self.venue.snapshot(), self.venue.checksum()]
            else:
                said += [self.venue.subscribed()[1], self.venue.trades_snapshot()]
        return said


class _Coinbase(Fuzz):
    def __init__(self, seed: int, frames: int, folder: Path) -> None:
        super().__init__("coinbase", PRODUCT, seed, frames, folder)
        self.venue = PlainCoinbase(seed)
        for _ in range(60):
            self.venue.step()
        self.judge: CoinbaseJudge = CoinbaseJudge(PRODUCT)
        self._later: tuple[int, Fetch, bytes] | None = None
        """An answer on its way: after so many texts."""
        self._body, self._waited = b"", True
        """The newest answer, and whether the stream waited for its book until now."""

    def texts(self) -> list[str]:
        if len(self.venue.where) > 3 * WINDOW:
            return self.venue.cancel(self.draw.choice(list(self.venue.where)))
        return self.venue.step() or [self.venue.heartbeat()]

    def greet(self) -> list[str]:
        self._later = None
        return [self.venue.subscriptions(), self.venue.heartbeat()]

    def answer(self, step: Step) -> list[str]:
        if step.fetch is not None:
            body = self.venue.rest()
            if self._without < CALM and self.draw.random() < SPOILT / 10:
                body = mutated(body, self.draw)
                self.spoilt += 1
                self._tainted = True
            # What is still to be said is older than the book.
            self._later = (len(self.outbox) + self.draw.choice((0, 0, 3, 9)), step.fetch, body)
        return []

    def heard(self) -> None:
        session: Any = self.stream.session
        waits = session._phase is Phase.WAITING
        if self._waited and not waits:
            self.judge.adopt(self._body, [text for _, text, _ in session._queue.messages])
        self._waited = waits

    def said(self) -> None:
        if self._later is None:
            return
        left, fetch, body = self._later
        self._later = (left - 1, fetch, body)
        if left > 0:
            return
        self._later = None
        made: Any = body
        status = 200
        if fetch.read is not None and self.draw.random() < 0.5:
            try:
                made = fetch.read(body)  # as a thread of its own does
            except ValueError as error:
                status, made = 0, str(error)
        step = self.stream.on_answer(fetch, status, {}, made, self.now)
        self._body = body
        self.heard()
        if self.stream.state is StreamState.LIVE:
            self._look(body, False, None)
        if step is not None:
            self.follow(step)


_VENUES = {"bitfinex": _Bitfinex, "coinbase": _Coinbase}


def attempt(venue: str, seed: int, frames: int = FRAMES) -> list[str]:
    """One try; what did not hold."""
    before = _resident()
    with tempfile.TemporaryDirectory(prefix="ordertape-fuzz-") as folder:
        wrong = _VENUES[venue](seed, frames, Path(folder)).run()
    grown = _resident() - before
    if grown > MEMORY_BYTES:
        wrong.append(f"{grown} bytes more than before, at most {MEMORY_BYTES}")
    return wrong


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
