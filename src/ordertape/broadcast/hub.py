"""The replicas of all running streams.

Everything here belongs to the event loop, but what replicas do in their own threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from pathlib import Path

import structlog

from ordertape import limits
from ordertape.broadcast.figures import ClientCounts, ClientFigures, PageCounts
from ordertape.broadcast.mailbox import Mailbox, Outlet
from ordertape.broadcast.market import Channel
from ordertape.errors import OrdertapeError
from ordertape.models import StreamInfo

__all__ = ["Hub"]

Key = tuple[str, str]


class Hub:
    """A channel for each stream that runs.  ``infos`` tells which do, ``changed`` when to look."""

    def __init__(
        self,
        infos: Callable[[], Sequence[StreamInfo]],
        changed: Callable[[], Awaitable[None]],
        data: Path,
        executor: Executor,
        events_kept: int = limits.live_events_kept_default,
    ) -> None:
        self.channels: dict[Key, Channel] = {}
        self._counts = ClientCounts()
        self.page_counts = PageCounts()
        self.changed = asyncio.Event()
        """Set, and replaced, whenever a channel comes or goes."""
        self._infos, self._infos_changed = infos, changed
        self._data, self._events_kept, self._executor = data, events_kept, executor
        self._due = asyncio.Event()
        self._failure = ""
        self._asked: asyncio.Future[Exception | None] | None = None
        self._log = structlog.stdlib.get_logger("ordertape.broadcast")
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Hub:
        await self._look()
        parts = (self._look_forever(), self._notice_forever())
        self._tasks = [asyncio.create_task(part) for part in parts]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(self._stopped(c) for c in self.channels.values()))
        for channel in self.channels.values():
            channel.close()
        self.channels.clear()

    def channel(self, exchange: str, symbol: str) -> Channel | None:
        return self.channels.get((exchange, symbol))

    def as_read(self, info: StreamInfo) -> StreamInfo:
        """A stream as its collector tells it and as the server can read it."""
        channel = self.channel(info.exchange, info.symbol)
        return info if channel is None else channel.as_read(info)

    def mailbox(self, outlet: Outlet) -> Mailbox:
        """Of a new client, which is counted until the mailbox is closed."""
        return Mailbox(outlet, self._counts)

    def client_figures(self) -> ClientFigures:
        """What is known of all clients together."""
        return self._counts.figures()

    async def look(self) -> None:
        """Returns when channels are what runs now, or raises what kept them from it.

        One task looks, for whoever asks and whatever becomes of who asked: two looks at a time
        would begin and end the same channels.
        """
        if self._asked is None:
            self._asked = asyncio.get_running_loop().create_future()
        self._due.set()
        if (error := await asyncio.shield(self._asked)) is not None:
            raise error

    async def _look(self) -> None:
        """Begins the channels of streams that run now, ends those of streams that don't."""
        running = {(info.exchange, info.symbol): info for info in self._infos()}
        changed = False
        for key, info in running.items():
            channel, data = self.channels.get(key), info.data or self._data
            if channel is not None and channel.data != data:
                await self._end(channel, info)
                channel = None
            if channel is not None and info.is_active:
                channel.look(info)
                await channel.give_books(self._executor)
            elif channel is None and info.is_active:
                self.channels[key] = Channel(info, data, self._events_kept)
                changed = True
        for key, channel in list(self.channels.items()):
            there = running.get(key)
            if there is None or not there.is_active:
                await self._end(channel, there)
                changed = True
        if changed:
            self._tell_changed()

    async def _end(self, channel: Channel, info: StreamInfo | None) -> None:
        await self._stopped(channel)
        channel.end(info)
        self.channels.pop(channel.key, None)

    async def _stopped(self, channel: Channel) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._executor, channel.replica.stop)
        await asyncio.sleep(0)  # what it posted last is taken before anything else happens

    def _tell_changed(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()

    async def _look_forever(self) -> None:
        while True:
            await self._due.wait()
            self._due.clear()
            asked, self._asked = self._asked, None
            failure: Exception | None = None
            try:
                await self._look()
            except (OrdertapeError, OSError) as error:
                failure = error
                if str(error) != self._failure:  # once for each reason: it is looked often
                    self._log.error("L3_streams_not_looked_at", reason=str(error))
            except asyncio.CancelledError:
                if asked is not None:
                    asked.cancel()
                raise
            self._failure = "" if failure is None else str(failure)
            if asked is not None:
                asked.set_result(failure)

    async def _notice_forever(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(limits.streams_look_ms_max / 1000):
                    await self._infos_changed()
            self._due.set()
            await asyncio.sleep(limits.streams_look_ms_min / 1000)
