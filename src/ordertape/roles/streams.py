"""The streams of a data folder as a server sees them, whichever collector runs them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from ordertape import limits
from ordertape.errors import (
    ChildFailed,
    MarketBusy,
    NameRefused,
    OrdertapeError,
    SettingRefused,
    UnknownMarket,
)
from ordertape.measures import MeasuredStream
from ordertape.models import StreamInfo
from ordertape.roles.control import ControlClient
from ordertape.roles.control_messages import Start, Stop
from ordertape.roles.status import StreamReport, read_report, report_path
from ordertape.roles.wanted import is_wanted, read_wanted
from ordertape.settings import Settings
from ordertape.tape.archive_files import last_file
from ordertape.tape.folder import MarketFolder
from ordertape.tape.known import KnownMarkets, KnownReading
from ordertape.tape.segment import segments
from ordertape.tape.summary import segment_end
from ordertape.venues.registry import venue_of

__all__ = ["Streams"]

_ENDED = ("STOPPED", "FAILED")


class Streams:
    """Starts, stops and tells streams; names in any usual form, answers in the venue's one form.

    ``collector_of`` makes sure that a venue's collector runs and gives the connection to it.
    """

    def __init__(
        self,
        settings: Settings,
        collector_of: Callable[[str, Callable[[], None]], ControlClient],
    ) -> None:
        self._settings, self._collector_of = settings, collector_of
        self._collectors: dict[str, ControlClient] = {}
        self._simulated: dict[tuple[str, str], ControlClient] = {}
        self._change = asyncio.Event()
        # All of it is asked for many times a second, in the event loop.
        self._tapes = KnownMarkets(settings.data)
        self._reports = KnownReading(lambda path: read_report(path.parent))
        self._wanted = KnownReading(read_wanted)
        self._last_files = KnownReading(last_file)
        self._segment_ends = KnownReading(segment_end)

    # What there is --------------------------------------------------------------------------------

    def collector(self, exchange: str) -> ControlClient:
        """The connection to a venue's collector, which is started where none runs."""
        if exchange not in self._collectors:
            self._collectors[exchange] = self._collector_of(exchange, self.told)
        return self._collectors[exchange]

    def demonstrate(self, exchange: str, symbol: str, client: ControlClient) -> None:
        """A simulated market, whose name no real one can have here."""
        self._simulated[exchange, symbol] = client

    def told(self) -> None:
        """A connection heard something."""
        self._change.set()
        self._change = asyncio.Event()

    async def changed(self) -> None:
        """Returns when something was told about any stream after this was called."""
        await self._change.wait()

    # Changing -------------------------------------------------------------------------------------

    async def start(
        self,
        exchange: str,
        symbol: str,
        persist: bool = True,
        interval: int | None = None,
    ) -> StreamInfo:
        """Runs a stream from now on, after a restart too where it persists; the first answer is
        usually CONNECTING.  One that runs already is told as it is, and nothing changes.

        Raises UnknownMarket, SettingRefused, MarketBusy (this is a demonstration's server, or
        another process writes the market), TapeError, ChildFailed where no collector answers.
        """
        (info,) = await self.start_all([exchange], symbol, persist, interval)
        return info

    async def start_all(
        self,
        exchanges: Iterable[str],
        symbol: str,
        persist: bool = True,
        interval: int | None = None,
    ) -> list[StreamInfo]:
        """As ``start`` for several venues: all of them run afterwards, or none more than before."""
        names = list(dict.fromkeys(venue_of(exchange).name for exchange in exchanges))
        least, most = limits.snapshot_interval_seconds_min, limits.snapshot_interval_seconds_max
        if interval is not None and not least <= interval <= most:
            raise SettingRefused(
                f"snapshot_interval_seconds is {interval}: expected {least} to {most}"
            )
        for exchange in names:
            self._refuse_simulated(exchange, symbol)
            self._settings.credentials(exchange)  # raises before a collector is begun in vain
        begun: list[StreamInfo] = []
        started: list[StreamInfo] = []
        request = Start(symbol=symbol, persist=persist, snapshot_interval_seconds=interval)
        try:
            for exchange in names:
                client = self.collector(exchange)
                await client.wait_told()
                running = {name for name, report in client.reports.items() if _runs(report)}
                (report,) = await client.ask(request)
                begun.append(self._info(report))
                if report.symbol not in running:
                    started.append(begun[-1])
        except OrdertapeError:
            for info in started:
                await self.stop(info.exchange, info.symbol)
            raise
        return begun

    def _refuse_simulated(self, exchange: str, symbol: str) -> None:
        """A demonstration starts its own markets alone: nobody who tries one out is to find real
        data between what was made up, nor the other way round."""
        if not self._simulated:
            return
        shown = frozenset(name for venue, name in self._simulated if venue == exchange)
        try:
            name = venue_of(exchange).resolve(symbol, shown)
        except UnknownMarket:
            raise MarketBusy(
                f"{exchange} {symbol[: limits.shown_text_max]} can't be started in a demonstration,"
                f" whose markets are simulated: stop it and run `ordertape serve`"
            ) from None
        info = self._status(exchange, name)
        found = "it runs already" if info.is_active else "it runs again with the next `make run`"
        raise MarketBusy(
            f"{exchange} {name} is a simulated market here, a real one can't have its name: {found}"
        )

    async def stop(self, exchange: str, symbol: str) -> StreamInfo:
        """Ends a stream: STOPPED in the answer, its tape durable; it stays so after a restart.

        Raises UnknownMarket where the market was never collected, ChildFailed.
        """
        exchange, symbol = self.resolve(exchange, symbol)
        client = self._client(exchange, symbol)
        if client is not None and symbol in client.reports:
            return await self._ask_to_stop(client, exchange, symbol)
        found = self.status(exchange, symbol)
        if found is None:
            raise self._unknown(exchange, symbol)
        if found.is_active:
            # Its collector is just being started, and begins with what is wanted.
            return await self._ask_to_stop(self.collector(exchange), exchange, symbol)
        return found

    async def _ask_to_stop(self, client: ControlClient, exchange: str, symbol: str) -> StreamInfo:
        """A collector that hangs must not hold whoever asks: it is ended and begun anew meanwhile,
        and begins with what is still wanted."""
        patience_ms = limits.control_stop_ms_max
        try:
            (report,) = await client.ask(Stop(symbol=symbol), patience_ms)
        except ChildFailed:
            raise ChildFailed(
                f"the collector of {exchange} did not answer within {patience_ms / 1000:g} s: "
                f"{symbol} may still be collected, ask again in a moment"
            ) from None
        return self._info(report)

    # Telling --------------------------------------------------------------------------------------

    def resolve(self, exchange: str, symbol: str) -> tuple[str, str]:
        """(exchange, our symbol) of a market that was ever collected.  Raises UnknownMarket."""
        venue = exchange.strip().lower()
        if (venue, symbol) in self._tapes.now or (venue, symbol) in self._told():
            return venue, symbol
        known = {name for of, name in self._names() if of == venue}
        if symbol in known:
            return venue, symbol
        if not known:
            raise self._unknown(exchange, symbol)
        try:
            return venue, venue_of(venue).resolve(symbol, frozenset(known))
        except NameRefused:
            raise
        except UnknownMarket:  # among those that are here: the venue may list it
            raise self._unknown(venue, symbol) from None

    def status(self, exchange: str, symbol: str) -> StreamInfo | None:
        """A market's stream; None where it was never collected here."""
        try:
            return self._status(*self.resolve(exchange, symbol))
        except UnknownMarket:
            return None

    def all(self) -> list[StreamInfo]:
        """Every market that was ever collected here, by exchange and symbol."""
        return [self._status(*name) for name in sorted(self._names())]

    def measured(self) -> list[MeasuredStream]:
        """What the collectors that answer say of their streams, by exchange and symbol."""
        found = [
            MeasuredStream(
                exchange=report.exchange,
                symbol=report.symbol,
                events=report.events,
                sequence=report.sequence,
                durable=report.synced_sequence,
                persist=report.persist,
                measures=report.measures,
            )
            for client in self.collectors().values()
            for report in client.reports.values()
        ]
        return sorted(found, key=lambda stream: (stream.exchange, stream.symbol))

    def collectors(self) -> dict[str, ControlClient]:
        """The connections there are, by exchange."""
        simulated = {exchange: client for (exchange, _), client in self._simulated.items()}
        return simulated | self._collectors

    def _status(self, exchange: str, symbol: str) -> StreamInfo:
        client = self._client(exchange, symbol)
        if client is not None and (report := client.reports.get(symbol)) is not None:
            if client.silent_ms > limits.status_stale_ms and _runs(report):
                return self._info(report, "STALE", "its collector does not answer")
            return self._info(report)
        folder = self._tapes.now.get((exchange, symbol))
        try:
            return self._from_tape(folder or MarketFolder(self._settings.data, exchange, symbol))
        except (OrdertapeError, OSError) as error:  # one market's; the others are told
            return StreamInfo(exchange=exchange, symbol=symbol, state="STOPPED", reason=str(error))

    def _names(self) -> set[tuple[str, str]]:
        """(exchange, symbol) of every market; looks whether the data folder changed."""
        return self._tapes.look().keys() | self._told()

    def _told(self) -> set[tuple[str, str]]:
        """Those that have a collector."""
        return {
            (exchange, symbol)
            for exchange, client in self._collectors.items()
            for symbol in client.reports
        } | self._simulated.keys()

    def _unknown(self, exchange: str, symbol: str) -> UnknownMarket:
        shown = symbol[: limits.shown_text_max]
        return UnknownMarket(f"{exchange} {shown} was never collected in {self._settings.data}")

    def _client(self, exchange: str, symbol: str) -> ControlClient | None:
        return self._simulated.get((exchange, symbol)) or self._collectors.get(exchange)

    def _from_tape(self, folder: MarketFolder) -> StreamInfo:
        """What is known of a stream whose collector tells nothing about it."""
        report = self._reports.of(report_path(folder.root))
        if report is not None and report.fresh:
            return self._info(report)  # collected by a process that this server does not control
        ours = (folder.exchange, folder.symbol) in self._simulated
        if ours or is_wanted(folder.data, folder.exchange, folder.symbol, self._wanted.of):
            state, reason = "CONNECTING", "its collector is being started"
        else:
            state, reason = "STOPPED", "nobody collects it"
        if report is None:
            sequence, era = self._end_of(folder)
            return StreamInfo(
                exchange=folder.exchange,
                symbol=folder.symbol,
                state=state,
                reason=reason,
                era=era,
                sequence=sequence,
            )
        if report.state in _ENDED and state == "STOPPED":
            state, reason = report.state, report.reason
        return self._info(report, state, reason)

    def _end_of(self, folder: MarketFolder) -> tuple[int, int]:
        """(seq of the last event, era there), of the journal where that is further."""
        newest = self._last_files.of(folder.archive)
        archived = (newest.last_seq, newest.info.era) if newest is not None else (0, 0)
        for segment in reversed(segments(folder.journal)):
            with suppress(FileNotFoundError):  # archived meanwhile
                if (end := self._segment_ends.of(segment.path)) is not None:
                    return max(archived, end)
        return archived

    def _info(self, report: StreamReport, state: str | None = None, reason: str = "") -> StreamInfo:
        durable = min(max(0, report.synced_sequence - report.first_sequence + 1), report.events)
        return StreamInfo(
            exchange=report.exchange,
            symbol=report.symbol,
            state=state or report.state,
            reason=reason if state else report.reason,
            era=report.era,
            persist=report.persist,
            simulated=report.simulated,
            orders_received=report.events,
            orders_persisted=durable if report.persist else 0,
            snapshots_taken=report.counters.get("snapshots_taken", 0),
            started_at=report.started_at or None,
            last_update=report.last_frame_at,
            last_frame_at=report.last_frame_at,
            errors=tuple(report.errors),
            sequence=report.sequence,
            data=None if report.persist else Path(report.data),
        )


def _runs(report: StreamReport) -> bool:
    return report.state not in _ENDED
