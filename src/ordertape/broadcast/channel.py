"""What waits for one client: bounded, with a warning first and then the end.

Everything here belongs to the event loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence

from ordertape import limits
from ordertape.broadcast.encode import text
from ordertape.broadcast.frames import (
    BookPicture,
    Circumstance,
    Events,
    Frame,
    Item,
    Resumed,
    age_of,
)

__all__ = ["Mailbox", "Subscription", "TooSlow"]


class TooSlow(Exception):
    """More waits for a client than a mailbox holds."""


class Mailbox:
    """Frames that wait for one client, oldest first.

    Half full: the client is warned, before anything else that waits.  Full: what waits is dropped
    and ``take`` raises TooSlow; the client may come back and resume.
    """

    def __init__(self, bytes_max: int | None = None) -> None:
        self._frames: deque[tuple[Frame | Iterator[Frame], Subscription | None, int]] = deque()
        self._bytes = 0
        self._bytes_max = limits.client_mailbox_bytes_max if bytes_max is None else bytes_max
        self._there, self._overflowed = asyncio.Event(), asyncio.Event()
        self._warned = False
        self.full = False

    def put(
        self, frame: Frame, whose: Subscription | None = None, *, asked_for: bool = False
    ) -> None:
        """A frame alone always fits: a book may be larger than the mailbox.

        ``asked_for``: the book that a client begins with does not count.
        """
        if self.full:
            return
        if asked_for:
            self._frames.append((frame, whose, 0))
            self._there.set()
            return
        if self._bytes and self._bytes + len(frame.text) > self._bytes_max:
            self.overflow()
            return
        self._frames.append((frame, whose, len(frame.text)))
        self._bytes += len(frame.text)
        self._warn_if_due()
        self._there.set()

    def put_later(self, frames: Iterator[Frame], whose: Subscription) -> None:
        """Frames that are made as they are taken; they do not wait as texts."""
        if not self.full:
            self._frames.append((frames, whose, 0))
            self._there.set()

    def overflow(self) -> None:
        """What waits is dropped, and the client with it."""
        self.full = True
        self._overflowed.set()
        self._frames.clear()
        self._bytes = 0
        self._there.set()

    def _warn_if_due(self) -> None:
        if self._warned or len(self._frames) < 2 or self._bytes * 2 < self._bytes_max:
            return
        self._warned = True
        detail = (
            f"{self._bytes} bytes wait for you; over {self._bytes_max} this connection is closed"
        )
        warning = f'{{"type":"l3_warning","detail":{text(detail)}}}'
        self._frames.appendleft((Frame(warning), None, len(warning)))
        self._bytes += len(warning)

    async def until_full(self) -> None:
        """Raises TooSlow as soon as too much waits, also while the taker is held up."""
        await self._overflowed.wait()
        raise TooSlow

    async def take(self) -> list[tuple[Frame, Subscription | None]]:
        """The next frames, at least one.  Raises TooSlow."""
        frames: list[tuple[Frame, Subscription | None]] = []
        while not frames:
            while not self._frames and not self.full:
                self._there.clear()
                await self._there.wait()
            if self.full:
                raise TooSlow
            frames = self._taken()
        if self._bytes * 4 < self._bytes_max:
            self._warned = False
        return frames

    def _taken(self) -> list[tuple[Frame, Subscription | None]]:
        """What leaves at once; nothing where only the end of frames made later was there."""
        frames: list[tuple[Frame, Subscription | None]] = []
        while self._frames and len(frames) < limits.client_take_frames:
            frame, whose, counted = self._frames[0]
            if not isinstance(frame, Frame):
                made = next(frame, None)
                if made is not None:
                    frames.append((made, whose))
                    continue
            else:
                frames.append((frame, whose))
            self._frames.popleft()
            self._bytes -= counted
        return frames


class Subscription:
    """One client's place in one market.

    What is delivered before the client's first book is known is held back, as much as a mailbox
    holds; from then on each event comes once, in order.  No event comes before the first book.
    """

    def __init__(self, mailbox: Mailbox, depth: int = 0, batch_ms: int = 0) -> None:
        self.mailbox, self.depth, self.batch_ms = mailbox, depth, batch_ms
        self.sent: tuple[int, int] | None = None
        """(era, sequence) of the last event or book that was handed to the client's socket."""
        self.has_book: bool | None = None
        """Whether the client knows the book; None before it began."""
        self._beginning = False
        self._sequence: int | None = None
        self.overran = False
        """Whether more came before the beginning than is held back; then none of it is."""
        self._early: list[Item] = []
        self._early_bytes = 0
        self._missed = 0
        """The last event that was not held back any more while the client waited for a book."""
        self._pictured: tuple[int, int] | None = None
        self._gathered: list[str] = []
        self._gathered_in: Events | None = None
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, after: int, items: Sequence[Item], has_book: bool = True) -> None:
        """The client stands behind event ``after`` and gets these first, then what was held."""
        self._sequence, self.has_book = after, has_book
        early = self._early
        self.forget_early()
        self._beginning = True
        for item in items:
            self.deliver(item)
        self.flush()
        self._beginning = False
        for item in early:
            self.deliver(item)

    def deliver(self, item: Item) -> None:
        if self._sequence is None:
            self._hold(item)
        elif isinstance(item, Events):
            self._events(item)
        elif isinstance(item, BookPicture):
            self._picture(item)
        elif isinstance(item, Resumed):
            self._sequence = item.last
            self.mailbox.put_later(item.frames(batched=self.batch_ms > 0), self)
        else:
            self.flush()
            self._put(item.frame)

    def _hold(self, item: Item) -> None:
        if isinstance(item, Events):
            self._early_bytes += sum(map(len, item.objects))
            if self.has_book is False and self._early_bytes > limits.client_mailbox_bytes_max:
                self._missed = item.last
                self.forget_early()
                return
        self.overran = self.overran or self._early_bytes > limits.client_mailbox_bytes_max
        if self.overran:
            self._early.clear()
        else:
            self._early.append(item)

    def forget_early(self) -> None:
        """For a book behind everything that was held back."""
        self._early, self._early_bytes, self.overran = [], 0, False

    def _picture(self, item: BookPicture) -> None:
        assert self._sequence is not None
        stand = (item.where.era, item.sequence)
        least = max(self._sequence, self._missed)
        if item.sequence < least or stand == self._pictured:
            return
        self.flush()
        self._sequence, self._pictured, self.has_book = item.sequence, stand, True
        self._put(item.frame(self.depth, age_of(max(item.ts_recv, item.heard))))
        early = self._early
        self.forget_early()
        for held in early:
            self.deliver(held)

    def _events(self, item: Events) -> None:
        assert self._sequence is not None
        if item.last <= self._sequence:
            return
        if self.has_book is False:
            # The replica may have begun in the middle: without a book it is of no use.
            self._hold(item)
            return
        after, self._sequence = self._sequence, item.last
        if self.batch_ms == 0:
            for frame in item.frames_after(after):
                self._put(frame)
            return
        self._gathered += item.objects_after(after)
        self._gathered_in = item
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self.batch_ms / 1000, self.flush)

    def flush(self) -> None:
        """Sends the events that were gathered as one frame."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._gathered_in is None:
            return
        item, self._gathered_in = self._gathered_in, None
        gathered, self._gathered = self._gathered, []
        data = f'"data":[{",".join(gathered)}]'
        where: Circumstance = item.where
        words = where.frame("l3_orders", data, age_of(item.ts_recv))
        self._put(Frame(words, (where.era, item.last)))

    def _put(self, frame: Frame) -> None:
        self.mailbox.put(frame, self, asked_for=self._beginning)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
