"""One market's stream in a controlled collector: started, stopped, failed, started again."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from ordertape.errors import NoRoom, SyncFailed
from ordertape.roles.markets import Market
from ordertape.roles.status import StreamReport
from ordertape.tape.folder import MarketFolder

__all__ = ["StreamRun"]


class StreamRun:
    """``changing`` is held by whoever starts or stops it."""

    def __init__(self, exchange: str, symbol: str, *, simulated: bool) -> None:
        self.exchange, self.symbol, self._simulated = exchange, symbol, simulated
        self.changing = asyncio.Lock()
        self.persist = True
        self.interval_seconds: int | None = None
        self.market: Market | None = None
        """What runs now, until its tape is closed."""
        self.waits = False
        """Whether it is wanted and could not be opened yet."""
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._last: StreamReport | None = None
        self._ours = self._to_write = False

    @property
    def running(self) -> bool:
        return self.market is not None and not self.market.failed

    @property
    def known(self) -> bool:
        """Whether there is anything to tell."""
        return self.market is not None or self._last is not None or self.waits

    def begin(self, market: Market, on_sync_failure: Callable[[SyncFailed], None]) -> None:
        """Runs an opened market until ``end`` or its failure."""
        self.market, self._stop, self.waits = market, asyncio.Event(), False
        self._ours = self._to_write = True
        self._task = asyncio.create_task(self._run(market, self._stop, on_sync_failure))

    async def _run(
        self,
        market: Market,
        stop: asyncio.Event,
        on_sync_failure: Callable[[SyncFailed], None],
    ) -> None:
        try:
            await market.run(stop)
            await asyncio.to_thread(market.close)
        except SyncFailed as error:
            market.failure = str(error)
            on_sync_failure(error)
        finally:
            self._last, self.market = market.report(), None
            self.waits = market.lacks_room and not stop.is_set()

    async def end(self) -> None:
        """Returns when it runs no more, its tape is durable and its lock let go."""
        self._stop.set()
        if self._task is not None:
            await asyncio.wait((self._task,))

    async def ended(self) -> None:
        """Returns when what was begun last has ended, however it did."""
        if self._task is not None:
            await asyncio.wait((self._task,))

    def could_not(self, error: Exception) -> None:
        """It could not be opened; what lies in its folder may be another process's."""
        if isinstance(error, NoRoom):
            self._last = self._waiting_for_room(str(error))
        else:
            self._last, self._ours = self._report("FAILED", str(error)), False

    def _waiting_for_room(self, reason: str) -> StreamReport:
        last = self._last or self._report("CONNECTING", reason)
        return msgspec.structs.replace(
            last, state="CONNECTING", reason=reason, written_at=time.time_ns()
        )

    def stopped(self) -> None:
        """Nobody wants it any more, whatever it was; only after ``end``."""
        self.waits = False
        if self._last is not None and self._last.state != "STOPPED":
            self._last = msgspec.structs.replace(
                self._last, state="STOPPED", reason="asked to stop", written_at=time.time_ns()
            )
            self._to_write = True

    # Telling --------------------------------------------------------------------------------------

    def report(self) -> StreamReport:
        if self.market is not None:
            return self.market.report()
        return self._last or self._report("CONNECTING", "its tape is being opened")

    def folder_to_write(self, data: Path) -> MarketFolder | None:
        """Where its report is to be written: once more after its end, and then no more."""
        if not self._ours or not self._to_write:
            return None
        self._to_write = self.market is not None
        report = self.report()
        return MarketFolder(report.data or data, self.exchange, self.symbol)

    def _report(self, state: str, reason: str) -> StreamReport:
        return StreamReport(
            exchange=self.exchange,
            symbol=self.symbol,
            pid=os.getpid(),
            simulated=self._simulated,
            persist=self.persist,
            state=state,
            reason=reason,
            written_at=time.time_ns(),
        )
