"""A collector that is told over its control socket which streams to run.

It begins with the wanted streams of its venue, goes on until it is told to leave, and holds the
lock beside its socket, so that a venue of a data folder has one.  Who starts it, a server or a
service manager, makes no difference.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import msgspec
import uvloop
from structlog.stdlib import BoundLogger

from ordertape import limits
from ordertape.errors import (
    MarketBusy,
    NoRoom,
    OrdertapeError,
    RoleBusy,
    SettingRefused,
    SyncFailed,
)
from ordertape.roles.children import ending_signals
from ordertape.roles.control import ControlServer
from ordertape.roles.control_messages import (
    Hello,
    Reports,
    Request,
    Shutdown,
    Start,
    Stop,
    Watermark,
)
from ordertape.roles.locks import hold
from ordertape.roles.logs import logger, market_logger
from ordertape.roles.markets import Market, MarketOpener
from ordertape.roles.memory import MemoryFolder, trim
from ordertape.roles.products import fetch_products
from ordertape.roles.runs import StreamRun
from ordertape.roles.status import StreamReport, write_report
from ordertape.roles.wanted import WantedStream, WantedStreams
from ordertape.settings import Settings
from ordertape.venues.registry import venue_of
from ordertape.venues.symbols import Products

__all__ = ["ControlledCollector"]


class ControlledCollector:
    """Runs streams of one venue as it is asked to.

    ``symbols`` are run from the beginning without being written into the list of wanted streams,
    as a demonstration's are; a ``simulated`` collector has no such list.  ``beat`` is called with
    every report.
    """

    def __init__(
        self,
        settings: Settings,
        exchange: str,
        symbols: Sequence[str] = (),
        *,
        control: Path,
        capture: bool = False,
        simulated: bool = False,
        report_ms: int = limits.status_write_ms,
        segment_bytes: int = limits.journal_segment_bytes,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self.settings, self.venue = settings, venue_of(exchange)
        self.control = control
        self._symbols, self._simulated, self._report_ms = symbols, simulated, report_ms
        self._beat = beat
        self._opener = MarketOpener(
            *(settings, self.venue, self._sync_failed),
            simulated=simulated,
            capture=capture,
            segment_bytes=segment_bytes,
        )
        self._streams: dict[str, StreamRun] = {}
        self._wanted: WantedStreams | None = None
        self._changing = asyncio.Lock()
        self._watching: set[asyncio.Task[None]] = set()
        self._memory = MemoryFolder(control)
        self._products: Products | None = None
        self._products_at = -float("inf")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._asked_to_stop = False
        self._sync_failure: SyncFailed | None = None
        self._told: dict[str, Watermark] = {}
        self._log = logger("collector").bind(exchange=self.venue.name)

    def run(self) -> None:
        """Collects until SIGINT, SIGTERM or ``shutdown``, then stops cleanly.

        Raises RoleBusy where the venue has a collector, SyncFailed where a tape can't be trusted.
        """
        what = f"the collector of {self.venue.name} in {self.settings.data}"
        with hold(self.control.with_suffix(".lock"), what):
            self._memory.remove()  # of a collector that was killed
            if not self._simulated:
                self._wanted = WantedStreams(self.settings.data, self.venue.name)
            try:
                uvloop.run(self._serve())
            finally:
                self._memory.remove()
        if self._sync_failure is not None:
            raise self._sync_failure

    def stop_soon(self) -> None:
        """Asks ``run`` to stop; from any thread."""
        self._asked_to_stop = True
        self._in_loop(self._stop.set)

    def _in_loop(self, call: Callable[[], None]) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended: there is nothing left to stop
                self._loop.call_soon_threadsafe(call)

    # Running --------------------------------------------------------------------------------------

    async def _serve(self) -> None:
        self._loop = loop = asyncio.get_running_loop()
        if self._asked_to_stop:
            self._stop.set()
        for number in ending_signals():
            loop.add_signal_handler(number, self._stop.set)
        hello = Hello(exchange=self.venue.name, pid=os.getpid(), simulated=self._simulated)
        self._server = ControlServer(self.control, hello, self)
        # What is wanted is known before the first client asks.
        beginning = [asyncio.create_task(self._go_on(stream)) for stream in self._begin_with()]
        reporting = asyncio.create_task(self._report_forever())
        await self._server.start()
        sys.stdout.write(msgspec.json.encode(hello).decode() + "\n")
        sys.stdout.flush()
        self._log.info("L3_collector_begins", control=str(self.control))
        try:
            await self._stop.wait()
        finally:
            await self._server.stop_listening()
            for task in (*beginning, *self._watching):
                task.cancel()
            await asyncio.gather(*(stream.end() for stream in self._streams.values()))
            reporting.cancel()
            self._tell_all()
            await self._server.close()
            self._log.info("L3_collector_ends", control=str(self.control))

    def _begin_with(self) -> list[StreamRun]:
        interval = self.settings.snapshot_interval_seconds
        symbols = [self.venue.resolve(symbol) for symbol in self._symbols]
        wanted = {symbol: WantedStream(snapshot_interval_seconds=interval) for symbol in symbols}
        if self._wanted is not None:
            wanted |= self._wanted.streams
        runs = []
        for symbol, stream in wanted.items():
            run = self._stream(symbol)
            run.interval_seconds, run.waits = stream.snapshot_interval_seconds, True
            run.persist = self.settings.persist_enabled
            runs.append(run)
        return runs

    async def _go_on(self, stream: StreamRun) -> None:
        """Runs a stream that is wanted; where another process writes its market, it waits."""
        told, pause_ms = "", limits.wanted_retry_ms
        while stream.waits:
            async with stream.changing:
                if stream.market is not None or not stream.waits:
                    return
                try:
                    await self._open(stream)
                except (OrdertapeError, OSError) as error:
                    stream.could_not(error)
                    stream.waits = isinstance(error, (MarketBusy, NoRoom))
                    pause_ms = limits.room_retry_ms if isinstance(error, NoRoom) else pause_ms
                    if str(error) != told:
                        told = str(error)
                        _log_of(stream).error("L3_stream_failed", reason=told)
                else:
                    return
            await asyncio.sleep(pause_ms / 1000)

    # Requests -------------------------------------------------------------------------------------

    async def handle(self, request: Request) -> list[StreamReport]:
        """Does what a client asked; what was begun is finished whether or not it still listens."""
        if self._stop.is_set():
            raise RoleBusy(f"the collector of {self.venue.name} is ending")
        match request:
            case Start():
                return [await asyncio.shield(asyncio.create_task(self._start(request)))]
            case Stop():
                return [await asyncio.shield(asyncio.create_task(self._end(request.symbol)))]
            case Shutdown():
                self._stop.set()
        return self.reports()

    async def _start(self, request: Start) -> StreamReport:
        interval = request.snapshot_interval_seconds or self.settings.snapshot_interval_seconds
        least, most = limits.snapshot_interval_seconds_min, limits.snapshot_interval_seconds_max
        if not least <= interval <= most:
            raise SettingRefused(
                f"snapshot_interval_seconds is {interval}: expected {least} to {most}"
            )
        stream = self._stream(await self._resolve(request.symbol))
        async with stream.changing:
            if stream.running:
                return stream.report()
            running = sum(other.running for other in self._streams.values())
            if running >= limits.collector_streams_max:
                raise SettingRefused(
                    f"{running} streams of {self.venue.name} run already, no more than "
                    f"{limits.collector_streams_max} may"
                )
            await stream.end()  # one that failed may still be closing its tape
            stream.interval_seconds = interval
            stream.persist = request.persist and self.settings.persist_enabled
            await self._open(stream)
            if stream.persist:
                await self._want(stream, WantedStream(snapshot_interval_seconds=interval))
            return stream.report()

    async def _end(self, symbol: str) -> StreamReport:
        stream = self._known(symbol)
        async with stream.changing:
            await self._want(stream, None)
            await stream.end()
            stream.stopped()
        report = stream.report()
        self._write(report, stream)
        return report

    async def _want(self, stream: StreamRun, wanted: WantedStream | None) -> None:
        if self._wanted is None:
            return
        async with self._changing:
            if wanted is None:
                await asyncio.to_thread(self._wanted.remove, stream.symbol)
            else:
                await asyncio.to_thread(self._wanted.add, stream.symbol, wanted)

    async def _open(self, stream: StreamRun) -> None:
        memory = None if stream.persist else self._memory.make()
        stream.begin(
            await asyncio.to_thread(
                self._opener.open,
                stream.symbol,
                interval_seconds=stream.interval_seconds,
                memory=memory,
            ),
            self._note_sync_failure,
        )
        self._watch_room(stream)

    def _watch_room(self, stream: StreamRun) -> None:
        """Runs it again once a full disk, should that end it, has room."""

        async def watch() -> None:
            await stream.ended()
            if stream.waits and not self._stop.is_set():
                await asyncio.sleep(limits.room_retry_ms / 1000)
                await self._go_on(stream)

        task = asyncio.create_task(watch())
        self._watching.add(task)
        task.add_done_callback(self._watching.discard)

    # Names ----------------------------------------------------------------------------------------

    def _stream(self, symbol: str) -> StreamRun:
        if symbol not in self._streams:
            self._streams[symbol] = StreamRun(self.venue.name, symbol, simulated=self._simulated)
        return self._streams[symbol]

    def _known(self, symbol: str) -> StreamRun:
        """The stream that is meant.  Raises UnknownMarket."""
        return self._streams[self.venue.resolve(symbol, frozenset(self._streams))]

    async def _resolve(self, symbol: str) -> str:
        """Our name of a market that the venue lists.  Raises UnknownMarket."""
        if symbol in self._streams:
            return symbol
        now = time.monotonic()
        if self._products is None or now - self._products_at > limits.products_seconds_max:
            _, rest_url = self.settings.addresses(self.venue.name)
            products = await asyncio.to_thread(fetch_products, self.venue, rest_url)
            self._products, self._products_at = products or self._products, now
        return self.venue.resolve(symbol, self._products)

    # Failing --------------------------------------------------------------------------------------

    def _sync_failed(self, error: SyncFailed) -> None:
        """From the thread that syncs: the process ends, nothing it writes can be trusted."""
        self._in_loop(partial(self._note_sync_failure, error))

    def _note_sync_failure(self, error: SyncFailed) -> None:
        if self._sync_failure is None:
            self._sync_failure = error
            self._log.error("L3_sync_failed", reason=str(error))
        self._stop.set()

    # Telling --------------------------------------------------------------------------------------

    def reports(self) -> list[StreamReport]:
        return [stream.report() for stream in self._streams.values() if stream.known]

    async def _report_forever(self) -> None:
        pause, next_full = limits.control_watermark_ms / 1000, 0.0
        pause = min(pause, self._report_ms / 1000)
        while True:
            now = time.monotonic()
            if now >= next_full:
                next_full = now + self._report_ms / 1000
                self._tell_all()
                self._beat()
            else:
                self._tell_progress(s.market for s in self._streams.values())
            await asyncio.sleep(pause)

    def _tell_all(self) -> None:
        reports = []
        for stream in self._streams.values():
            if stream.known:
                reports.append(stream.report())
                self._write(reports[-1], stream)
            if stream.market is not None and not stream.persist:
                trim(stream.market.folder)
        self._server.push(Reports(streams=reports))

    def _tell_progress(self, markets: Iterable[Market | None]) -> None:
        for market in markets:
            if market is not None:
                now = market.watermark()
                if self._told.get(now.symbol) != now:
                    self._told[now.symbol] = now
                    self._server.push(now)

    def _write(self, report: StreamReport, stream: StreamRun) -> None:
        folder = stream.folder_to_write(self.settings.data)
        if folder is None:
            return
        try:
            write_report(folder.root, report)
        except OSError as error:
            # The report explains; the tape is what must not stop.
            _log_of(stream).warning("L3_report_failed", reason=str(error))


def _log_of(stream: StreamRun) -> BoundLogger:
    market = f"{stream.exchange} {stream.symbol}"
    return market_logger("collector", market, lambda: stream.report().era)
