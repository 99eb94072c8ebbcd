"""Channels are what runs, whoever looks; readers are told when a tape can't be read."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ordertape.broadcast.channel import Subscription
from ordertape.broadcast.frames import Circumstance, Events
from ordertape.broadcast.hub import Hub
from ordertape.broadcast.mailbox import Mailbox
from ordertape.broadcast.market import Channel
from ordertape.models import StreamInfo
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter
from ordertape.tape.marks import Mark
from support.outlets import KeptOutlet, mailbox_of, until
from support.tape import Market

MARKET = ("bitfinex", "A/B")


def stream(**known: Any) -> StreamInfo:
    return StreamInfo(exchange=MARKET[0], symbol=MARKET[1], **{"state": "LIVE", **known})


def record(data: Path, messages: int = 20) -> None:
    market = Market()
    with closing(JournalWriter(MarketFolder(data, *MARKET))) as journal:
        for message in market.messages(messages, clear_every=messages):
            journal.append(message)
        journal.mark(Mark("state", market.next_seq - 1, market.now, {"from": "", "to": "LIVE"}))


async def never() -> None:
    await asyncio.Event().wait()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as executor:
        yield executor


@pytest.fixture
def infos() -> list[StreamInfo]:
    return [stream()]


def hub_of(infos: list[StreamInfo], data: Path, threads: ThreadPoolExecutor) -> Hub:
    return Hub(lambda: list(infos), never, data, threads)


def replicas() -> int:
    return sum(thread.name == "replica book" for thread in threading.enumerate())


class Received:
    """What a client is sent, frame by frame."""

    def __init__(self, outlet: KeptOutlet) -> None:
        self._outlet = outlet
        self._frames: deque[dict[str, Any]] = deque()

    async def until(self, kind: str, state: str) -> dict[str, Any]:
        """The next frame of a kind in a state."""
        async with asyncio.timeout(60):
            while True:
                while not self._frames:
                    await asyncio.sleep(0.001)
                    self._frames += self._outlet.taken()
                frame = self._frames.popleft()
                if (frame["type"], frame["state"]) == (kind, state):
                    return frame


async def test_many_looks_at_once_leave_one_replica_a_stream(
    tmp_path: Path, threads: ThreadPoolExecutor, infos: list[StreamInfo]
) -> None:
    other = tmp_path / "other"
    for data in (tmp_path, other):
        record(data)
    async with hub_of(infos, tmp_path, threads) as hub:
        for nth in range(6):
            infos[:] = [stream(data=other if nth % 2 else None)] if nth < 5 else []
            await asyncio.gather(*(hub.look() for _ in range(8)))
            assert replicas() == len(hub.channels) == len(infos)
        infos.append(stream())
        gone = asyncio.create_task(hub.look())
        await asyncio.sleep(0)
        gone.cancel()  # a client that left
        await hub.look()
        assert replicas() == 1
    assert replicas() == 0


async def test_a_look_that_fails_is_its_asker_s_and_the_next_one_works(
    tmp_path: Path, threads: ThreadPoolExecutor
) -> None:
    problems: list[OSError] = []

    def infos() -> list[StreamInfo]:
        if problems:
            raise problems.pop()
        return [stream()]

    async with Hub(infos, never, tmp_path, threads) as hub:
        problems.append(OSError("the disk is gone"))
        with pytest.raises(OSError, match="the disk is gone"):
            await hub.look()
        await hub.look()
        assert list(hub.channels) == [MARKET]


async def test_readers_hear_that_a_tape_can_t_be_read_and_get_a_book_when_it_can(
    tmp_path: Path,
    threads: ThreadPoolExecutor,
    infos: list[StreamInfo],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ordertape.limits.replica_retry_ms", 20)
    record(tmp_path)
    broken = MarketFolder(tmp_path, *MARKET).archive / f"events-{1:020d}-{9:020d}.parquet"
    broken.parent.mkdir(exist_ok=True)
    broken.write_text("no Parquet")
    async with hub_of(infos, tmp_path, threads) as hub:
        channel, outlet = hub.channels[MARKET], KeptOutlet()
        received, mailbox = Received(outlet), hub.mailbox(outlet)
        monkeypatch.setattr("ordertape.limits.replica_catch_up_ms", 1)
        await channel.join(Subscription(mailbox), threads)
        told = await received.until("l3_status", "STALE")
        assert "can't read its tape" in told["data"]["reason"]
        await hub.look()
        assert hub.as_read(infos[0]).state == "STALE"
        assert "expected a " in hub.as_read(infos[0]).reason
        broken.unlink()
        await received.until("l3_status", "LIVE")
        await hub.look()
        await received.until("l3_snapshot", "LIVE")
        assert hub.as_read(infos[0]) is infos[0]


class Flooded(Subscription):
    """More than is held for it comes before each of its first beginnings."""

    def __init__(self, mailbox: Mailbox, floods: int) -> None:
        super().__init__(mailbox)
        self._floods = floods
        self._flood()

    def _flood(self) -> None:
        self._floods -= 1
        where = Circumstance(*MARKET, "LIVE", 1, False)
        self.deliver(Events(900, 900, 1, where, ["x" * 600]))
        self.deliver(Events(901, 901, 1, where, ["x" * 600]))

    def forget_early(self) -> None:
        super().forget_early()
        if self._floods > 0:
            self._flood()


@pytest.mark.parametrize("floods", [1, 2, 3])
async def test_who_misses_too_much_before_the_first_book_gets_a_newer_one_or_is_too_slow(
    tmp_path: Path, threads: ThreadPoolExecutor, floods: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ordertape.limits.client_mailbox_bytes_max", 1_000)
    record(tmp_path)
    channel, outlet = Channel(stream(), tmp_path, 1_000), KeptOutlet()
    mailbox = mailbox_of(outlet, 2**20)
    try:
        await channel.join(Flooded(mailbox, floods), threads, since=(1, 1))
        assert mailbox.full == (floods == 3)
        kinds = [frame["type"] for frame in outlet.taken()]
        assert kinds == ([] if mailbox.full else ["l3_snapshot"])
    finally:
        channel.close()
        await asyncio.to_thread(channel.replica.stop)


def reader_of(outlet: KeptOutlet, **wish: Any) -> Subscription:
    return Subscription(mailbox_of(outlet), **wish)


async def test_who_begins_at_once_shares_one_book(
    tmp_path: Path, threads: ThreadPoolExecutor, infos: list[StreamInfo]
) -> None:
    """The same bytes, made once, and what followed once each, in order."""
    market = Market()
    with closing(JournalWriter(MarketFolder(tmp_path, *MARKET))) as journal:
        journal.append(market.message(clear=True))
        journal.mark(Mark("state", market.next_seq - 1, market.now, {"from": "", "to": "LIVE"}))
        async with hub_of(infos, tmp_path, threads) as hub:
            channel, outlets = hub.channels[MARKET], [KeptOutlet() for _ in range(40)]
            readers = [reader_of(outlet) for outlet in outlets]
            await asyncio.gather(*(channel.join(reader, threads) for reader in readers[:20]))
            sent = [outlet.writes[0] for outlet in outlets[:20]]
            assert len({text["sequence"] for o in outlets[:20] for text in o.taken()}) == 1
            assert len(set(map(len, sent))) == 1
            for _ in range(50):
                journal.append(market.message())
            last = market.next_seq - 1
            await until(lambda: readers[0].sent == (1, last))
            await asyncio.gather(*(channel.join(reader, threads) for reader in readers[20:]))
            for reader in readers:
                await until(lambda reader=reader: reader.sent == (1, last))
                channel.leave(reader)
            for outlet in outlets[20:]:
                book, *followed = outlet.taken()
                sequences = [text["data"]["sequence"] for text in followed]
                assert sequences == list(range(book["sequence"] + 1, last + 1))
            assert not channel.replica.wanted


async def test_who_wants_statistics_alone_gets_them_at_once_and_no_event(
    tmp_path: Path, threads: ThreadPoolExecutor, infos: list[StreamInfo]
) -> None:
    record(tmp_path)
    async with hub_of(infos, tmp_path, threads) as hub:
        channel, outlet = hub.channels[MARKET], KeptOutlet()
        await asyncio.to_thread(channel.replica.wait_live, 20)
        reader = Subscription(hub.mailbox(outlet), orders=False, statistics_ms=10)
        await channel.join(reader, threads)
        assert len(outlet.writes) == 1
        assert not channel.replica.wanted  # nothing is encoded for it
        await until(lambda: len(outlet.writes) > 5)
        channel.leave(reader)
        assert {text["type"] for text in outlet.taken()} == {"l3_statistics"}
        figures = hub.client_figures()
        assert (figures.clients, figures.frames_sent) == (1, len(outlet.writes))
        assert figures.bytes_sent == sum(map(len, outlet.writes))
