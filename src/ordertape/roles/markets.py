"""One collected market: its folder, journal, stream and connection, opened and closed as one."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from structlog.stdlib import BoundLogger

from ordertape import limits
from ordertape.crash_points import crash_point
from ordertape.errors import NoRoom, OrdertapeError, SyncFailed, TapeError
from ordertape.replay.capture import CaptureWriter
from ordertape.roles.connection import FrameKeeper, MarketConnection
from ordertape.roles.control_messages import Watermark
from ordertape.roles.logs import market_logger
from ordertape.roles.measuring import MeasuredJournal
from ordertape.roles.pacing import Pacer
from ordertape.roles.rest import RestClient
from ordertape.roles.status import StreamReport
from ordertape.settings import Credentials, Settings
from ordertape.stream.market import MarketStream
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter
from ordertape.venues.registry import Venue

__all__ = ["Market", "MarketOpener"]


@dataclass(slots=True)
class Market:
    """What belongs to one collected market."""

    folder: MarketFolder
    journal: JournalWriter
    stream: MarketStream
    connection: MarketConnection
    measured: MeasuredJournal
    persist: bool = True
    snapshot_interval_seconds: int = limits.snapshot_interval_seconds_default
    failure: str = ""
    """Why it can't go on, where that is not the stream's own doing."""
    lacks_room: bool = False
    """The failure is a full disk: it goes on as soon as there is room."""
    resources: ExitStack = field(default_factory=ExitStack)

    @property
    def log(self) -> BoundLogger:
        return market_logger("collector", self.folder.market, lambda: self.stream.book.era)

    @property
    def failed(self) -> bool:
        return bool(self.failure) or self.stream.state.value == "FAILED"

    async def run(self, stop: asyncio.Event) -> None:
        """Collects until ``stop`` is set or it fails; its failure is its own.

        Raises SyncFailed alone: a disk that does not keep is everybody's failure.
        """
        log = self.log
        try:
            await self.connection.run(stop)
        except SyncFailed:
            raise
        except (OrdertapeError, OSError) as error:
            self.failure, self.lacks_room = str(error), isinstance(error, NoRoom)
            log.error("L3_stream_failed", reason=str(error))
        except Exception as error:  # a defect in one market's parser must not end the others
            self.failure = f"unexpected {type(error).__name__}: {error}"
            log.exception("L3_unexpected_error")
        else:
            if self.failed:
                log.error("L3_stream_failed", reason=self.stream.reason)

    @property
    def state(self) -> str:
        """Where it stands, as people are told."""
        if self.failure:
            return "CONNECTING" if self.lacks_room else "FAILED"
        return self.stream.state.value

    def close(self) -> None:
        """Makes its tape durable and lets its lock go.  Raises SyncFailed."""
        self.resources.close()

    def watermark(self) -> Watermark:
        """How far it has come."""
        return Watermark(
            symbol=self.folder.symbol,
            state=self.state,
            reason=self.failure or self.stream.reason,
            era=self.stream.book.era,
            written_seq=self.journal.written_seq,
            durable_seq=self.journal.synced_seq,
            last_frame_at=self.stream.last_frame_at,
        )

    def report(self) -> StreamReport:
        stream, now = self.stream, time.time_ns()
        return StreamReport(
            exchange=self.folder.exchange,
            symbol=self.folder.symbol,
            pid=os.getpid(),
            simulated=stream.simulated,
            persist=self.persist,
            snapshot_interval_seconds=self.snapshot_interval_seconds,
            data=str(self.folder.data),
            state=self.state,
            reason=self.failure or stream.reason,
            era=stream.book.era,
            first_sequence=stream.first_sequence,
            sequence=self.journal.written_seq,
            synced_sequence=self.journal.synced_seq,
            orders=len(stream.book),
            address=self.connection.address,
            started_at=stream.started_at,
            connected_at=stream.connected_at,
            last_frame_at=stream.last_frame_at,
            written_at=now,
            events=stream.events,
            events_per_second=stream.rate.per_second(now),
            counters=stream.counters,
            integrity=stream.integrity.as_dict(),
            errors=list(stream.errors),
            measures=self.measured.measures(stream, now),
        )


@dataclass(slots=True)
class MarketOpener:
    """Opens markets of one venue; what all of them share."""

    settings: Settings
    venue: Venue
    on_failure: Callable[[SyncFailed], None]
    """Told from the thread that syncs when a disk does not keep."""
    simulated: bool = False
    capture: bool = False
    segment_bytes: int = limits.journal_segment_bytes
    pacer: Pacer = field(default_factory=Pacer)
    rest: RestClient = field(init=False)

    def __post_init__(self) -> None:
        _, address = self.settings.addresses(self.venue.name)
        self.rest = RestClient(address)

    def open(
        self,
        symbol: str,
        *,
        interval_seconds: int | None = None,
        memory: Path | None = None,
    ) -> Market:
        """The market of our symbol, ready to connect; blocks while its tape is recovered.

        ``memory``: the folder for the journal of a stream that does not persist.  It holds the
        tape's lock, too, so that one process alone collects a market of a data folder.
        Raises MarketBusy, TapeError, SettingRefused where credentials are missing.
        """
        credentials = self.settings.credentials(self.venue.name)
        interval = interval_seconds or self.settings.snapshot_interval_seconds
        tape = MarketFolder(self.settings.data, self.venue.name, symbol)
        measured = MeasuredJournal()
        with ExitStack() as opened:
            if memory is None:
                folder = tape
                journal = JournalWriter(
                    folder,
                    segment_bytes=self.segment_bytes,
                    on_failure=self.on_failure,
                    on_synced=measured.synced,
                )
            else:
                opened.enter_context(tape.writing())
                folder = MarketFolder(memory, self.venue.name, symbol)
                journal = JournalWriter(
                    folder,
                    segment_bytes=limits.memory_segment_bytes,
                    on_failure=self.on_failure,
                    on_synced=measured.synced,
                )
            measured.follow(journal)
            opened.callback(journal.close)
            self._tell_damage(folder, journal)
            self._refuse_mix(folder, journal)
            stream = MarketStream(
                self.venue,
                symbol,
                sink=measured,
                recovered=journal.recovered,
                snapshot_interval_seconds=interval,
                simulated=self.simulated,
                credentials=credentials,
                audit_interval_seconds=self.settings.audit_interval_seconds,
            )
            journal.book = stream.book
            keep_frame = None
            if self.capture:
                keep_frame = self._keeper_of_frames(folder, stream, opened, credentials)
            crash_point("collector.market_opened")
            address, _ = self.settings.addresses(self.venue.name)
            connection = MarketConnection(
                stream, address, self.pacer, rest=self.rest, keep_frame=keep_frame
            )
            return Market(
                folder,
                journal,
                stream,
                connection,
                measured,
                persist=memory is None,
                snapshot_interval_seconds=interval,
                resources=opened.pop_all(),
            )

    def _tell_damage(self, folder: MarketFolder, journal: JournalWriter) -> None:
        log = market_logger("collector", folder.market, lambda: journal.recovered.era)
        for mark in journal.recovered.damage:
            log.warning("L3_tape_damaged", after=mark.seq, reason=mark.fields["reason"])

    def _refuse_mix(self, folder: MarketFolder, journal: JournalWriter) -> None:
        there = journal.recovered
        if there.simulated != self.simulated and (there.simulated or there.last_seq):
            kinds = ("simulated", "real") if there.simulated else ("real", "simulated")
            raise TapeError(
                f"the tape of {folder.market} in {folder.data} is {kinds[0]}, "
                f"{kinds[1]} data can't be added to it: choose another --data"
            )

    def _keeper_of_frames(
        self,
        folder: MarketFolder,
        stream: MarketStream,
        opened: ExitStack,
        credentials: Credentials | None,
    ) -> FrameKeeper:
        writer = opened.enter_context(CaptureWriter(folder.root / "capture"))
        log = market_logger("collector", folder.market, lambda: stream.book.era)
        broken = False

        def keep(ts: int, via: str, address: str, text: bytes) -> None:
            nonlocal broken
            if broken:
                return
            if credentials is not None:
                text = credentials.hidden_in(text)
            try:
                writer.write(ts, via, address, text)
            except OSError as error:
                # The capture is an extra; the tape is what must not stop.
                broken = True
                log.error("L3_capture_failed", path=str(writer.path), reason=str(error))

        return keep
