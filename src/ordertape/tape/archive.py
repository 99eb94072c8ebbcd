"""From the journal into the archive, and the doors through which an import writes one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from ordertape import limits
from ordertape._engine import EventBatch
from ordertape.crash_points import crash_point
from ordertape.errors import OrdertapeError, TapeError
from ordertape.tape.archive_writer import ArchiveWriter
from ordertape.tape.codecs import MarketCodecs
from ordertape.tape.folder import MarketFolder, sync_directory
from ordertape.tape.journal_reader import JournalFrame, JournalReader
from ordertape.tape.segment import Position, SegmentReader, segments
from ordertape.tape.snapshot import Snapshot

__all__ = ["ArchiveWriter", "Archiver", "importing"]


class Archiver:
    """Moves a market's journal into its archive, beside the journal's writer.

    A file stays open (and unseen) over many steps, until it is full or its day is over.  Only
    this lets segments of the journal go: once every frame of one is in a closed file.
    ``options`` are those of ``ArchiveWriter``.
    """

    def __init__(self, folder: MarketFolder, **options: Any) -> None:
        self.folder = folder
        self._options = options
        self._writer: ArchiveWriter | None = None
        self._reader: JournalReader | None = None
        self._frames: Iterator[JournalFrame] = iter(())
        """What the last step left."""
        self.behind = False
        """Whether the last step left anything that was there."""

    def step(self) -> int:
        """Takes what the journal has more, about ``limits.archive_step_events`` at most; the events
        taken.  Raises MarketBusy, TapeError."""
        with self.folder.archiving(), self._or_nothing():
            return self._take(final=False)

    def finish(self) -> int:
        """As ``step``, and closes the open file behind it."""
        with self.folder.archiving():
            return self.finish_locked()

    def finish_locked(self) -> int:
        """As ``finish``, for who holds the archive's lock."""
        with self._or_nothing():
            events = self._take(final=True)
            writer, reader = self._current()
            writer.close_file()
            self._commit(writer, reader)
            return events

    def close(self) -> None:
        """Forgets what was not committed; the journal still has it."""
        self._frames, self.behind = iter(()), False
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        if self._writer is not None:
            self._writer.abort()
            self._writer = None

    @contextmanager
    def _or_nothing(self) -> Iterator[None]:
        """After a failure the next step begins where the archive ends."""
        try:
            yield
        except OSError as error:
            self.close()
            raise TapeError(
                f"{self.folder.market}: can't write the archive {self.folder.archive}: {error}"
            ) from None
        except OrdertapeError:
            self.close()
            raise

    def _current(self) -> tuple[ArchiveWriter, JournalReader]:
        """Writer and reader, anew where another process has changed the archive meanwhile."""
        if self._writer is not None and not self._writer.is_current:
            self.close()
        if self._writer is None or self._reader is None or self._reader.lost:
            self.close()
            self._writer = ArchiveWriter(self.folder, **self._options)
            codecs = MarketCodecs(self._writer.codecs.order, self._writer.codecs.trade)
            self._reader = JournalReader(
                self.folder,
                codecs=codecs,
                start=self._start(self._writer.place),
                seq=self._writer.last_seq or None,
                from_seq=self._writer.last_seq + 1,
                snapshots=True,
            )
        return self._writer, self._reader

    def _start(self, place: Position | None) -> Position | None:
        """Where the journal is read from: where the archive says that it goes on.  Of an archive
        whose newest files are gone that is gone, too: from what is left, behind a gap."""
        left = segments(self.folder.journal)
        if place is not None and left and place.segment < left[0].number:
            return Position(left[0].number, 0)
        return place

    def _take(self, *, final: bool) -> int:
        writer, reader = self._current()
        events = 0
        for frames in (self._frames, reader.read(final=final)):
            # A frame that was read comes as several: what reads them must not be begun anew.
            self._frames, self.behind = frames, True
            for frame in frames:
                writer.codecs.share(reader.codecs)
                events += self._frame(writer, frame)
                if writer.closed_files:
                    self._commit(writer, reader)
                if not final and events >= limits.archive_step_events:
                    return events
        self._frames, self.behind = iter(()), False
        return events

    def _frame(self, writer: ArchiveWriter, frame: JournalFrame) -> int:
        body = frame.body
        if isinstance(body, EventBatch):
            writer.append(body, frame.start, frame.end)
            return sum(body.counts())
        if isinstance(body, Snapshot):
            writer.heal(body)
            return 0
        if "missing_from" in body.fields:
            writer.fence()
        writer.mark(body, frame.start, frame.end)
        return 0

    def _commit(self, writer: ArchiveWriter, reader: JournalReader) -> None:
        crash_point("archiver.file_closed")
        # The archive is to say where the journal goes on: that place must outlive a power cut,
        # whether or not the journal's own sync has reached it.
        for segment in segments(self.folder.journal):
            if segment.number <= reader.position.segment:
                with closing(SegmentReader(segment)) as written:
                    written.make_durable()
        crash_point("archiver.journal_durable")
        writer.commit()
        crash_point("archiver.committed")
        if (place := writer.committed_place) is not None:
            for segment in segments(self.folder.journal):
                if segment.number < place.segment:
                    segment.path.unlink()
                    crash_point("archiver.segment_gone")
            sync_directory(self.folder.journal)


@contextmanager
def importing(folder: MarketFolder, **options: Any) -> Iterator[ArchiveWriter]:
    """A writer of the archive for events from elsewhere; all of them are there afterwards, or none.

    What the journal still holds is archived first.  ``options`` are those of ``ArchiveWriter``.
    Raises MarketBusy while the market is collected or archived.
    """
    with folder.writing(), folder.archiving():
        with closing(Archiver(folder, **options)) as archiver:
            archiver.finish_locked()
        writer = ArchiveWriter(folder, **options)
        try:
            yield writer
            writer.close_file()
            writer.commit()
        except OSError as error:
            raise TapeError(
                f"{folder.market}: can't write the archive {folder.archive}: {error}"
            ) from None
        finally:
            writer.abort()
