"""The control socket: bounded, private, and connected again whenever it breaks."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import msgspec
import pytest

from ordertape import limits
from ordertape.errors import BadFile, ChildFailed, MarketBusy, OrdertapeError, UnknownMarket
from ordertape.roles.control import ControlClient, ControlServer
from ordertape.roles.control_messages import (
    Hello,
    Refusal,
    Reports,
    Request,
    Start,
    Status,
    Watermark,
)
from ordertape.roles.control_sockets import connect_unix
from ordertape.roles.status import StreamReport

HELLO = Hello(exchange="bitfinex", pid=1)


def report(symbol: str, state: str = "LIVE") -> StreamReport:
    return StreamReport(exchange="bitfinex", symbol=symbol, pid=1, simulated=True, state=state)


class Markets:
    """Starts what it is asked to, and refuses what is named so."""

    def __init__(self) -> None:
        self.streams: dict[str, StreamReport] = {}
        self.asked: list[Request] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def handle(self, request: Request) -> list[StreamReport]:
        self.asked.append(request)
        await self.may_answer.wait()
        if isinstance(request, Start):
            if request.symbol == "BUSY":
                raise MarketBusy("bitfinex BUSY is being written by process 7")
            if request.symbol == "FULL":
                raise OSError(28, "No space left on device")
            self.streams[request.symbol] = report(request.symbol)
            return [self.streams[request.symbol]]
        return self.reports()

    def reports(self) -> list[StreamReport]:
        return list(self.streams.values())


@asynccontextmanager
async def serving(path: Path, markets: Markets) -> AsyncIterator[ControlServer]:
    server = ControlServer(path, HELLO, markets)
    await server.start()
    try:
        yield server
    finally:
        await server.close()


async def test_requests_are_answered_and_refusals_keep_their_kind(tmp_path: Path) -> None:
    path, markets = tmp_path / "control.sock", Markets()
    async with serving(path, markets), ControlClient(path) as client:
        await client.wait_told()
        assert client.hello == HELLO
        (started,) = await client.ask(Start(symbol="BTC/USDT"))
        assert started == report("BTC/USDT")
        assert client.reports["BTC/USDT"].state == "LIVE"
        with pytest.raises(MarketBusy, match="written by process 7"):
            await client.ask(Start(symbol="BUSY"))
        with pytest.raises(OrdertapeError, match="No space left"):
            await client.ask(Start(symbol="FULL"))
        answers = await asyncio.gather(*(client.ask(Status()) for _ in range(100)))
        assert answers == [[report("BTC/USDT")]] * 100
    assert not path.exists()


async def test_a_path_longer_than_an_address_works_and_is_the_owner_s_alone(
    tmp_path: Path,
) -> None:
    folder = tmp_path / ("deep and blank " * 8) / ("deeper" * 20)
    path = folder / "control.sock"
    assert len(str(path)) > 200
    async with serving(path, Markets()), ControlClient(path) as client:
        await client.wait_told()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert [entry.name for entry in folder.iterdir()] == ["control.sock"]


async def test_a_socket_that_a_killed_collector_left_is_no_hindrance(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    async with serving(path, Markets()):
        path.rename(tmp_path / "kept")
    (tmp_path / "kept").rename(path)
    with pytest.raises(ConnectionRefusedError):
        await connect_unix(path)
    async with serving(path, Markets()), ControlClient(path) as client:
        await client.wait_told()


async def test_a_request_whose_collector_ends_is_asked_of_the_next_one(tmp_path: Path) -> None:
    path, first, second = tmp_path / "control.sock", Markets(), Markets()
    first.may_answer.clear()
    async with ControlClient(path) as client:
        asking = asyncio.create_task(client.ask(Start(symbol="BTC/USDT")))
        async with serving(path, first):
            while not first.asked:
                await asyncio.wait((asking,), timeout=0.001)
        assert client.reports == {}
        async with serving(path, second):
            assert await asking == [report("BTC/USDT")]


async def test_where_nobody_answers_the_reason_is_told(tmp_path: Path) -> None:
    async with ControlClient(tmp_path / "none", explain=lambda: "it has no disk") as client:
        with pytest.raises(ChildFailed, match=r"within 0\.05 s: it has no disk"):
            await client.ask(Status(), timeout_ms=50)
        with pytest.raises(ChildFailed):
            await client.wait_told(timeout_ms=50)


async def test_what_is_pushed_changes_what_the_client_knows(tmp_path: Path) -> None:
    path, changes = tmp_path / "control.sock", asyncio.Queue[None]()
    client = ControlClient(path, lambda: changes.put_nowait(None))
    mark = Watermark(
        symbol="BTC/USDT",
        state="LIVE",
        reason="snapshot received",
        era=2,
        written_seq=70,
        durable_seq=50,
    )
    async with serving(path, Markets()) as server, client:
        await client.wait_told()
        server.push(Reports(streams=[report("BTC/USDT", "CONNECTING")]))
        server.push(mark)
        server.push(msgspec.structs.replace(mark, symbol="unheard of"))
        while client.reports.get("BTC/USDT", report("")).sequence != 70:
            await changes.get()
        known = client.reports["BTC/USDT"]
        assert (known.state, known.era, known.synced_sequence) == ("LIVE", 2, 50)
        server.push(Reports(streams=[]))
        while client.reports:
            await changes.get()


@pytest.mark.parametrize("line", [b"nonsense", b"{}", b'{"type":"start"}', b"\xff\xfe"])
async def test_a_line_that_is_no_request_is_refused_in_a_sentence(
    tmp_path: Path, line: bytes
) -> None:
    path = tmp_path / "control.sock"
    async with serving(path, Markets()):
        reader, writer = await asyncio.open_unix_connection(sock=await connect_unix(path))
        with closing(writer):
            await reader.readline()
            await reader.readline()
            writer.write(line + b"\n")
            assert b"expected a request, found" in await reader.readline()


async def test_a_line_without_an_end_closes_the_connection(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    async with serving(path, Markets()):
        reader, writer = await asyncio.open_unix_connection(sock=await connect_unix(path))
        with closing(writer):
            writer.write(b"x" * (limits.control_request_bytes_max * 2))
            assert b"SettingRefused" in await reader.read()


async def test_a_client_that_does_not_read_is_disconnected(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    big = Reports(streams=[report("X" * 2**20)])
    async with serving(path, Markets()) as server:
        reader, writer = await asyncio.open_unix_connection(sock=await connect_unix(path))
        with closing(writer):
            await reader.readline()
            for _ in range(limits.control_buffer_bytes_max // 2**20 + 2):
                server.push(big)
            while await reader.read(2**20):
                pass


async def test_more_clients_than_allowed_are_turned_away(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    async with serving(path, Markets()):
        clients = [
            await asyncio.open_unix_connection(sock=await connect_unix(path))
            for _ in range(limits.control_clients_max + 1)
        ]
        firsts = [await reader.readline() for reader, _ in clients]
        assert [bool(line) for line in firsts] == [True] * limits.control_clients_max + [False]
        for _, writer in clients:
            writer.close()


def test_an_error_with_fields_comes_back_as_its_sentence() -> None:
    error = Refusal.of(1, BadFile("x.csv", "line 3", "expected 6 fields")).error()
    assert type(error) is OrdertapeError
    assert str(error) == "x.csv, line 3: expected 6 fields"
    assert type(Refusal.of(1, UnknownMarket("no")).error()) is UnknownMarket
    assert type(Refusal(id=1, kind="os", text="no").error()) is OrdertapeError
