"""One venue's collector: a socket, a stream and a journal for each market, in one process.

``python -m ordertape.roles.collector EXCHANGE SYMBOL…`` runs it alone, ``ordertape collect`` in
the foreground, and with ``--control PATH`` it is told what to run (see ``controlled``).  It does
nothing but receive, parse, keep the book and write the journal.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

import uvloop

from ordertape import limits
from ordertape.crash_points import crash_point
from ordertape.errors import CollectFailed, NoRoom, OrdertapeError, SettingRefused, SyncFailed
from ordertape.resources import keep_memory_small, require_files
from ordertape.roles.children import beat, ending_signals, when_parent_leaves
from ordertape.roles.controlled import ControlledCollector
from ordertape.roles.logs import configure_logs, logger
from ordertape.roles.markets import Market, MarketOpener
from ordertape.roles.notify import alive
from ordertape.roles.products import fetch_products
from ordertape.roles.status import write_report
from ordertape.settings import Settings, load_settings
from ordertape.venues.registry import venue_of

__all__ = ["Collector", "main"]


class Collector:
    """Collects markets of one venue; ``symbols`` in any usual form, each market once.

    Everything is opened before the first connection, so that one market that can't be written
    (MarketBusy, TapeError) starts none.
    """

    def __init__(
        self,
        settings: Settings,
        exchange: str,
        symbols: Sequence[str],
        *,
        capture: bool = False,
        simulated: bool = False,
        report_ms: int = limits.status_write_ms,
        segment_bytes: int = limits.journal_segment_bytes,
        on_report: Callable[[list[Market]], None] | None = None,
    ) -> None:
        self.settings, self.venue = settings, venue_of(exchange)
        self.markets: list[Market] = []
        self._symbols = symbols
        self._opener = MarketOpener(
            *(settings, self.venue, self._sync_failed),
            simulated=simulated,
            capture=capture,
            segment_bytes=segment_bytes,
        )
        self._report_ms, self._on_report = report_ms, on_report
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._asked_to_stop = False
        self._sync_failure: SyncFailed | None = None
        self._log = logger("collector").bind(exchange=self.venue.name)

    def run(self) -> None:
        """Collects until SIGINT or SIGTERM, then stops cleanly.

        Raises CollectFailed where every market failed, SyncFailed where a tape can't be trusted.
        """
        with ExitStack() as opened:
            self._open(opened)
            uvloop.run(self._collect(opened))

    def stop_soon(self) -> None:
        """Asks ``run`` to stop; from any thread."""
        self._asked_to_stop = True
        self._in_loop(self._stop.set)

    def _in_loop(self, call: Callable[[], None]) -> None:
        """Calls it in the loop, where one runs; from any thread."""
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended: there is nothing left to stop
                self._loop.call_soon_threadsafe(call)

    # Opening --------------------------------------------------------------------------------------

    def _open(self, opened: ExitStack) -> None:
        if not self.settings.persist_enabled:
            raise SettingRefused(
                "L3_PERSIST_ENABLED is 'false': a collector without a tape has no reader; "
                "expected true"
            )
        self.settings.credentials(self.venue.name)  # what is missing is said first
        _, rest_url = self.settings.addresses(self.venue.name)
        products = fetch_products(self.venue, rest_url)
        symbols = [self.venue.resolve(symbol, products) for symbol in self._symbols]
        for symbol in dict.fromkeys(symbols):
            market = self._opener.open(symbol)
            opened.callback(market.close)
            self.markets.append(market)

    # Running --------------------------------------------------------------------------------------

    async def _collect(self, opened: ExitStack) -> None:
        self._loop = loop = asyncio.get_running_loop()
        if self._asked_to_stop:
            self._stop.set()
        for number in ending_signals():
            loop.add_signal_handler(number, self._stop.set)
        running = [
            asyncio.create_task(self._keep_alive(nth, opened)) for nth in range(len(self.markets))
        ]
        reporting = asyncio.create_task(self._report_forever())
        try:
            await asyncio.gather(*running)
            crash_point("collector.stopping")
        finally:
            reporting.cancel()
            for task in running:
                task.cancel()
        if self._sync_failure is not None:
            self._report()  # what was durable before, for whoever asks what was not
            raise self._sync_failure
        for market in self.markets:
            market.journal.sync()
        self._report()
        if self.markets and all(market.failed for market in self.markets):
            reasons = {m.failure or m.stream.reason for m in self.markets}
            raise CollectFailed(f"nothing is collected any more: {'; '.join(sorted(reasons))}")

    async def _keep_alive(self, nth: int, opened: ExitStack) -> None:
        """Runs one market; its failure is its own, but for a disk that does not keep.

        Where the disk is full it waits for room, and goes on.
        """
        try:
            while True:
                market = self.markets[nth]
                await market.run(self._stop)
                if not market.lacks_room:
                    return
                await asyncio.to_thread(market.close)
                if not await self._open_again(nth, opened):
                    return
        except SyncFailed as error:
            self._note_sync_failure(error)

    async def _open_again(self, nth: int, opened: ExitStack) -> bool:
        """Returns when there is room; False where it was asked to stop first."""
        closed = self.markets[nth]
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), limits.room_retry_ms / 1000)
                return False
            try:
                market = await asyncio.to_thread(self._opener.open, closed.folder.symbol)
            except NoRoom as error:
                closed.failure = str(error)
            except (OrdertapeError, OSError) as error:
                closed.failure, closed.lacks_room = str(error), False
                closed.log.error("L3_stream_failed", reason=str(error))
                return False
            else:
                opened.callback(market.close)
                self.markets[nth] = market
                return True

    def _sync_failed(self, error: SyncFailed) -> None:
        """From the thread that syncs: the process ends, nothing it writes can be trusted."""
        self._in_loop(partial(self._note_sync_failure, error))

    def _note_sync_failure(self, error: SyncFailed) -> None:
        if self._sync_failure is None:
            self._sync_failure = error
            self._log.error("L3_sync_failed", reason=str(error))
        self._stop.set()

    # Telling --------------------------------------------------------------------------------------

    async def _report_forever(self) -> None:
        while True:
            self._report()
            await asyncio.sleep(self._report_ms / 1000)

    def _report(self) -> None:
        for market in self.markets:
            try:
                write_report(market.folder.root, market.report())
            except OSError as error:
                # The report explains; the tape is what must not stop.
                market.log.warning("L3_report_failed", reason=str(error))
        if self._on_report is not None:
            self._on_report(self.markets)


def main(arguments: list[str] | None = None) -> int:
    """Runs until told to leave; the exit status."""
    parser = argparse.ArgumentParser(prog="ordertape.roles.collector")
    parser.add_argument("exchange")
    parser.add_argument("symbols", nargs="*", metavar="SYMBOL")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--capture", action="store_true", help="keep the raw frames, too")
    parser.add_argument("--simulated", action="store_true", help="the venue is a simulated one")
    parser.add_argument("--report-ms", type=int, default=limits.status_write_ms)
    parser.add_argument(
        "--segment-bytes",
        type=int,
        default=limits.journal_segment_bytes,
        help="of a file of the journal (default 64 MiB), for small disks and tests",
    )
    parser.add_argument("--control", type=Path, help="be told on this socket what to collect")
    parser.add_argument("--watch-parent", action="store_true", help="leave when stdin closes")
    options = parser.parse_args(arguments)
    if not options.symbols and options.control is None:
        parser.error("expected a SYMBOL or --control")
    try:
        require_files()
        keep_memory_small()
        settings = load_settings(data=options.data)
        configure_logs(settings.logs)
        make: Callable[..., Collector | ControlledCollector]
        make = Collector
        if options.control is not None:
            pulse = beat if options.watch_parent else alive
            make = partial(ControlledCollector, control=options.control, beat=pulse)
        collector = make(
            settings,
            options.exchange,
            options.symbols,
            capture=options.capture,
            simulated=options.simulated,
            report_ms=options.report_ms,
            segment_bytes=options.segment_bytes,
        )
        if options.watch_parent:
            when_parent_leaves(collector.stop_soon)
        collector.run()
    except SettingRefused as error:
        sys.stderr.write(f"collector: {error}\n")
        return 2
    except (OrdertapeError, OSError) as error:
        sys.stderr.write(f"collector: {error}\n")
        return 1
    except MemoryError:
        sys.stderr.write("collector: there is not enough memory (see ulimit -v)\n")
        return 1
    except KeyboardInterrupt:  # before the loop took the signal over
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
