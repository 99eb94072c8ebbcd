"""One market that is collected: its replica, and who is sent what of it.

Everything here belongs to the event loop, but what the replica does in its own thread.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from pathlib import Path

from ordertape import limits
from ordertape.broadcast.channel import Beat, Group, Subscription
from ordertape.broadcast.frames import Circumstance, Events, Told
from ordertape.broadcast.opening import Opening
from ordertape.broadcast.picture import BookPicture, Item
from ordertape.broadcast.replica import Beginning, Posted, ReplicaBook, StateTold
from ordertape.measures import Delays
from ordertape.models import L3StreamStatus, StreamInfo, iso_from_ns

__all__ = ["Channel", "status_told"]

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
        self._groups: dict[int, Group] = {}
        """By ``batch_ms``: those who want events."""
        self._depths: Counter[int] = Counter()
        """Readers of each depth."""
        self._beats: dict[int, Beat] = {}
        """By ``statistics_ms``: those who want statistics."""
        self._opening: Opening | None = None
        """A book of a moment ago, for whoever begins now."""
        self._statistics: tuple[float, Told] | None = None
        self.replica = ReplicaBook(
            data,
            info.exchange,
            info.symbol,
            post=lambda posted: _into(loop, self._posted, posted),
            events_kept=events_kept,
        )
        self._told = (info.state, info.reason)
        self._differs_since: float | None = None
        self.delays = Delays()
        """Of frames of events, from receipt to the connections of their readers."""
        self.replica.start()

    @property
    def key(self) -> Key:
        return self.info.exchange, self.info.symbol

    @property
    def is_live(self) -> bool:
        return self.info.state in _WITH_BOOK

    # Coming and going -----------------------------------------------------------------------------

    async def join(
        self,
        reader: Subscription,
        executor: Executor,
        since: tuple[int, int] | None = None,
    ) -> None:
        """The reader gets the book, or what followed ``since``, and then every event once.

        Where there is neither, it is told how the stream is; so is who wants no events, or the
        statistics as they stand.
        """
        self._enter(reader)
        if not reader.orders:
            told = self.statistics_told() if self.is_live else None
            reader.deliver(self.status_told() if told is None else told)
            return
        for _ in range(limits.client_begin_tries):
            beginning, followed = await self._beginning(reader.depth, executor, since)
            if not reader.overran:
                break
            # More came meanwhile than is held for a client: it begins with a newer book.
            since = None
            reader.forget_early()
        else:
            reader.mailbox.overflow()
            return
        if not beginning.items:
            reader.mailbox.put(self.status_told().parcel)
        for item in beginning.items:
            if isinstance(item, BookPicture):
                item.heard = self.info.last_frame_at or 0
        items: list[Item] = [*beginning.items, *followed]
        reader.begin(beginning.after, items, beginning.has_book)

    def _enter(self, reader: Subscription) -> None:
        self.readers.add(reader)
        if reader.orders:
            if reader.batch_ms not in self._groups:
                self._groups[reader.batch_ms] = Group(reader.batch_ms, self.delays)
            self._groups[reader.batch_ms].readers.add(reader)
            self._depths[reader.depth] += 1
            self._note_wanted()
        if (every_ms := reader.statistics_ms) is not None:
            if every_ms not in self._beats:
                self._beats[every_ms] = Beat(every_ms, self._tell_statistics)
            self._beats[every_ms].readers.add(reader)

    def leave(self, reader: Subscription) -> None:
        self.readers.discard(reader)
        group, beat = self._groups.get(reader.batch_ms), self._beats.get(reader.statistics_ms or 0)
        if group is not None and reader in group.readers:
            group.readers.remove(reader)
            self._depths -= Counter((reader.depth,))
            if not group.readers:
                group.close()
                del self._groups[reader.batch_ms]
            self._note_wanted()
        if beat is not None:
            beat.readers.discard(reader)
            if not beat.readers:
                beat.close()
                del self._beats[beat.every_ms]

    def _note_wanted(self) -> None:
        """What nobody reads is not encoded."""
        self.replica.wanted = bool(self._groups)
        self.replica.depths = frozenset(self._depths)
        if not self._groups:
            self._opening = None

    async def _beginning(
        self, depth: int, executor: Executor, since: tuple[int, int] | None
    ) -> tuple[Beginning, list[Events]]:
        """What a reader begins with, and the events that are known to have followed it."""
        if since is not None:
            return await self._made(depth, executor, since), []
        opening = self._opening
        if opening is None or opening.is_over:
            opening = Opening(asyncio.ensure_future(self._made(depth, executor, None)))
            self._opening = opening
        beginning = await opening.beginning()
        if not all(picture.is_written(depth) for picture in _pictures(beginning)):
            # It was made for another depth.
            await asyncio.get_running_loop().run_in_executor(executor, _write, beginning, depth)
        return beginning, opening.followed

    async def _made(
        self, depth: int, executor: Executor, since: tuple[int, int] | None
    ) -> Beginning:
        task = partial(_written, self.replica, since, depth, self.is_live)
        return await asyncio.get_running_loop().run_in_executor(executor, task)

    async def give_books(self, executor: Executor) -> None:
        """Readers who came before there was a book get it."""
        waiting = [reader for reader in self.readers if reader.has_book is False]
        if not (waiting and self.is_live and self.replica.has_live_book):
            return
        loop, depths = asyncio.get_running_loop(), {reader.depth for reader in waiting}
        picture = await loop.run_in_executor(executor, _pictured, self.replica, depths)
        if picture is not None:
            picture.heard = self.info.last_frame_at or 0
        if self._told[0] not in _WITH_BOOK:
            # The replica began behind the mark that tells it.
            self._tell_status(self.info.state, self.info.reason)
        for group in self._groups.values():
            group.flush()
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

    def statistics_told(self) -> Told | None:
        """Statistics of now, or of a moment ago; None before there is a book."""
        now = time.monotonic()
        if (known := self._statistics) is not None:
            made, told = known
            if now - made < limits.live_statistics_kept_ms / 1000:
                return told
        if (found := self.replica.statistics()) is None:
            return None
        where, sequence, statistics = found
        if where.state == "LIVE" and self.info.state != "LIVE":
            # The last that a collector wrote which was killed, or stopped: nobody vouches for it.
            where = replace(where, state=self.info.state)
        members = f'"timestamp":"{iso_from_ns(time.time_ns())}","data":{statistics}'
        words = where.frame("l3_statistics", f'"sequence":{sequence},{members}', self.info.age_ms)
        told = Told.of(words, "l3_statistics")
        self._statistics = (now, told)
        return told

    def _tell_statistics(self, readers: Sequence[Subscription]) -> None:
        if (told := self.statistics_told()) is None:
            return
        for batch_ms in {reader.batch_ms for reader in readers if reader.orders}:
            self._groups[batch_ms].flush()  # the events that stand in them come first
        for reader in readers:
            reader.deliver(told)

    def end(self, info: StreamInfo | None) -> None:
        """The stream does not run any more."""
        self.ended = True
        self.info = info if info is not None else self.info
        if (self.info.state, self.info.reason) != self._told:
            self._tell_status(self.info.state, self.info.reason)
        self.close()

    def close(self) -> None:
        """Nothing is told any more."""
        for group in self._groups.values():
            group.flush()
        for beat in self._beats.values():
            beat.close()
        self._opening = None

    def _posted(self, posted: Posted) -> None:
        if isinstance(posted, StateTold):
            self._tell_status(posted.state, posted.reason)
            return
        if isinstance(posted, Events):
            if self._opening is not None and not self._opening.take(posted):
                self._opening = None
        else:
            self._opening = None
        for group in self._groups.values():
            group.deliver(posted)

    def _tell_status(self, state: str, reason: str) -> None:
        if (state, reason) == self._told:
            return
        self._told = (state, reason)
        self._opening = None
        if not self.readers:
            return
        for group in self._groups.values():
            group.flush()
        told = self.status_told()
        for reader in self.readers:
            reader.deliver(told)

    def status_told(self) -> Told:
        """An ``l3_status`` of now."""
        state, reason = self._told
        # The same for all, also for who is elsewhere; the log and `ordertape status` have it whole.
        reason = reason.replace(str(self.replica.data), "the data folder")
        return status_told(replace(self.info, state=state, reason=reason))


def status_told(info: StreamInfo) -> Told:
    """An ``l3_status`` that tells this."""
    status = L3StreamStatus.from_info(info).model_dump_json()
    where = Circumstance(info.exchange, info.symbol, info.state, info.era, info.simulated)
    members = f'"timestamp":"{iso_from_ns(time.time_ns())}","data":{status}'
    return Told.of(where.frame("l3_status", members, info.age_ms), "l3_status")


def _written(
    replica: ReplicaBook, since: tuple[int, int] | None, depth: int, live: bool
) -> Beginning:
    """In a thread: the beginning of a reader, its book already written.

    ``live``: the collector has a book, so that the replica is about to have it.
    """
    if live:
        replica.wait_live(limits.replica_catch_up_ms / 1000)
    beginning = replica.begin(since, live)
    _write(beginning, depth)
    return beginning


def _write(beginning: Beginning, depth: int) -> None:
    """In a thread: its book."""
    for picture in _pictures(beginning):
        picture.write(depth)


def _pictures(beginning: Beginning) -> list[BookPicture]:
    return [item for item in beginning.items if isinstance(item, BookPicture)]


def _pictured(replica: ReplicaBook, depths: set[int]) -> BookPicture | None:
    """In a thread: the book, written for these depths."""
    picture = replica.picture()
    if picture is not None:
        for depth in depths:
            picture.write(depth)
    return picture


def _into(loop: asyncio.AbstractEventLoop, take: Callable[[Posted], None], posted: Posted) -> None:
    """From a replica's thread into the loop, unless that is closed already."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(take, posted)
