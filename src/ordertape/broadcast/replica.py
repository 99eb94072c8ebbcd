"""A second book of one market, made by tailing its tape up to what is written."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import structlog

from ordertape import limits
from ordertape._engine import EventBatch, OrderBook
from ordertape.broadcast.encode import order_objects, statistics_text
from ordertape.broadcast.frames import Circumstance, Events, Resumed
from ordertape.broadcast.picture import BookPicture
from ordertape.broadcast.ring import Ring
from ordertape.eras import EraNow
from ordertape.errors import OrdertapeError, UnknownMarket
from ordertape.events import EventKind
from ordertape.tape.history import History, history_of
from ordertape.tape.marks import Mark
from ordertape.tape.reader import TapeReader
from ordertape.tape.rebuild import Replay, rebuild, time_of

__all__ = ["Beginning", "Posted", "ReplicaBook", "StateTold"]

_WITH_BOOK = frozenset({"LIVE", "STALE"})


class StateTold(NamedTuple):
    """What the tape says of the stream's state, which may be known already."""

    state: str
    reason: str


Posted: TypeAlias = Events | BookPicture | StateTold


class Beginning(NamedTuple):
    """What a new reader gets first, and the event behind which it stands before that."""

    after: int
    items: list[Resumed | BookPicture]
    has_book: bool
    """Whether the reader knows the book then; it waits for the next one otherwise."""


class ReplicaBook:
    """Follows a tape in a thread of its own and posts what readers are to be sent.

    ``post`` is called in that thread, in the order of the tape.  ``wanted`` says whether anybody
    reads; without readers nothing is encoded.  Everything public may be called from any thread.
    """

    def __init__(
        self,
        data: Path,
        exchange: str,
        symbol: str,
        *,
        post: Callable[[Posted], None],
        events_kept: int = limits.live_events_kept_default,
    ) -> None:
        self.data, self.exchange, self.symbol = data, exchange, symbol
        self.wanted = False
        self.depths: frozenset[int] = frozenset()
        """Of which depths readers want books."""
        self.failure = ""
        """Why the tape can't be followed now; the book stands still, STALE, as long as that is."""
        self.history = History()
        self._post = post
        self._lock = threading.Lock()
        self._replay: Replay | None = None
        self._book_ts = 0
        self._ring = Ring(events_kept)
        self._seconds: deque[tuple[int, int]] = deque(maxlen=limits.stream_rate_seconds + 1)
        self._stop = threading.Event()
        self._caught_up, self._live = threading.Event(), threading.Event()
        self._log = structlog.stdlib.get_logger("ordertape.broadcast").bind(
            market=f"{exchange} {symbol}", era=EraNow(lambda: self.history.last_era)
        )
        self._thread = threading.Thread(target=self._run, name="replica book", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread; its last words are posted before this returns."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def wait(self, seconds: float) -> bool:
        """Whether there is a book, after waiting so long for one."""
        return self._caught_up.wait(seconds)

    def wait_live(self, seconds: float) -> bool:
        """Whether the book is the venue's, after waiting so long for it."""
        return self._live.wait(seconds)

    # Reading --------------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """As the tape told it last; STALE while that can't be read."""
        return "STALE" if self.failure else self.history.state or "STOPPED"

    @property
    def has_live_book(self) -> bool:
        """Whether the tape says that the book is the venue's."""
        return self._live.is_set()

    def picture(self) -> BookPicture | None:
        """The book as it stands, None before there is one."""
        with self._lock:
            return None if self._replay is None else self._picture(self._replay.book)

    def best(self) -> tuple[str | None, str | None]:
        """Best bid and ask as plain text."""
        with self._lock:
            found = self._replay.book.best() if self._replay is not None else (None, None)
        bid, ask = (None if price is None else format(price, "f") for price in found)
        return bid, ask

    def statistics(self) -> tuple[Circumstance, int, str] | None:
        """(circumstance, sequence, ``statistics`` as JSON), None before there is a book."""
        with self._lock:
            if self._replay is None:
                return None
            book = self._replay.book
            return self._where(book), book.seq, statistics_text(book)

    def events_per_second(self) -> float:
        """The mean over the last whole seconds of our clock."""
        now = time.time_ns() // 10**9
        span = limits.stream_rate_seconds
        counted = sum(count for second, count in list(self._seconds) if now - span <= second < now)
        return counted / span

    def begin(self, since: tuple[int, int] | None = None, live: bool = True) -> Beginning:
        """What a reader who joins now gets first: the book, or what followed ``since``.

        ``live``: whether the collector, too, says that this is the venue's book.
        ``since``: (era, sequence) where the reader stood.  Where that era is over, or too much
        came since, it is the book.
        """
        with self._lock:
            if self._replay is None:
                return Beginning(0, [], False)
            book, last = self._replay.book, self._replay.seq
            held = list(self._ring)
            if since is not None and self._stood(since, book.era) and since[1] <= last:
                first_held = held[0].first_seq if held else last + 1
                picture = None
                after = since[1]
            elif live and self.state in _WITH_BOOK:
                picture, after, first_held = self._picture(book), book.seq, 0
            else:
                return Beginning(last, [], False)
            where = self._where(book)
        if picture is not None:
            return Beginning(after, [picture, *_missed(held, after, where)], True)
        older = self._from_tape(after, first_held) if first_held > after + 1 else []
        if older is None:
            return self.begin(live=live)
        return Beginning(after, [*_missed([*older, *held], after, where)], True)

    def _stood(self, since: tuple[int, int], era: int) -> bool:
        """Whether that event was one of this era, which is still the book's."""
        return since[0] == era == self.history.era_at(since[1])

    def _from_tape(self, after: int, until: int) -> list[EventBatch] | None:
        """The events between two seqs, both exclusive; None where they are too many."""
        if until - after > limits.resume_events_max:
            return None
        batches = []
        for batch in TapeReader(self.data, self.exchange, self.symbol, after + 1).batches():
            rows = batch[: batch.search_seq(until)]
            if len(rows):
                batches.append(rows)
            if batch.last_seq >= until - 1:
                return batches
        return None

    # Following ------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._follow()
            except UnknownMarket:
                self._stop.wait(limits.view_wait_ms / 1000)
            except (OrdertapeError, OSError) as error:
                self._failed(str(error))
            except Exception as error:  # a defect here must not leave readers without a word
                self._log.exception("L3_replica_error")
                self._failed(f"unexpected {type(error).__name__}: {error}")

    def _failed(self, reason: str) -> None:
        self._log.error("L3_replica_failed", reason=reason)
        failure = f"the server can't read its tape: {reason}"
        if failure != self.failure:
            self.failure = failure
            self._post(StateTold("STALE", failure))
        self._stop.wait(limits.replica_retry_ms / 1000)

    def _follow(self) -> None:
        start = self._begin()
        reader = TapeReader(self.data, self.exchange, self.symbol, from_seq=start)
        self._recovered()
        for item in reader.follow(self._stop, limits.replica_poll_ms_max):
            if isinstance(item, Mark):
                self._mark(item)
            else:
                self._take(item)

    def _recovered(self) -> None:
        """What readers missed while the tape could not be read is in the book they get."""
        if not self.failure:
            return
        self.failure = ""
        if self.history.state:
            self._post(StateTold(self.history.state, self.history.reason))
        if self._live.is_set():
            self._post_picture()

    def _begin(self) -> int:
        """Rebuilds the book; the seq to follow from."""
        reader = TapeReader(self.data, self.exchange, self.symbol)
        try:
            book = rebuild(self.data, self.exchange, self.symbol)
        except UnknownMarket:
            book = None  # a tape without an event yet: it is followed from its first
        # Read after the book: a mark told twice is known, one between the two would be lost.
        history = history_of(reader, book.seq if book is not None else 0)
        ts = 0 if book is None else time_of(book, reader.since(book.seq).batches())
        with self._lock:
            self.history, self._book_ts = history, ts
            self._ring.clear()
            self._replay = Replay(book) if book is not None else None
        if book is None:
            return 1
        self._caught_up.set()
        self._note_state()
        return book.seq + 1

    def _take(self, batch: EventBatch) -> None:
        with self._lock:
            if self._replay is None:
                self._replay = Replay(OrderBook(codec=batch.codec))
            book, clears = self._replay.book, _clears(batch)
            era = book.era
            for nth, seq in enumerate(clears, 1):
                self.history.begin_era(seq, era + nth)
            era += bool(clears) and clears[0] == batch.first_seq
            self._replay.take(batch)
            self._keep(batch)
            self._note_time(book)
            where = self._where(book)
        if self.wanted:
            self._post(_events(batch, era, where))
        self._caught_up.set()

    def _note_time(self, book: OrderBook) -> None:
        """Of the book's last event, which a message's end may lie behind, in another batch."""
        holding = list(takewhile(lambda held: held.last_seq >= book.seq, reversed(self._ring)))
        if holding and holding[-1].first_seq <= book.seq:
            self._book_ts = time_of(book, reversed(holding))

    def _keep(self, batch: EventBatch) -> None:
        events = batch.last_seq - batch.first_seq + 1
        self._ring.append(batch)
        second = batch.last_ts_recv // 10**9
        if self._seconds and self._seconds[-1][0] == second:
            self._seconds[-1] = (second, self._seconds[-1][1] + events)
        else:
            self._seconds.append((second, events))

    def _mark(self, mark: Mark) -> None:
        before = (self.history.state, self.history.reason)
        self.history.take(mark)
        self._note_state()
        if mark.kind == "state" and before != (self.history.state, self.history.reason):
            self._post(StateTold(self.history.state, self.history.reason))
        elif mark.kind == "era":
            # It stands behind the state LIVE and the rows that followed the CLEAR; a replica that
            # began between the two has not told that state yet.
            self._post(StateTold(self.history.state, self.history.reason))
            self._post_picture()

    def _note_state(self) -> None:
        if self.history.state not in _WITH_BOOK:
            self._live.clear()
        elif self._replay is not None:
            self._live.set()

    def _post_picture(self) -> None:
        picture = self.picture()
        if picture is not None and self.wanted:
            # Here, not in the loop; who came meanwhile may want another depth.
            while missing := [d for d in self.depths if not picture.is_written(d)]:
                picture.write(missing[0])
            self._post(picture)

    def _picture(self, book: OrderBook) -> BookPicture:
        return BookPicture.of(book, self._where(book), self._book_ts)

    def _where(self, book: OrderBook) -> Circumstance:
        return Circumstance(
            self.exchange, self.symbol, self.state, book.era, self.history.simulated
        )


def _missed(held: list[EventBatch], after: int, where: Circumstance) -> list[Resumed]:
    """Held events behind ``after``, all of one era."""
    found = [
        batch[batch.search_seq(after + 1) :] if batch.first_seq <= after else batch
        for batch in held
        if batch.last_seq > after
    ]
    return [Resumed(found, where, where.era)] if found else []


def _events(batch: EventBatch, era: int | None, where: Circumstance) -> Events:
    objects = order_objects(batch, era, whole=True)
    return Events(batch.first_seq, batch.last_seq, batch.last_ts_recv, where, objects)


def _clears(batch: EventBatch) -> list[int]:
    """seq of each CLEAR."""
    if not batch.counts()[EventKind.CLEAR]:
        return []
    kinds = np.asarray(batch.column("kind"))
    seqs: list[int] = np.asarray(batch.column("seq"))[kinds == EventKind.CLEAR].tolist()
    return seqs
