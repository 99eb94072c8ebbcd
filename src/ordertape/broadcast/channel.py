"""Readers of one market: each gets every event once, in order; who wants the same is sent the same.

Everything here belongs to the event loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from ordertape import limits
from ordertape.broadcast.frames import Events, Told
from ordertape.broadcast.mailbox import Mailbox
from ordertape.broadcast.picture import BookPicture, Item
from ordertape.measures import Delays

__all__ = ["Beat", "Group", "Subscription"]


class Subscription:
    """One client's place in one market.

    What is delivered before the client's first book is known is held back, as much as a mailbox
    holds; from then on each event comes once, in order.  No event comes before the first book.
    """

    def __init__(
        self,
        mailbox: Mailbox,
        depth: int = 0,
        batch_ms: int = 0,
        *,
        orders: bool = True,
        statistics_ms: int | None = limits.live_statistics_ms_default,
    ) -> None:
        """``orders``: whether it wants the book and its events; ``statistics_ms``: how often it
        wants statistics, None never."""
        self.mailbox, self.depth, self.batch_ms = mailbox, depth, batch_ms
        self.orders, self.statistics_ms = orders, statistics_ms
        self.sent: tuple[int, int] | None = None
        """(era, sequence) of the last event or book that was handed to the client's socket."""
        self.has_book: bool | None = None if orders else True
        """Whether the client knows the book; None before it began."""
        self.overran = False
        """Whether more came before the beginning than is held back; then none of it is."""
        self._beginning = False
        self._sequence: int | None = None if orders else 0
        self._early: list[Item] = []
        self._early_bytes = 0
        self._missed = 0
        """The last event that was not held back any more while the client waited for a book."""
        self._pictured: tuple[int, int] | None = None

    def begin(self, after: int, items: Sequence[Item], has_book: bool = True) -> None:
        """The client stands behind event ``after`` and gets these first, then what was held."""
        self._sequence, self.has_book = after, has_book
        early = self._early
        self.forget_early()
        self._beginning = True
        for item in items:
            self.deliver(item)
        self._beginning = False
        for item in early:
            self.deliver(item)

    def deliver(self, item: Item) -> None:
        if self._sequence is None:
            self._hold(item)
        elif isinstance(item, Events):
            self._events(item)
        elif isinstance(item, Told):
            self.mailbox.put(item.parcel, self, asked_for=self._beginning)
        elif isinstance(item, BookPicture):
            self._picture(item)
        else:
            self._sequence = item.last
            self.mailbox.put_later(item.parcels(batched=self.batch_ms > 0), self)

    def _hold(self, item: Item) -> None:
        if isinstance(item, Events):
            self._early_bytes += item.size
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
        if item.sequence < max(self._sequence, self._missed) or item.stand == self._pictured:
            return
        self._sequence, self._pictured, self.has_book = item.sequence, item.stand, True
        self.mailbox.put_later(item.parcels(self.depth), self, item.size(self.depth))
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
        parcel = item.parcel_after(after, self.batch_ms > 0)
        self.mailbox.put(parcel, self, asked_for=self._beginning)


class Group:
    """The readers of one market with the same ``batch_ms``: events are gathered and framed once
    for all of them."""

    def __init__(self, batch_ms: int, delays: Delays | None = None) -> None:
        """``delays``: of each frame, from its newest event's receipt to all readers' connections;
        what waits in a mailbox is not in it."""
        self.batch_ms, self._delays = batch_ms, delays
        self.readers: set[Subscription] = set()
        self._gathered: list[Events] = []
        self._bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def deliver(self, item: Events | BookPicture | Told) -> None:
        if self.batch_ms == 0 or not isinstance(item, Events):
            self.flush()
            self._to_all(item)
            return
        self._gathered.append(item)
        self._bytes += item.size
        if self._bytes > limits.client_batch_bytes_max:
            self.flush()
        elif self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self.batch_ms / 1000, self.flush)

    def flush(self) -> None:
        """Sends the events that were gathered as one frame."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._gathered:
            gathered, self._gathered, self._bytes = self._gathered, [], 0
            self._to_all(Events.joined(gathered))

    def _to_all(self, item: Events | BookPicture | Told) -> None:
        for reader in self.readers:
            reader.deliver(item)
        if self._delays is not None and self.readers and isinstance(item, Events):
            self._delays.note(time.time_ns() - item.ts_recv)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._gathered.clear()


class Beat:
    """The readers of one market who want statistics as often: made and framed once for all.

    Many are told in turns, so that events and requests need not wait until all are.
    """

    def __init__(self, every_ms: int, tell: Callable[[Sequence[Subscription]], None]) -> None:
        self.every_ms = every_ms
        self.readers: set[Subscription] = set()
        self._tell = tell
        self._turn: asyncio.Handle | None = None
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time()
        self._timer = self._after()

    def _after(self) -> asyncio.TimerHandle:
        """On the beat, however late this one came."""
        now, step = self._loop.time(), self.every_ms / 1000
        self._due = max(self._due + step, now + step / 2)
        return self._loop.call_at(self._due, self._strike)

    def _strike(self) -> None:
        self._timer = self._after()
        if self._turn is None:  # else the last beat is not through: this one is left out
            self._tell_some(list(self.readers))

    def _tell_some(self, readers: list[Subscription]) -> None:
        most = limits.beat_turn_clients
        self._tell([reader for reader in readers[:most] if reader in self.readers])
        left = readers[most:]
        self._turn = self._loop.call_soon(self._tell_some, left) if left else None

    def close(self) -> None:
        self._timer.cancel()
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
