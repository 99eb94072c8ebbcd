"""Live markets for pages: each followed in a thread of its own, as long as somebody looks."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from ordertape import limits
from ordertape.eras import EraNow
from ordertape.errors import OrdertapeError
from ordertape.page.scene import Posted, Reader, Scene, Spot, Watcher
from ordertape.page.view import text_out
from ordertape.tape.folder import MarketFolder
from ordertape.tape.history import history_of
from ordertape.tape.marks import Mark
from ordertape.tape.reader import Tail
from ordertape.tape.rebuild import rebuilt
from ordertape.times import NS_PER_MILLISECOND, NS_PER_SECOND

__all__ = ["Collected", "LiveMarket"]

Collected = Callable[[Path], bool]
"""Whether somebody collects the market of a folder now."""

TICK_NS = 100_000_000
BEHIND_NS = 30_000_000
"""A bucket is closed so long after its end: a frame is written up to 5 ms after it is complete."""


class LiveMarket:
    """Join and leave from any thread; ``post`` of a reader is called in this one's, and so is
    ``collected``."""

    def __init__(
        self, data: Path, exchange: str, symbol: str, collected: Collected = lambda _root: True
    ) -> None:
        self.data, self.spot = data, Spot(exchange, symbol, "live")
        self._collected = collected
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._readers: list[Reader] = []
        self._watchers: list[Watcher] = []
        self._scene: Scene | None = None
        self._stop = threading.Event()
        self._log = structlog.stdlib.get_logger("ordertape.page").bind(
            market=f"{exchange} {symbol}",
            era=EraNow(lambda: self._scene.followed.book.era if self._scene is not None else 0),
        )
        self._thread = threading.Thread(target=self._run, name="page market", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def join(self, reader: Reader) -> None:
        self._calls.put(lambda: self._join(reader))

    def leave(self, reader: Reader) -> None:
        self._calls.put(lambda: self._leave(reader))

    def watch(self, watcher: Watcher) -> None:
        self._calls.put(lambda: self._watch(watcher))

    def unwatch(self, watcher: Watcher) -> None:
        self._calls.put(lambda: self._unwatch(watcher))

    def call(self, what: Callable[[], None]) -> None:
        """Calls it in the market's thread, whether there is a scene or not."""
        self._calls.put(what)

    def keys(self, reader: Reader) -> None:
        self._calls.put(lambda: self._scene.keys(reader) if self._scene else None)

    def ask(self, question: Callable[[Scene], None]) -> None:
        """Calls it with the scene, in its thread; not at all before there is one."""
        self._calls.put(lambda: question(self._scene) if self._scene else None)

    def _join(self, reader: Reader) -> None:
        self._readers.append(reader)
        if self._scene is not None:
            self._scene.join(reader)

    def _leave(self, reader: Reader) -> None:
        if reader in self._readers:
            self._readers.remove(reader)
        if self._scene is not None:
            self._scene.leave(reader)

    def _watch(self, watcher: Watcher) -> None:
        self._watchers.append(watcher)
        if self._scene is not None:
            watcher.begin(self._scene)
            self._scene.watchers.append(watcher)

    def _unwatch(self, watcher: Watcher) -> None:
        for watchers in (self._watchers, self._scene.watchers if self._scene else []):
            if watcher in watchers:
                watchers.remove(watcher)

    # The thread ---------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._follow()
            except (OrdertapeError, OSError) as error:
                self._failed(str(error))
            except Exception as error:  # a defect here must not leave readers without a word
                self._log.exception("L3_page_error")
                self._failed(f"unexpected {type(error).__name__}: {error}")

    def _failed(self, reason: str) -> None:
        self._scene = None
        told = {"op": "status", "state": "STALE", "reason": f"the tape can't be read: {reason}"}
        for reader in self._readers:
            reader.wish = None
            reader.post(Posted([text_out("status", told, time.time_ns() // 1000)]))
        for watcher in self._watchers:
            watcher.failed(reason)
        self._answer(time.monotonic() + limits.replica_retry_ms / 1000)

    def _follow(self) -> None:
        found = rebuilt(self.data, self.spot.exchange, self.spot.symbol)
        history = history_of(found.reader.since(1), found.book.seq)
        scene = Scene(self.spot, found.book, history)
        scene.now = _ended(time.time_ns())
        scene.uncollected = self._uncollected(found.book.ts_recv)
        tail = found.tail()
        try:
            self._catch_up(scene, tail)
            self._scene = scene
            for waiting in self._readers:
                scene.join(waiting)
            for watcher in self._watchers:
                watcher.begin(scene)
            scene.watchers.extend(self._watchers)
            self._go_on(scene, tail)
        finally:
            self._scene = None
            tail.close()

    def _go_on(self, scene: Scene, tail: Tail) -> None:
        ticked = scene.now // TICK_NS
        while not self._stop.is_set():
            self._catch_up(scene, tail)
            now = _ended(time.time_ns())
            if now // TICK_NS > ticked:
                ticked = now // TICK_NS
                whole_second = (ticked * TICK_NS) % NS_PER_SECOND == 0
                if whole_second:
                    scene.uncollected = self._uncollected(scene.followed.book.ts_recv)
                scene.tick(ticked * TICK_NS)
                if whole_second:
                    scene.tell_status()
            due = (ticked + 1) * TICK_NS + BEHIND_NS - time.time_ns()
            self._answer(
                time.monotonic() + max(0, min(due / 1e9, limits.follow_poll_ms_max / 1000))
            )

    def _uncollected(self, last: int) -> str:
        """Why nobody collects the market now, "" where somebody does.  ``last``: when the last
        event came (ns): where some come, somebody is there, whatever was reported."""
        if time.time_ns() - last < limits.status_differs_ms * NS_PER_MILLISECOND:
            return ""
        root = MarketFolder(self.data, self.spot.exchange, self.spot.symbol).root
        return "" if self._collected(root) else "nobody collects it now"

    def _catch_up(self, scene: Scene, tail: Tail) -> None:
        for item in tail.items():
            if isinstance(item, Mark):
                scene.mark(item)
            else:
                scene.take(item)  # type: ignore[arg-type]  # snapshots were not asked for
            if self._stop.is_set():
                return

    def _answer(self, until: float) -> None:
        """Does what was asked for meanwhile."""
        while not self._stop.is_set():
            try:
                call = self._calls.get(timeout=max(0, until - time.monotonic()))
            except queue.Empty:
                return
            call()


def _ended(now: int) -> int:
    """The moment up to which everything received is on the tape."""
    return now - BEHIND_NS
