"""Recorded markets played again: one clock and one thread for all that one page replays.

The clock stands at a time of our clock (ns); everything received before it has happened.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import structlog

from ordertape import limits
from ordertape.errors import OrdertapeError
from ordertape.models import iso_from_ns
from ordertape.page.markers import Found, marker_beyond, nothing_found
from ordertape.page.passage import Passage
from ordertape.page.scene import Reader, Scene, Spot
from ordertape.tape.history import History
from ordertape.tape.lookup import TapeLookup
from ordertape.times import FIRST_NS, LAST_NS, NS_PER_MILLISECOND, NS_PER_SECOND

__all__ = ["Player", "ReplayedMarket"]

BUCKET_NS: Final = 100 * NS_PER_MILLISECOND
LEVELS: Final = ((5.0, 0), (50.0, 1), (250.0, 2))
"""Up to which speed a level of detail is played; beyond the last, a minute a column."""
Say = Callable[[dict[str, Any]], None]


class ReplayedMarket:
    """One market at the player's clock.  Belongs to the player's thread but for what it says."""

    def __init__(
        self,
        player: Player,
        lookup: TapeLookup,
        history: Callable[[], History],
        reader: Reader,
        found: Found,
    ) -> None:
        folder = lookup.folder
        self.spot = Spot(folder.exchange, folder.symbol, "replay")
        self.lookup, self.reader = lookup, reader
        self._data: Path = folder.data
        self._player = player
        self._read_history, self._found = history, found
        self._passage: Passage | None = None
        self.scene: Scene | None = None
        self.first = self.last = 0
        """``ts_recv`` of the first and the last event there is (ns)."""
        self._scales = (0, 0)

    def keys(self, reader: Reader) -> None:
        self._player.call(lambda: self.scene.keys(reader) if self.scene else None)

    def ask(self, question: Callable[[Scene], None]) -> None:
        self._player.call(lambda: question(self.scene) if self.scene else None)

    # In the player's thread ---------------------------------------------------------------------

    def look(self) -> None:
        """Reads from when to when there is something.  Raises UnknownMarket, TapeCorrupt."""
        first = self.lookup.first_seq()
        begun = self.lookup.events(first, first)
        self.first = begun[0].last_ts_recv if begun else 0
        last = self.lookup.last_seq()
        if newest := self.lookup.events(last, last):
            self.last = newest[-1].last_ts_recv
            self._scales = (newest[-1].price_scale, newest[-1].size_scale)

    def look_again(self) -> None:
        """The tape may have gone on."""
        self.look()
        if self.scene is not None:
            self.scene.read(self._read_history())

    def begin(self, at: int, level: int) -> None:
        """The market as it stood, for its reader: a new epoch.  The picture begins with the bucket
        around ``at``, so that the same time shows the same columns however it was reached."""
        self.end()
        history = self._read_history()
        bucket = at // BUCKET_NS * BUCKET_NS
        spot = self.spot
        self._passage = Passage(self._data, spot.exchange, spot.symbol, bucket, self._scales)
        self.scene = Scene(spot, self._passage.book, history)
        self.scene.now = bucket
        self.scene.span = (self.first, self.last)
        self.reader.asked = replace(self.reader.asked, level=level)
        self.scene.join(self.reader)
        if self.reader.wish is not None:
            # A page that seeks keeps its rows.
            self.reader.asked = replace(self.reader.asked, group=self.reader.wish.group)
        self.forward(at)

    def end(self) -> None:
        if self.scene is not None:
            self.scene.leave(self.reader)
        if self._passage is not None:
            self._passage.close()
        self._passage = self.scene = None

    def forward(self, at: int) -> None:
        """Everything before ``at`` happens, and is shown."""
        if self.scene is None or self._passage is None:
            return
        for batch in self._passage.until(at):
            self.scene.take(batch)
        before, second = self.scene.now, NS_PER_SECOND
        self.scene.tick(at)
        if before // second != at // second:
            self.scene.tell_status()

    def next_event(self) -> int | None:
        """The next message happens; the time behind it, None where none is there yet."""
        if self.scene is None or self._passage is None:
            return None
        batch = self._passage.message()
        if batch is None:
            return None
        self.scene.take(batch)
        return batch.last_ts_recv + 1

    def next_ts(self) -> int | None:
        """When the next message came (ns), None where none is there yet."""
        return None if self._passage is None else self._passage.next_ts()

    @property
    def ended(self) -> bool:
        return self._passage is None or self._passage.ended

    def marker(self, at: int, *, forward: bool) -> int | None:
        """When the marker before or behind a time was (ns)."""
        if self.scene is None or self.reader.wish is None:
            return None
        book = self.scene.followed.book
        large = self.reader.wish.large, book.size_scale or 0
        gaps = [hole.from_ns for hole in self.scene.history.holes(FIRST_NS, LAST_NS)]
        return marker_beyond(self.lookup, gaps, large, at, forward=forward, found=self._found)


class Player:
    """Every method but ``stop_thread`` may be called from any thread and returns at once.

    ``say``: called in the player's thread with what the clock says, and with refusals.
    """

    def __init__(self, say: Say) -> None:
        self._say = say
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._markets: list[ReplayedMarket] = []
        self._now = 0
        self._speed = 1.0
        self._playing = self._ended = False
        self._told_at = 0.0
        self._over = threading.Event()
        self._log = structlog.stdlib.get_logger("ordertape.page")
        self._thread = threading.Thread(target=self._run, name="page player", daemon=True)
        self._thread.start()

    def call(self, task: Callable[[], None]) -> None:
        """Does it in the player's thread."""
        self._calls.put(task)

    def stop_thread(self) -> None:
        """Waits for what is being read."""
        self._over.set()
        self._calls.put(lambda: None)
        self._thread.join()

    def join(
        self,
        lookup: TapeLookup,
        history: Callable[[], History],
        at: int | None,
        number: int,
        reader: Reader,
        found: Found = nothing_found,
    ) -> ReplayedMarket:
        """``at``: where all go then (ns); None: the market joins at the clock's time."""
        market = ReplayedMarket(self, lookup, history, reader, found)
        self._do(number, lambda: self._join(market, at), again=True)
        return market

    def leave(self, market: ReplayedMarket) -> None:
        self.call(lambda: self._leave(market))

    def play(self, speed: float) -> None:
        self._do(None, lambda: self._play(speed))

    def stop(self) -> None:
        self._do(None, self._stop)

    def seek(self, at: int) -> None:
        """To a time (ns), or as near as there is a recording."""
        self._do(None, lambda: self._seek(at), again=True)

    def step(self, ns: int) -> None:
        self._do(None, lambda: self._step(ns))

    def step_event(self, market: ReplayedMarket | None) -> None:
        """``market``: whose; None: of the first."""
        self._do(None, lambda: self._step_event(market))

    def marker(self, market: ReplayedMarket | None, *, forward: bool) -> None:
        """``market``: whose; None: of all."""
        self._do(None, lambda: self._marker(market, forward=forward))

    # The thread ---------------------------------------------------------------------------------

    def _do(self, number: int | None, task: Callable[[], None], *, again: bool = False) -> None:
        """``again``: begun anew where the tape moved on between a look at its folder and at a
        file."""

        def done() -> None:
            try:
                try:
                    task()
                except FileNotFoundError:
                    if not again:
                        raise
                    task()
            except OrdertapeError as error:
                self._refuse(str(error), number)
            except Exception as error:  # a defect here must not leave a page without a word
                self._log.exception("L3_replay_error")
                self._refuse(f"unexpected {type(error).__name__}: {error}", number)

        self.call(done)

    def _refuse(self, sentence: str, number: int | None = None) -> None:
        stream = {} if number is None else {"stream": number}
        self._say({"op": "refused", **stream, "detail": sentence})

    def _run(self) -> None:
        picture = limits.replay_picture_ms / 1000
        shown = time.monotonic()
        try:
            while not self._over.is_set():
                due = shown + picture - time.monotonic()
                try:
                    call = self._calls.get(timeout=max(0, due) if self._playing else None)
                except queue.Empty:
                    call = None
                if call is not None:
                    standing = not self._playing
                    call()
                    if standing:
                        shown = time.monotonic()
                now = time.monotonic()
                if self._playing and now - shown >= picture:
                    # What took longer than it lasts is played slower, not skipped.
                    passed, shown = min(now - shown, 2 * picture), now
                    self._go_on(int(passed * self._speed * NS_PER_SECOND))
        finally:
            for market in self._markets:
                market.end()

    def _go_on(self, ns: int) -> None:
        try:
            self._forward(self._now + ns)
        except OrdertapeError as error:
            self._playing = False
            self._log.warning("L3_replay_failed", error=str(error))
            self._refuse(str(error))
        except Exception as error:  # as above
            self._playing = False
            self._log.exception("L3_replay_error")
            self._refuse(f"unexpected {type(error).__name__}: {error}")
        self._tell(often=True)

    def _forward(self, at: int) -> None:
        end = max((market.last for market in self._markets), default=0) + 1
        if at >= end:
            for market in self._markets:
                market.look_again()
            end = max((market.last for market in self._markets), default=0) + 1
        self._ended = at >= end
        self._now = max(self._now, min(at, end))
        if self._ended:
            self._playing = False
        for market in self._markets:
            if market.scene is None and market.first < self._now:
                market.begin(self._now, self._level())
            market.forward(self._now)

    def _level(self) -> int:
        """Of detail at this speed: faster play sends coarser columns, not more of them."""
        return next((level for most, level in LEVELS if self._speed <= most), 3)

    def _join(self, market: ReplayedMarket, at: int | None) -> None:
        market.look()
        self._markets.append(market)
        try:
            if at is not None:
                self._seek(at)
                return
            if market.first < self._now:
                market.begin(self._now, self._level())
        except BaseException:
            self._leave(market)  # the others go on without it
            raise
        self._tell()

    def _leave(self, market: ReplayedMarket) -> None:
        market.end()
        if market in self._markets:
            self._markets.remove(market)
        if not self._markets:
            self._playing = False

    def _play(self, speed: float) -> None:
        before = self._level()
        self._speed, self._playing = speed, True
        self._begin_anew_unless(before)
        self._tell()

    def _stop(self) -> None:
        self._playing = False
        self._tell()

    def _begin_anew_unless(self, level: int) -> None:
        if self._level() != level:
            for market in self._markets:
                if market.scene is not None:
                    market.begin(self._now, self._level())

    def _seek(self, at: int) -> None:
        for market in self._markets:
            market.look()
        begin = min((market.first for market in self._markets), default=0)
        end = max((market.last for market in self._markets), default=0) + 1
        # From the first whole bucket that has something before it.
        begin = (begin // BUCKET_NS + 1) * BUCKET_NS
        self._now = min(max(at, begin), max(end, begin))
        self._ended = self._now >= end
        for market in self._markets:
            if market.first < self._now // BUCKET_NS * BUCKET_NS:
                market.begin(self._now, self._level())
            else:
                market.end()
        self._tell()

    def _step(self, ns: int) -> None:
        self._playing = False
        self._at_full_detail()
        self._forward(self._now + ns)
        self._tell()

    def _step_event(self, market: ReplayedMarket | None) -> None:
        self._playing = False
        self._at_full_detail()
        chosen = market or next((market for market in self._markets if market.scene), None)
        next_ts = None if chosen is None else chosen.next_ts()
        step_ns = limits.replay_step_ms_max * NS_PER_MILLISECOND
        if next_ts is not None and next_ts - self._now > step_ns:
            self._seek(next_ts + 1)
            return
        behind = None if chosen is None else chosen.next_event()
        if behind is not None:
            # Another message of the same moment waits for its own step.
            self._now = max(self._now, behind)
            for other in self._markets:
                if other is chosen and other.scene is not None:
                    other.scene.tick(self._now)
                else:
                    other.forward(self._now)
        self._ended = behind is None
        self._tell()

    def _at_full_detail(self) -> None:
        before, self._speed = self._level(), min(self._speed, LEVELS[0][0])
        self._begin_anew_unless(before)

    def _marker(self, market: ReplayedMarket | None, *, forward: bool) -> None:
        found = [
            at
            for chosen in (self._markets if market is None else [market])
            if (at := chosen.marker(self._now - 1, forward=forward)) is not None
        ]
        if not found:
            where = "behind" if forward else "before"
            self._refuse(f"there is no marker {where} {iso_from_ns(self._now)} near enough")
            return
        self._playing = False
        self._seek((min if forward else max)(found) + 1)

    def _tell(self, *, often: bool = False) -> None:
        now = time.monotonic()
        if often and self._playing and now - self._told_at < limits.replay_picture_ms / 1000 * 0.9:
            return
        self._told_at = now
        self._say(
            {
                "op": "clock",
                "t": iso_from_ns(self._now),
                "speed": self._speed,
                "playing": self._playing,
                "ended": self._ended,
            }
        )
