"""The replicas of all running streams, and who reads them.

Everything here belongs to the event loop, but what replicas do in their own threads.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import structlog

from ordertape import limits
from ordertape.broadcast.channel import Subscription
from ordertape.broadcast.frames import BookPicture, Circumstance, Events, Frame, Item, Told
from ordertape.broadcast.replica import Beginning, Posted, ReplicaBook, StateTold
from ordertape.errors import OrdertapeError
from ordertape.models import L3StreamStatus, StreamInfo, iso_from_ns

__all__ = ["Channel", "Hub"]

Key = tuple[str, str]
_WITH_BOOK = ("LIVE", "STALE")


class Channel:
    """One market that is collected: its replica and its readers."""

    def __init__(self, info: StreamInfo, data: Path, events_kept: int) -> None:
        loop = asyncio.get_running_loop()
        self.info = info
        self.data = data
        self.ended = False
        self.readers: set[Subscription] = set()
        self.replica = ReplicaBook(
            data,
            info.exchange,
            info.symbol,
            post=lambda posted: _into(loop, self._posted, posted),
            events_kept=events_kept,
        )
        self._told = (info.state, info.reason)
        self._differs_since: float | None = None
        self.replica.start()

    @property
    def key(self) -> Key:
        return self.info.exchange, self.info.symbol

    async def join(
        self,
        reader: Subscription,
        executor: Executor,
        since: tuple[int, int] | None = None,
    ) -> None:
        """The reader gets the book, or what followed ``since``, and then every event once.

        Where there is neither, it is told how the stream is.
        """
        self.readers.add(reader)
        self.replica.wanted = True
        for _ in range(limits.client_begin_tries):
            beginning = await self._beginning(reader, executor, since)
            if not reader.overran:
                break
            # More came meanwhile than is held for a client: it begins with a newer book.
            since = None
            reader.forget_early()
        else:
            reader.mailbox.overflow()
            return
        if not beginning.items:
            reader.mailbox.put(Frame(self.status_frame()))
        for item in beginning.items:
            if isinstance(item, BookPicture):
                item.heard = self.info.last_frame_at or 0
        reader.begin(beginning.after, list[Item](beginning.items), beginning.has_book)

    async def _beginning(
        self, reader: Subscription, executor: Executor, since: tuple[int, int] | None
    ) -> Beginning:
        task = partial(_written, self.replica, since, reader.depth, self._is_live)
        return await asyncio.get_running_loop().run_in_executor(executor, task)

    def leave(self, reader: Subscription) -> None:
        reader.close()
        self.readers.discard(reader)
        self.replica.wanted = bool(self.readers)

    @property
    def _is_live(self) -> bool:
        return self.info.state in _WITH_BOOK

    async def give_books(self, executor: Executor) -> None:
        """Readers who came before there was a book get it."""
        waiting = [reader for reader in self.readers if reader.has_book is False]
        if not (waiting and self._is_live and self.replica.has_live_book):
            return
        loop = asyncio.get_running_loop()
        picture = await loop.run_in_executor(executor, self.replica.picture)
        if picture is not None:
            picture.heard = self.info.last_frame_at or 0
        if self._told[0] not in _WITH_BOOK:
            # The replica began behind the mark that tells it.
            self._tell_status(self.info.state, self.info.reason)
        for reader in waiting:
            if picture is not None and reader.has_book is False:
                reader.deliver(picture)

    # Telling --------------------------------------------------------------------------------------

    def as_read(self, info: StreamInfo) -> StreamInfo:
        """As its collector tells it; STALE where the server can't read what that one writes."""
        if self.replica.failure and info.state == "LIVE":
            return replace(info, state="STALE", reason=self.replica.failure)
        return info

    def look(self, info: StreamInfo) -> None:
        """What the collector says of itself; the tape tells most of it first, and in order."""
        info = self.info = self.as_read(info)
        if (info.state, info.reason) == self._told:
            self._differs_since = None
        elif self._differs_since is None:
            self._differs_since = time.monotonic()
        elif time.monotonic() - self._differs_since > limits.status_differs_ms / 1000:
            self._differs_since = None
            self._tell_status(info.state, info.reason)

    def tell_statistics(self) -> None:
        if not self.readers or (found := self.replica.statistics()) is None:
            return
        where, sequence, statistics = found
        members = f'"timestamp":"{iso_from_ns(time.time_ns())}","data":{statistics}'
        words = where.frame("l3_statistics", f'"sequence":{sequence},{members}', self.info.age_ms)
        self._deliver(Told(Frame(words)))

    def end(self, info: StreamInfo | None) -> None:
        """The stream does not run any more."""
        self.ended = True
        self.info = info if info is not None else self.info
        if (self.info.state, self.info.reason) != self._told:
            self._tell_status(self.info.state, self.info.reason)

    def _posted(self, posted: Posted) -> None:
        if isinstance(posted, StateTold):
            self._tell_status(posted.state, posted.reason)
        else:
            self._deliver(posted)

    def _deliver(self, item: Events | BookPicture | Told) -> None:
        for reader in self.readers:
            reader.deliver(item)

    def _tell_status(self, state: str, reason: str) -> None:
        if (state, reason) == self._told:
            return
        self._told = (state, reason)
        if self.readers:
            self._deliver(Told(Frame(self.status_frame())))

    def status_frame(self) -> str:
        """An ``l3_status`` of now."""
        state, reason = self._told
        return status_text(replace(self.info, state=state, reason=reason))


def status_text(info: StreamInfo) -> str:
    """An ``l3_status`` that tells this."""
    status = L3StreamStatus.from_info(info).model_dump_json()
    where = Circumstance(info.exchange, info.symbol, info.state, info.era, info.simulated)
    members = f'"timestamp":"{iso_from_ns(time.time_ns())}","data":{status}'
    return where.frame("l3_status", members, info.age_ms)


def _written(
    replica: ReplicaBook, since: tuple[int, int] | None, depth: int, live: bool
) -> Beginning:
    """In a thread: the beginning of a reader, its book already written.

    ``live``: the collector has a book, so that the replica is about to have it.
    """
    if live:
        replica.wait_live(limits.replica_catch_up_ms / 1000)
    beginning = replica.begin(since, live)
    for item in beginning.items:
        if isinstance(item, BookPicture):
            item.members(depth)
    return beginning


def _into(loop: asyncio.AbstractEventLoop, take: Callable[[Posted], None], posted: Posted) -> None:
    """From a replica's thread into the loop, unless that is closed already."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(take, posted)


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
        self.changed = asyncio.Event()
        """Set, and replaced, whenever a channel comes or goes."""
        self._infos, self._infos_changed = infos, changed
        self._data, self._events_kept, self._executor = data, events_kept, executor
        self._due = asyncio.Event()
        self._asked: asyncio.Future[Exception | None] | None = None
        self._log = structlog.get_logger("broadcast")
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Hub:
        await self._look()
        parts = (self._look_forever(), self._notice_forever(), self._tell_forever())
        self._tasks = [asyncio.create_task(part) for part in parts]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(self._stopped(c) for c in self.channels.values()))
        self.channels.clear()

    def channel(self, exchange: str, symbol: str) -> Channel | None:
        return self.channels.get((exchange, symbol))

    def as_read(self, info: StreamInfo) -> StreamInfo:
        """A stream as its collector tells it and as the server can read it."""
        channel = self.channel(info.exchange, info.symbol)
        return info if channel is None else channel.as_read(info)

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
                self._log.error("L3_streams_not_looked_at", reason=str(error))
            except asyncio.CancelledError:
                if asked is not None:
                    asked.cancel()
                raise
            if asked is not None:
                asked.set_result(failure)

    async def _notice_forever(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(limits.streams_look_ms_max / 1000):
                    await self._infos_changed()
            self._due.set()
            await asyncio.sleep(limits.streams_look_ms_min / 1000)

    async def _tell_forever(self) -> None:
        while True:
            await asyncio.sleep(limits.live_statistics_ms / 1000)
            for channel in self.channels.values():
                channel.tell_statistics()
