"""Channels are what runs, whoever looks; readers are told when a tape can't be read."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ordertape.broadcast.channel import Mailbox, Subscription, TooSlow
from ordertape.broadcast.frames import Circumstance, Events
from ordertape.broadcast.hub import Channel, Hub
from ordertape.models import StreamInfo
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter
from ordertape.tape.marks import Mark
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
    """What a mailbox gives, frame by frame."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self._frames: deque[dict[str, Any]] = deque()

    async def until(self, kind: str, state: str) -> dict[str, Any]:
        """The next frame of a kind in a state."""
        async with asyncio.timeout(60):
            while True:
                if not self._frames:
                    taken = await self._mailbox.take()
                    self._frames += [json.loads(frame.text) for frame, _ in taken]
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
        channel, mailbox = hub.channels[MARKET], Mailbox()
        received = Received(mailbox)
        monkeypatch.setattr("ordertape.limits.replica_catch_up_ms", 1)
        await channel.join(Subscription(mailbox), threads)
        told = await received.until("l3_status", "STALE")
        assert "can't read its tape" in told["data"]["reason"]
        await hub.look()
        assert hub.as_read(infos[0]).state == "STALE"
        assert "expected a file of our archive" in hub.as_read(infos[0]).reason
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
    channel, mailbox = Channel(stream(), tmp_path, 1_000), Mailbox(2**20)
    try:
        await channel.join(Flooded(mailbox, floods), threads, since=(1, 1))
        if floods == 3:
            with pytest.raises(TooSlow):
                await mailbox.take()
        else:
            assert [json.loads(frame.text)["type"] for frame, _ in await mailbox.take()] == [
                "l3_snapshot"
            ]
    finally:
        await asyncio.to_thread(channel.replica.stop)
