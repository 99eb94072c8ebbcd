"""What waits for one client: bounded, with a warning first and then the end.

Everything here belongs to the event loop.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from ordertape import limits
from ordertape.broadcast.encode import text
from ordertape.broadcast.figures import ClientCounts
from ordertape.broadcast.frames import Parcel

__all__ = ["Mailbox", "Outlet", "Standing", "TooSlow"]


class TooSlow(Exception):
    """More waits for a client than a mailbox holds."""


class Outlet(Protocol):
    """The connection of one client, which takes whole frames as they are."""

    @property
    def ready(self) -> bool:
        """Whether it is open and holds little enough to be given more."""
        ...

    @property
    def closing(self) -> bool:
        """Whether nothing may be written any more."""
        ...

    @property
    def unsent(self) -> int:
        """Bytes that were written and the client has not acknowledged."""
        ...

    def write(self, data: bytes) -> None: ...

    async def drained(self) -> None:
        """Returns once it may be ready again, or is closing."""
        ...


class Standing(Protocol):
    """Whoever wants to know where the client stands."""

    sent: tuple[int, int] | None


@dataclass(slots=True)
class _Waiting:
    parcel: Parcel | None
    """None of what a newer one replaced."""
    later: Iterator[Parcel] | None
    whose: Standing | None
    counted: int
    conflated: int = 0
    book: bool = False
    straight: bool = False
    """Whether it found nothing to wait for."""
    since_ns: int = field(default_factory=time.monotonic_ns)

    @property
    def frames(self) -> int:
        """What is not made yet counts as one."""
        if self.later is not None:
            return 1
        return 0 if self.parcel is None else self.parcel.messages


class Mailbox:
    """Parcels on their way to one client, oldest first.

    While the client keeps up they go straight to its connection.  What waits is counted: half
    full, the client is warned before anything else that waits; full, what waits is dropped and
    ``until_full`` raises TooSlow; the client may come back and resume.  Of state only the newest
    of its topic waits, saying how many before it were left out.

    A whole book, which may be larger than all that, is not held against the client as long as it
    goes on taking it: its text is the same for everyone who wants as many orders.
    """

    def __init__(
        self, outlet: Outlet, counts: ClientCounts | None = None, bytes_max: int | None = None
    ) -> None:
        self._outlet = outlet
        self._counts = ClientCounts() if counts is None else counts
        self._bytes_max = limits.client_mailbox_bytes_max if bytes_max is None else bytes_max
        self._waiting: deque[_Waiting] = deque()
        self._begun: _Waiting | None = None
        """What is made as it is taken and was taken from: nothing comes between its parcels."""
        self._newest: dict[tuple[str, Standing | None], _Waiting] = {}
        self._bytes = self._book_bytes = 0
        self._there, self._overflowed = asyncio.Event(), asyncio.Event()
        self._warned = False
        self._flat_looks = 0
        """So many times in a row nothing was taken in ``limits.client_stalled_ms``."""
        self.full = False
        self._counts.clients += 1

    def close(self) -> None:
        """Nothing waits for the client any more, nor will; it is counted no longer."""
        self.full = True
        self._forget()
        self._counts.clients -= 1

    def put(
        self, parcel: Parcel, whose: Standing | None = None, *, asked_for: bool = False
    ) -> None:
        """One parcel alone always fits.  ``asked_for``: what a client begins with does not count
        against it."""
        if self.full:
            return
        if not self._there.is_set() and self._outlet.ready:
            self._send(parcel, whose)
        else:
            self._hold(parcel, whose, asked_for)

    def put_later(
        self, parcels: Iterator[Parcel], whose: Standing, book_bytes: int | None = None
    ) -> None:
        """Parcels that are made as they are taken.  ``book_bytes``: of the text of a whole book,
        which replaces one that waits where nothing stands behind it."""
        if self.full:
            return
        book, newest = book_bytes is not None, self._waiting[-1] if self._waiting else None
        if book and newest is not None and newest.book and newest.whose is whose:
            self._uncount(self._waiting.pop())
            self._counts.conflated_frames += 1
        if book and sum(w.whose is whose for w in self._books()) >= limits.client_books_max:
            self.overflow()
            return
        straight = not self._there.is_set() and self._outlet.ready
        waiting = _Waiting(None, parcels, whose, book_bytes or 0, book=book, straight=straight)
        self._append(waiting)
        self._pump()

    def overflow(self) -> None:
        """What waits is dropped, and the client with it."""
        if not self.full:
            self._counts.closed_too_slow += 1
            begun = [] if self._begun is None else [self._begun]
            self._counts.dropped_frames += sum(left.frames for left in (*begun, *self._waiting))
        self.full = True
        self._forget()
        self._overflowed.set()

    async def until_full(self) -> None:
        """Raises TooSlow as soon as too much waits."""
        await self._overflowed.wait()
        raise TooSlow

    async def pump_forever(self) -> None:
        """Hands on what waits as the connection takes it; returns when that closes."""
        while not self._outlet.closing:
            await self._there.wait()
            unsent = self._outlet.unsent
            try:
                async with asyncio.timeout(limits.client_stalled_ms / 1000):
                    await self._outlet.drained()
            except TimeoutError:
                if self._outlet.unsent >= unsent:
                    self._stalled()
                else:
                    self._flat_looks = 0
            else:
                self._flat_looks = 0
            self._pump()
            await asyncio.sleep(0)  # others have their turn

    def _stalled(self) -> None:
        """Nothing was taken for a while: no book waits for that client much longer.  (A kernel
        acknowledges in steps what its client reads: one look in vain says little.)"""
        self._flat_looks += 1
        if self._flat_looks > 1 and any(True for _ in self._books()):
            self.overflow()

    def _books(self) -> Iterator[_Waiting]:
        """Whole books that wait, one that is under way first."""
        if self._begun is not None and self._begun.book:
            yield self._begun
        yield from (waiting for waiting in self._waiting if waiting.book)

    # Waiting --------------------------------------------------------------------------------------

    def _hold(self, parcel: Parcel, whose: Standing | None, asked_for: bool) -> None:
        conflated = 0
        if parcel.state is not None:
            conflated = self._replaced((parcel.topic, whose))
        size = 0 if asked_for else len(parcel.data)
        if self._bytes and self._bytes + size > self._bytes_max:
            self.overflow()
            return
        waiting = _Waiting(parcel, None, whose, size, conflated)
        if parcel.state is not None:
            self._newest[parcel.topic, whose] = waiting
        self._append(waiting)
        self._warn_if_due()

    def _replaced(self, topic: tuple[str, Standing | None]) -> int:
        """Leaves out the state that waits; how many were left out now."""
        older = self._newest.pop(topic, None)
        if older is None or older.parcel is None:
            return 0
        older.parcel = None
        self._uncount(older)
        older.counted = 0
        self._counts.conflated_frames += 1
        return older.conflated + 1

    def _append(self, waiting: _Waiting) -> None:
        self._waiting.append(waiting)
        self._count(waiting)
        self._there.set()

    def _count(self, waiting: _Waiting) -> None:
        counts, size = self._counts, waiting.counted
        if waiting.book:
            self._book_bytes += size
        else:
            self._bytes += size
        counts.waiting_bytes += size
        together = self._bytes + self._book_bytes
        counts.largest_mailbox_bytes = max(counts.largest_mailbox_bytes, together)

    def _uncount(self, waiting: _Waiting) -> None:
        """It waits no longer."""
        if waiting.book:
            self._book_bytes -= waiting.counted
        else:
            self._bytes -= waiting.counted
        self._counts.waiting_bytes -= waiting.counted

    def _forget(self) -> None:
        self._waiting.clear()
        self._newest.clear()
        self._begun = None
        self._there.clear()
        self._counts.waiting_bytes -= self._bytes + self._book_bytes
        self._bytes = self._book_bytes = 0

    def _warn_if_due(self) -> None:
        if self._warned or len(self._waiting) < 2 or self._bytes * 2 < self._bytes_max:
            return
        self._warned = True
        detail = (
            f"{self._bytes} bytes wait for you; over {self._bytes_max} this connection is closed"
        )
        warning = Parcel.of(f'{{"type":"l3_warning","detail":{text(detail)}}}')
        first = _Waiting(warning, None, None, len(warning.data))
        self._waiting.appendleft(first)
        self._count(first)

    # Handing on -----------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Hands on what waits, one turn's worth at most, as long as the connection takes it."""
        left = limits.client_turn_bytes
        while left > 0 and self._outlet.ready and (found := self._taken()) is not None:
            self._send(*found)
            left -= len(found[0].data)
        if not self._waiting and self._begun is None:
            self._there.clear()
        if self._bytes * 4 < self._bytes_max:
            self._warned = False

    def _taken(self) -> tuple[Parcel, Standing | None] | None:
        """The next parcel; None where none waits."""
        while True:
            if self._begun is not None:
                waiting, later = self._begun, self._begun.later
                assert later is not None
                if (made := next(later, None)) is not None:
                    return made, waiting.whose
                self._uncount(waiting)
                self._begun = None
            if not self._waiting:
                return None
            waiting = self._waiting.popleft()
            if waiting.frames and not waiting.straight:
                self._counts.waited.note(time.monotonic_ns() - waiting.since_ns)
            if waiting.later is not None:
                self._begun = waiting
                continue
            self._uncount(waiting)
            if (parcel := waiting.parcel) is None:
                continue
            if parcel.state is not None:
                self._newest.pop((parcel.topic, waiting.whose), None)
                if waiting.conflated:
                    parcel = parcel.after_others(waiting.conflated)
            return parcel, waiting.whose

    def _send(self, parcel: Parcel, whose: Standing | None) -> None:
        self._outlet.write(parcel.data)
        counts = self._counts
        counts.frames_sent += parcel.messages
        counts.bytes_sent += len(parcel.data)
        if whose is not None and parcel.stand is not None:
            whose.sent = parcel.stand
