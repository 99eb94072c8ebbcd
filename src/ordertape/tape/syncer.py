"""fdatasync in a thread of its own, so that no writer ever waits for a disk."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from ordertape.crash_points import crash_point
from ordertape.errors import SyncFailed
from ordertape.tape.folder import sync_directory
from ordertape.tape.segment import Segment

__all__ = ["OpenSegment", "Syncer"]


@dataclass(slots=True)
class OpenSegment:
    """A segment that is written, or was and is not durable yet; offsets are bytes."""

    segment: Segment
    fd: int
    capacity: int
    written: int = 0
    written_seq: int = 0
    synced: int = 0
    named: bool = False
    """Whether its name is durable."""
    closed: bool = False
    """Nothing more comes: once durable, it is cut to its frames."""


class Syncer:
    """Makes segments durable in the order they were written.

    A sync begins at most ``delay_ms`` after the first write it covers.  One failure ends it: what
    fdatasync failed to write the kernel may have forgotten, so nothing after it can be trusted.
    """

    def __init__(
        self,
        delay_ms: float,
        on_failure: Callable[[SyncFailed], None] | None,
        on_synced: Callable[[int], None] | None = None,
    ) -> None:
        """``on_synced`` is told, in the thread that syncs, up to which event all is durable."""
        self.synced_seq = 0
        self.failure: SyncFailed | None = None
        self._delay = delay_ms / 1000
        self._on_failure, self._on_synced = on_failure, on_synced
        self._segments: list[OpenSegment] = []
        self._changed = threading.Condition()
        self._dirty_since: float | None = None
        self._hurry = False
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="tape syncer", daemon=True)
        self._thread.start()

    def follow(self, segment: OpenSegment) -> None:
        """A new segment; the one before it is closed."""
        with self._changed:
            if self._segments:
                self._segments[-1].closed = True
            self._segments.append(segment)

    def wrote(self) -> None:
        """The newest segment has more than before.  Raises SyncFailed."""
        with self._changed:
            if self.failure is not None:
                raise self.failure
            if self._dirty_since is None:
                self._dirty_since = time.monotonic()
                self._changed.notify_all()

    def wait(self) -> None:
        """Returns once everything written so far is durable.  Raises SyncFailed."""
        with self._changed:
            if not self._segments:
                return
            newest = self._segments[-1]
            offset = newest.written
            self._hurry = True
            self._dirty_since = self._dirty_since or time.monotonic()
            self._changed.notify_all()
            self._changed.wait_for(lambda: self.failure is not None or newest.synced >= offset)
            if self.failure is not None:
                raise self.failure

    def stop(self) -> None:
        """Makes everything durable, closes every segment and ends the thread; never raises."""
        with self._changed:
            if self._segments:
                self._segments[-1].closed = True
            self._stopping = True
            self._dirty_since = self._dirty_since or time.monotonic()
            self._changed.notify_all()
        self._thread.join()
        # After a failure nobody closed them: a descriptor that the writer still holds must not
        # become another file's.
        for segment in self._segments:
            if self.failure is not None:
                self._forget_unsynced(segment)
            os.close(segment.fd)
        self._segments.clear()

    # The thread -----------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while self._await_work():
                self._sync()
        except OSError as error:
            self._fail(error)

    def _await_work(self) -> bool:
        """True when a sync is due, False when there is nothing left and no more will come."""
        with self._changed:
            while True:
                if self._stopping:
                    return bool(self._segments)
                due = None
                if self._dirty_since is not None:
                    due = self._dirty_since + self._delay - time.monotonic()
                    if self._hurry or due <= 0:
                        return True
                self._changed.wait(due)

    def _sync(self) -> None:
        with self._changed:
            self._dirty_since, self._hurry = None, False
            # The writer moves `written` before `written_seq`: the seq is read first.
            work = [(s, s.written_seq, s.written, s.closed) for s in self._segments]
        for segment, written_seq, written, closed in work:
            if written > segment.synced:
                crash_point("journal.sync_due")
                os.fdatasync(segment.fd)
                crash_point("journal.synced")
            if not segment.named:
                sync_directory(segment.segment.path.parent)
                segment.named = True
            if closed:
                crash_point("journal.segment_synced")
                self._cut(segment)
                crash_point("journal.segment_cut")
            with self._changed:
                segment.synced = written
                self.synced_seq = max(self.synced_seq, written_seq)
                if closed:
                    self._segments.remove(segment)
                    os.close(segment.fd)
                self._changed.notify_all()
            if self._on_synced is not None:
                self._on_synced(self.synced_seq)

    @staticmethod
    def _forget_unsynced(segment: OpenSegment) -> None:
        """What a failed sync left in the kernel's cache looks written and may be on no disk: the
        next writer must not take it for durable, as its own sync would find nothing to write."""
        with suppress(OSError):  # the disk that failed may refuse this, too
            os.ftruncate(segment.fd, segment.synced)

    @staticmethod
    def _cut(segment: OpenSegment) -> None:
        """Only a durable segment is cut: to end with its last frame says that it is whole."""
        os.ftruncate(segment.fd, segment.written)
        os.fsync(segment.fd)

    def _fail(self, error: OSError) -> None:
        path = self._segments[0].segment.path if self._segments else "the journal"
        failure = SyncFailed(f"fdatasync of {path} failed, what was written may be lost: {error}")
        with self._changed:
            self.failure = failure
            self._changed.notify_all()
        if self._on_failure is not None:
            self._on_failure(failure)
