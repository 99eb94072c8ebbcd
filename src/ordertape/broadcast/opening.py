"""A book that was made for one client and serves those who begin right after."""

from __future__ import annotations

import asyncio

from ordertape import limits
from ordertape.broadcast.frames import Events
from ordertape.broadcast.replica import Beginning

__all__ = ["Opening"]


class Opening:
    """A beginning and what followed it, the same bytes for everyone who comes soon enough: many
    clients at once have one book made.

    What is posted from before the book is made is kept; a reader leaves out what it has.
    """

    def __init__(self, making: asyncio.Future[Beginning]) -> None:
        self._making = making
        self._loop = asyncio.get_running_loop()
        self._begun, self._until = self._loop.time(), float("inf")
        self.followed: list[Events] = []
        self._events = 0
        making.add_done_callback(self._made)

    def _made(self, making: asyncio.Future[Beginning]) -> None:
        now = self._loop.time()
        if making.cancelled() or making.exception() is not None or not making.result().items:
            self._until = now  # the next one tries again
        else:
            self._until = now + max(limits.opening_kept_ms / 1000, 10 * (now - self._begun))

    @property
    def is_over(self) -> bool:
        """Whether the next reader needs a newer one."""
        return self._loop.time() >= self._until or self._events > limits.opening_events_max

    def take(self, events: Events) -> bool:
        """Keeps what followed; False once this is over."""
        if self.is_over:
            return False
        self.followed.append(events)
        self._events += len(events.objects)
        return True

    async def beginning(self) -> Beginning:
        """Once it is made; whoever asked first and left takes nothing from the others."""
        return await asyncio.shield(self._making)
