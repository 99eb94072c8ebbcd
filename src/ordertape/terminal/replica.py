"""A second book of one market, made by tailing its tape: what the terminal shows."""

from __future__ import annotations

import collections
import threading
import time
from pathlib import Path
from typing import Any

from ordertape import limits
from ordertape._engine import EventBatch, OrderBook
from ordertape.errors import UnknownMarket
from ordertape.events import EventKind
from ordertape.roles.status import StreamReport, read_report
from ordertape.tape.folder import MarketFolder
from ordertape.tape.history import History
from ordertape.tape.marks import Mark
from ordertape.tape.reader import TapeReader
from ordertape.tape.rebuild import rebuild
from ordertape.times import NS_PER_SECOND

__all__ = ["Replica"]


class Replica:
    """Follows a tape in a thread of its own; whoever reads ``book`` holds ``lock``."""

    def __init__(self, data: Path, exchange: str, symbol: str) -> None:
        self.folder = MarketFolder(data, exchange, symbol)
        self.data, self.exchange, self.symbol = data, exchange, symbol
        self.lock = threading.Lock()
        self.book: OrderBook | None = None
        self.history = History()
        self.faults = 0
        self.failure: Exception | None = None
        self.replayed_at: str | None = None
        """ISO 8601; None where it is followed live."""
        self._recent: collections.deque[EventBatch] = collections.deque(
            maxlen=limits.view_events_shown
        )
        self._per_second: dict[int, list[int]] = {}
        self._since: int | None = None
        """The second of our clock in which following began."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tape follower", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def report(self) -> StreamReport | None:
        """What the collector says, None where none is running."""
        report = read_report(self.folder.root)
        return report if report is not None and report.fresh else None

    def now(self) -> int:
        """The time that is shown (ns)."""
        return time.time_ns()

    def events(self, count: int) -> list[dict[str, Any]]:
        """The last events, newest first; hold ``lock``."""
        rows: list[dict[str, Any]] = []
        for batch in reversed(self._recent):
            for index in range(len(batch) - 1, -1, -1):
                rows.append(batch[index])
                if len(rows) == count:
                    return rows
        return rows

    def rates(self) -> dict[str, float]:
        """Events a second by kind over the last whole seconds of our clock; hold ``lock``.

        Nothing as long as no whole second was seen: of the first one only a part was.
        """
        now = self.now() // NS_PER_SECOND
        if self._since is None or self._since + 1 >= now:
            return {}
        span = range(max(now - limits.view_rate_seconds, self._since + 1), now)
        for second in [second for second in self._per_second if second < span.start]:
            del self._per_second[second]
        return {
            kind.name.lower(): sum(
                self._per_second[second][kind] for second in span if second in self._per_second
            )
            / len(span)
            for kind in EventKind
        }

    def _run(self) -> None:
        try:
            start = self._begin()
            if start is None:
                return
            reader = TapeReader(self.data, self.exchange, self.symbol, from_seq=start)
            for item in reader.follow(self._stop):
                with self.lock:
                    self._take(item)
        except Exception as error:  # the view shows it and ends
            self.failure = error

    def _begin(self) -> int | None:
        """Rebuilds the book as soon as the market has a tape; the seq to follow from."""
        while not self._stop.is_set():
            try:
                book = rebuild(self.data, self.exchange, self.symbol)
                marks = list(TapeReader(self.data, self.exchange, self.symbol).marks())
            except UnknownMarket:
                self._stop.wait(limits.view_wait_ms / 1000)
                continue
            with self.lock:
                self.book, self._since = book, time.time_ns() // NS_PER_SECOND
                for mark in marks:
                    # Later ones come with their events: a state must not run ahead of the book.
                    if mark.seq <= book.seq:
                        self.history.take(mark)
            return book.seq + 1
        return None

    def _take(self, item: EventBatch | Mark) -> None:
        if isinstance(item, Mark):
            self.history.take(item)
            return
        if self.book is None:
            self.book = OrderBook(codec=item.codec)
        self.faults += self.book.apply(item).faults
        self._count(item)

    def _count(self, item: EventBatch) -> None:
        self._recent.append(item)
        second = item.last_ts_recv // NS_PER_SECOND
        counts = self._per_second.setdefault(second, [0] * 8)
        for kind, count in enumerate(item.counts()):
            counts[kind] += count
