"""Many WebSocket clients at once, over real sockets: nothing is missed, nobody waits for another,
nothing is left behind."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as connect_async
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from ordertape import limits
from ordertape.broadcast.figures import ClientFigures
from ordertape.models import StreamInfo
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter
from ordertape.tape.marks import Mark
from support.deaf import deaf_client, is_cut
from support.interface import Interface, RunningStreams, interface
from support.processes import wait_for
from support.tape import Market

SYMBOL = "A/B"


@dataclass
class Running:
    """A server in front of a market whose journal the test itself writes."""

    api: Interface
    market: Market
    journal: JournalWriter

    @property
    def address(self) -> str:
        return f"{self.api.address.replace('http', 'ws', 1)}/ws/{SYMBOL}?exchange=bitfinex"

    def figures(self) -> ClientFigures:
        app: Any = self.api.server.config.app
        figures: ClientFigures = app.state.api.hub.client_figures()
        return figures

    def go_on(self, messages: int) -> int:
        """Writes so many messages; the last event's ``sequence``."""
        for _ in range(messages):
            self.journal.append(self.market.message())
        return self.market.next_seq - 1


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    market = Market()
    info = StreamInfo(
        exchange="bitfinex", symbol=SYMBOL, state="LIVE", era=1, last_frame_at=time.time_ns()
    )
    with JournalWriter(MarketFolder(tmp_path, "bitfinex", SYMBOL)) as journal:
        clear = market.message(clear=True)
        journal.append(clear)
        fields = {"from": "SYNCING", "to": "LIVE", "reason": "a test"}
        journal.mark(Mark("state", clear.last_seq, market.now, fields))
        journal.mark(Mark("era", clear.first_seq, market.now, {"era": 1}))
        with interface(tmp_path, streams=RunningStreams([info])) as api:
            yield Running(api, market, journal)


async def read_to(client: ClientConnection, last: int) -> list[int]:
    """The ``sequence`` of the book and of every event up to ``last``."""
    found: list[int] = []
    while not found or found[-1] < last:
        frame = json.loads(await asyncio.wait_for(client.recv(), 60))
        if frame["type"] == "l3_snapshot":
            found = [frame["sequence"]]
        elif frame["type"] == "l3_order":
            found.append(frame["data"]["sequence"])
        elif frame["type"] == "l3_orders":
            found += [event["sequence"] for event in frame["data"]]
    return found


async def test_every_client_gets_every_event_whatever_it_asked_for(running: Running) -> None:
    queries = ["", "&batch_ms=1", "&batch_ms=20", "&depth=5", "&frames=orders"] * 8
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(
                connect_async(f"{running.address}{query}", compression=None, max_queue=None)
            )
            for query in queries
        ]
        last = await asyncio.to_thread(running.go_on, 300)
        for sequences in await asyncio.gather(*(read_to(client, last) for client in clients)):
            assert sequences == list(range(sequences[0], last + 1))
        figures = running.figures()
        assert figures.clients == len(queries)
        assert (figures.waiting_bytes, figures.closed_too_slow) == (0, 0)
    await asyncio.to_thread(wait_for, lambda: running.figures().clients == 0, "their end")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("frames=books", "frames: expected orders, statistics or both, found 'books'"),
        ("frames=", "frames: expected orders, statistics or both, found ''"),
        ("statistics_ms=99", "statistics_ms: expected 100 or more, found 99"),
        ("statistics_ms=60001", "statistics_ms: expected a whole number to 60000"),
        ("frames=statistics&since=1:5", "since: expected frames with orders beside it"),
    ],
)
def test_what_cannot_be_had_is_refused_in_words(running: Running, query: str, said: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        connect(f"{running.address}&{query}").close()
    assert refused.value.response.status_code == 422
    assert said in json.loads(refused.value.response.body or b"")["detail"]


def test_statistics_come_as_often_as_they_are_wanted_and_alone(running: Running) -> None:
    with connect(f"{running.address}&frames=statistics&statistics_ms=100") as client:
        began, found = time.monotonic(), list[dict[str, Any]]()
        while len(found) < 8:
            frame = json.loads(client.recv(timeout=60))
            assert frame["type"] in ("l3_statistics", "l3_status")  # a stream's state is told, too
            found += [frame] if frame["type"] == "l3_statistics" else []
        assert 0.5 < time.monotonic() - began < 5
    assert found[-1]["data"]["total_orders"] == len(running.market.book)


def test_a_stuck_reader_is_cut_and_the_others_miss_nothing(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ordertape.limits.client_mailbox_bytes_max", 300_000)
    monkeypatch.setattr("ordertape.limits.client_close_ms", 200)
    monkeypatch.setattr("ordertape.limits.client_flush_ms", 200)

    async def read_on() -> list[int]:
        """Reads a market that goes on as soon as its last event was read."""
        found: list[int] = []
        async with connect_async(running.address, compression=None, max_queue=None) as client:
            for _ in range(25):
                last = await asyncio.to_thread(running.go_on, 200)
                found += await read_to(client, last)
        return found

    with deaf_client(running.address) as stuck:
        wait_for(lambda: running.figures().clients == 1, "its connection")
        found = asyncio.run(read_on())
        assert found == list(range(found[0], found[-1] + 1))
        wait_for(lambda: is_cut(stuck), "its end", 20)
    figures = running.figures()
    assert figures.closed_too_slow == 1
    assert 150_000 < figures.largest_mailbox_bytes <= 300_000
    assert figures.waiting_bytes == 0


def test_the_kernel_holds_little_for_a_client(running: Running) -> None:
    """Of its own accord it takes 4 MiB."""
    with deaf_client(running.address):
        protocols = running.api.server.server_state.connections
        wait_for(lambda: any(hasattr(p, "writable") for p in protocols), "its connection")
        (protocol,) = [p for p in protocols if hasattr(p, "writable")]
        transport: Any = protocol.transport
        wait_for(lambda: running.figures().clients == 1, "its session")
        asked = transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        assert asked == 2 * limits.client_kernel_bytes_max
        assert transport.get_write_buffer_limits()[1] == limits.client_connection_bytes_max


async def test_a_storm_of_clients_leaves_nothing_behind(running: Running) -> None:
    """Half of them leave with a reset, and half of these before they were answered."""

    async def come_and_go(nth: int) -> None:
        if nth % 2:
            async with connect_async(running.address, compression=None) as client:
                await client.recv()
            return
        reader, writer = await asyncio.open_connection(
            *running.address.removeprefix("ws://").split("/")[0].split(":")
        )
        path = "/" + running.address.removeprefix("ws://").partition("/")[2]
        head = (
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        writer.write(head.encode())
        if nth % 4:
            await reader.read(1_000)
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        writer.transport.abort()

    async def all_gone() -> None:
        # One that left in the middle of a handshake is noticed by its unanswered ping.
        await asyncio.to_thread(
            wait_for, lambda: running.figures().clients == 0, "the end of all sessions", 60
        )

    for first in range(0, 200, 40):
        await asyncio.gather(*(come_and_go(nth) for nth in range(first, first + 40)))
        if not first:
            await all_gone()
            before = open_files()  # whatever is opened once is open
    await all_gone()
    await asyncio.to_thread(
        wait_for, lambda: open_files() <= before, "the end of all connections", 60
    )
    assert running.figures().closed_too_slow == 0


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))
