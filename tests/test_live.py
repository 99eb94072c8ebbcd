"""``ot.live``: a server's events as batches, over real sockets, through lost connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from itertools import pairwise
from urllib.parse import urlsplit

import pytest

import ordertape as ot
from ordertape.errors import ServerGone, SettingRefused, UnknownMarket
from ordertape.events import EventKind, Flag
from ordertape.tape.folder import MarketFolder
from support.served import LIVE, Served
from support.tape import rows_of

MARKET = {"exchange": "bitfinex", "symbol": LIVE}


@pytest.fixture(scope="module")
def server(served: Served) -> Served:
    served.begin()
    return served


class Line:
    """What lies between a reader and its server, and can be cut."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        assert parts.hostname is not None
        self.target = parts.hostname, parts.port
        self.connections = 0
        self._writers: list[asyncio.StreamWriter] = []

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        there, back = await asyncio.open_connection(*self.target)
        self._writers += [writer, back]
        await asyncio.gather(pump(reader, back), pump(there, writer))

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        listener = await asyncio.start_server(self.carry, "127.0.0.1", 0)
        async with listener:
            yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
            listener.close()
            self.cut()


async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(65_536):
            sink.write(data)
            await sink.drain()
    except OSError:
        pass
    finally:
        sink.close()


async def first_events(
    batches: AsyncIterator[ot.EventBatch], count: int, found: list[ot.EventBatch]
) -> None:
    """On until so many more events are there and the last message is complete."""
    wanted = sum(map(len, found)) + count
    async for batch in batches:
        found.append(batch)
        if sum(map(len, found)) >= wanted and batch[len(batch) - 1]["flags"] & Flag.LAST:
            return


def book_of(batches: list[ot.EventBatch]) -> ot.OrderBook:
    book = ot.OrderBook()
    assert sum(book.apply(batch).faults for batch in batches) == 0
    return book


async def test_a_book_of_its_batches_is_the_servers_book(server: Served) -> None:
    found: list[ot.EventBatch] = []
    async with aclosing(ot.live(server.address, **MARKET)) as batches:
        await first_events(batches, 1_000, found)
    assert found[0][0]["kind"] == EventKind.CLEAR
    assert all(row["flags"] & Flag.SNAPSHOT for row in rows_of(found[:1])[1:])
    book = book_of(found)
    assert book.digest() == server.book_at(book.seq).digest()


async def test_its_rows_are_those_of_the_tape(server: Served) -> None:
    found: list[ot.EventBatch] = []
    async with aclosing(ot.live(server.address, **MARKET)) as batches:
        await first_events(batches, 1_500, found)
    rows = rows_of(found[1:])
    first, last = rows[0]["seq"], rows[-1]["seq"]
    tape = [
        row
        for batch in ot.read_tape(server.data, **MARKET)
        for row in rows_of([batch[batch.search_seq(first) : batch.search_seq(last + 1)]])
    ]
    assert rows == tape
    (scales,) = {(batch.price_scale, batch.size_scale) for batch in found}
    (newest,) = {
        (b.price_scale, b.size_scale) for b in list(ot.read_tape(server.data, **MARKET))[-1:]
    }
    assert scales == newest


async def test_a_lost_connection_goes_on_without_a_duplicate_or_a_hole(server: Served) -> None:
    line, found = Line(server.address), list[ot.EventBatch]()
    async with (
        line.listening() as address,
        aclosing(ot.live(address, **MARKET)) as batches,
    ):
        for _ in range(4):
            await first_events(batches, 200, found)
            line.cut()
        await first_events(batches, 200, found)
    assert line.connections == 5
    rows = [row for row in rows_of(found) if not row["flags"] & Flag.SNAPSHOT]
    assert all(a["seq"] + 1 == b["seq"] for a, b in pairwise(rows))
    assert [row["kind"] for row in rows].count(EventKind.CLEAR) == 1
    book = book_of(found)
    assert book.digest() == server.book_at(book.seq).digest()


async def test_a_new_era_is_a_clear_with_its_book(server: Served) -> None:
    found: list[ot.EventBatch] = []
    async with aclosing(ot.live(server.address, **MARKET)) as batches:
        await first_events(batches, 200, found)
        server.kill_collector()
        while [row["kind"] for row in rows_of(found)].count(EventKind.CLEAR) < 2:
            await first_events(batches, 1, found)
        await first_events(batches, 200, found)
    rows = [row for row in rows_of(found) if not row["flags"] & Flag.SNAPSHOT]
    assert all(a["seq"] + 1 == b["seq"] for a, b in pairwise(rows))
    book = book_of(found)
    assert book.digest() == server.book_at(book.seq).digest()


async def test_a_market_that_is_none_is_refused_in_the_servers_words(server: Served) -> None:
    with pytest.raises(UnknownMarket, match="nowhere"):
        await anext(ot.live(server.address, exchange="nowhere", symbol="BTC/USD"))
    with pytest.raises(SettingRefused, match="batch_ms"):
        await anext(ot.live(server.address, **MARKET, batch_ms=10**9))
    with pytest.raises(SettingRefused, match="expected a server like"):
        await anext(ot.live("127.0.0.1:8000", **MARKET))


async def test_nobody_there_is_one_clear_error(unused_tcp_port: int) -> None:
    with pytest.raises(ServerGone, match="does not answer"):
        await anext(ot.live(f"http://127.0.0.1:{unused_tcp_port}", **MARKET))


async def test_a_server_that_stays_away_is_one_clear_error(server: Served) -> None:
    line = Line(server.address)
    async with line.listening() as address:
        batches = ot.live(address, **MARKET, patience_ms=300)
        await anext(batches)
    with pytest.raises(ServerGone, match="does not answer"):
        async for _ in batches:
            pass
    assert MarketFolder(server.data, "bitfinex", LIVE).exists
