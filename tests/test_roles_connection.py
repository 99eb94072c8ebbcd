"""One market's socket, against the simulated venue on loopback."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import pytest
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport, ws_create_server

from ordertape import limits
from ordertape.errors import SyncFailed
from ordertape.roles.connection import MarketConnection
from ordertape.roles.pacing import Backoff, Pacer
from ordertape.simulator.bitfinex import SimulatedBitfinex
from ordertape.stream.market import MarketStream
from ordertape.stream.state import StreamState
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter
from ordertape.tape.marks import Mark
from ordertape.venues.registry import venue_of

WEBSOCKET_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@pytest.fixture
async def exchange() -> AsyncIterator[SimulatedBitfinex]:
    async with SimulatedBitfinex(rate=500, symbols=("tBTCUST", "tETHUST")) as running:
        yield running


def stream_of(symbol: str = "BTC/USDT", sink: JournalWriter | None = None) -> MarketStream:
    recovered = sink.recovered if sink is not None else None
    return MarketStream(venue_of("bitfinex"), symbol, sink=sink, recovered=recovered)


def quick() -> Backoff:
    """Waits short enough for a test."""
    return Backoff(1, 10)


async def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - a stream has no event for every condition
            await asyncio.sleep(0.005)


async def test_a_connection_brings_a_stream_to_live_and_stops_it_without_a_loss(
    exchange: SimulatedBitfinex,
) -> None:
    stream, stop = stream_of(), asyncio.Event()
    running = asyncio.create_task(MarketConnection(stream, exchange.url, Pacer()).run(stop))
    await until(lambda: stream.state is StreamState.LIVE and stream.integrity.equal > 3)
    stop.set()
    await running
    assert stream.state is StreamState.STOPPED
    assert stream.integrity.proven
    assert stream.record.gaps == 0
    assert not stream.errors


async def test_a_dropped_connection_is_a_gap_and_a_new_era_on_the_tape(
    exchange: SimulatedBitfinex, tmp_path: Path
) -> None:
    folder, stop = MarketFolder(tmp_path, "bitfinex", "BTC/USDT"), asyncio.Event()
    with JournalWriter(folder) as journal:
        stream = stream_of(sink=journal)
        connection = MarketConnection(stream, exchange.url, Pacer(), backoff=quick())
        running = asyncio.create_task(connection.run(stop))
        await until(lambda: stream.state is StreamState.LIVE and stream.events > 20)
        exchange.drop_connections(WSCloseCode.GOING_AWAY)
        await until(lambda: stream.book.era == 2 and stream.state is StreamState.LIVE)
        stop.set()
        await running
    assert stream.record.gaps == 1
    assert "closed by the venue: 1001" in stream.errors[0]


async def test_frames_are_kept_as_they_came(exchange: SimulatedBitfinex) -> None:
    stream, stop = stream_of(), asyncio.Event()
    kept: list[tuple[int, str, str, bytes]] = []
    began = time.time_ns()
    connection = MarketConnection(
        stream, exchange.url, Pacer(), keep_frame=lambda *frame: kept.append(frame)
    )
    running = asyncio.create_task(connection.run(stop))
    await until(lambda: stream.state is StreamState.LIVE)
    stop.set()
    await running
    assert kept[0][3].startswith(b'{"event":"info"')
    assert {(via, address) for _, via, address, _ in kept} == {("ws", exchange.url)}
    assert all(began <= ts <= time.time_ns() for ts, *_ in kept)
    assert len(kept) >= stream.frames


async def test_a_venue_that_is_away_is_tried_again_until_it_is_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    stream, stop = stream_of(), asyncio.Event()
    backoff = quick()
    connection = MarketConnection(
        stream, f"ws://127.0.0.1:{port}/ws/2", Pacer(1000), backoff=backoff
    )
    running = asyncio.create_task(connection.run(stop))
    await until(lambda: backoff.failures > 2)
    assert stream.state is StreamState.CONNECTING
    assert stream.reason.startswith("can't connect: ")
    assert stream.reason in stream.errors[-1]
    async with SimulatedBitfinex(port=port):
        await until(lambda: stream.state is StreamState.LIVE)
        assert stream.reason == "snapshot received"
        stop.set()
        await running


async def test_stopping_does_not_wait_for_a_venue_that_does_not_answer() -> None:
    """The port accepts and says nothing: the handshake never ends."""
    accepted = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set()
        await reader.read(-1)
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    stream, stop = stream_of(), asyncio.Event()
    running = asyncio.create_task(
        MarketConnection(stream, f"ws://127.0.0.1:{port}/", Pacer()).run(stop)
    )
    await accepted.wait()
    stop.set()
    async with asyncio.timeout(2):
        await running
    assert stream.state is StreamState.STOPPED
    server.close()


async def test_a_message_in_several_frames_is_one_text(exchange: SimulatedBitfinex) -> None:
    class Splitter(WSListener):
        def on_ws_connected(self, transport: WSTransport) -> None:
            transport.send(WSMsgType.TEXT, b'{"event":', fin=False)
            transport.send(WSMsgType.CONTINUATION, b'"in', fin=False)
            transport.send(WSMsgType.CONTINUATION, b'fo","version":2}')

        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            if frame.msg_type is WSMsgType.CLOSE:
                transport.disconnect()

    server = await ws_create_server(lambda _: Splitter(), "127.0.0.1", 0)
    address = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    kept: list[bytes] = []
    stop = asyncio.Event()
    connection = MarketConnection(
        stream_of(),
        address,
        Pacer(),
        keep_frame=lambda _ts, _via, _address, text: kept.append(text),
    )
    running = asyncio.create_task(connection.run(stop))
    await until(lambda: bool(kept))
    stop.set()
    await running
    assert kept == [b'{"event":"info","version":2}']
    server.close()
    await server.wait_closed()


async def test_a_message_over_the_limit_ends_the_connection(
    monkeypatch: pytest.MonkeyPatch, exchange: SimulatedBitfinex
) -> None:
    monkeypatch.setattr(limits, "frame_bytes_max", 2_000)
    stream, stop = stream_of(), asyncio.Event()
    backoff = quick()
    connection = MarketConnection(stream, exchange.url, Pacer(1000), backoff=backoff)
    running = asyncio.create_task(connection.run(stop))
    await until(lambda: backoff.failures > 1)
    stop.set()
    await running
    assert stream.book.era == 0
    assert "2000" in stream.errors[-1]


class Asking(WSListener):
    """Sends a ping and tells when it was answered."""

    def __init__(self, answered: asyncio.Event) -> None:
        super().__init__()
        self.answered = answered

    def on_ws_connected(self, transport: WSTransport) -> None:
        transport.send_ping(b"are you there?")

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is WSMsgType.PONG:
            assert frame.get_payload_as_bytes() == b"are you there?"
            self.answered.set()
        elif frame.msg_type is WSMsgType.CLOSE:
            transport.disconnect()


async def test_a_ping_is_answered() -> None:
    answered = asyncio.Event()
    server = await ws_create_server(
        lambda _: Asking(answered), "127.0.0.1", 0, enable_auto_pong=False
    )
    address = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    stop = asyncio.Event()
    running = asyncio.create_task(MarketConnection(stream_of(), address, Pacer()).run(stop))
    async with asyncio.timeout(60):
        await answered.wait()
    stop.set()
    await running
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("opcode", [0x89, 0x00], ids=["pings", "empty parts"])
async def test_a_venue_that_floods_and_never_reads_is_left(
    monkeypatch: pytest.MonkeyPatch, opcode: int
) -> None:
    monkeypatch.setattr(limits, "unsent_bytes_max", 100_000)

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        key = head.lower().split(b"sec-websocket-key:")[1].split()[0]
        key = head[head.lower().index(key) :][: len(key)]
        proof = base64.b64encode(hashlib.sha1(key + WEBSOCKET_GUID).digest())
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + proof + b"\r\n\r\n"
        )
        frame = bytes([opcode, 125]) + bytes(125) if opcode & 0x80 else bytes([opcode, 0])
        with suppress(ConnectionError):
            if not opcode & 0x80:
                writer.write(b"\x01\x00")
            while not writer.is_closing():
                writer.write(frame * 1_000)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(flood, "127.0.0.1", 0)
    address = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    stream, stop, backoff = stream_of(), asyncio.Event(), quick()
    running = asyncio.create_task(
        MarketConnection(stream, address, Pacer(1000), backoff=backoff).run(stop)
    )
    await until(lambda: backoff.failures > 1, 20)
    stop.set()
    await running
    wanted = "does not read" if opcode & 0x80 else "frames"
    assert wanted in stream.errors[0]
    server.close()


class Mute(WSListener):
    """Opens a WebSocket and never says a word."""

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is WSMsgType.CLOSE:
            transport.disconnect()


async def test_a_venue_that_sends_no_snapshot_in_time_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "subscribe_timeout_ms", 50)
    server = await ws_create_server(lambda _: Mute(), "127.0.0.1", 0)
    address = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    stream, stop = stream_of(), asyncio.Event()
    connection = MarketConnection(stream, address, Pacer(1000), backoff=quick())
    running = asyncio.create_task(connection.run(stop))
    await until(lambda: stream.connects > 2)
    stop.set()
    await running
    assert "no snapshot within 50 ms" in stream.errors[0]
    server.close()
    await server.wait_closed()


async def test_a_venue_that_falls_silent_is_stale_and_then_left(
    monkeypatch: pytest.MonkeyPatch, exchange: SimulatedBitfinex
) -> None:
    stream, stop = stream_of(), asyncio.Event()
    connection = MarketConnection(stream, exchange.url, Pacer(1000), backoff=quick())
    running = asyncio.create_task(connection.run(stop))
    await until(lambda: stream.state is StreamState.LIVE)
    monkeypatch.setattr(limits, "silence_stale_ms", -1)  # every silence is too long now
    await until(lambda: stream.state is not StreamState.LIVE)
    monkeypatch.undo()
    await until(lambda: stream.state is StreamState.LIVE and stream.book.era > 1)
    stop.set()
    await running
    assert any("no frame" in error for error in stream.errors)
    assert stream.record.gaps >= 1


class FailingSink:
    """A tape whose disk fails at the third batch."""

    def __init__(self) -> None:
        self.batches = 0

    def append(self, _batch: object) -> None:
        self.batches += 1
        if self.batches == 3:
            raise SyncFailed("fdatasync failed")

    def snapshot(self, _book: object) -> None: ...

    def mark(self, _mark: Mark) -> None: ...


async def test_what_the_tape_raises_ends_the_connection_and_is_told(
    exchange: SimulatedBitfinex,
) -> None:
    stream = MarketStream(venue_of("bitfinex"), "BTC/USDT", sink=FailingSink())
    with pytest.raises(SyncFailed):
        await asyncio.wait_for(
            MarketConnection(stream, exchange.url, Pacer()).run(asyncio.Event()), 10
        )


async def test_a_market_the_venue_refuses_is_failed_and_not_tried_again(
    exchange: SimulatedBitfinex,
) -> None:
    stream = stream_of("NO/PAIR")
    await asyncio.wait_for(MarketConnection(stream, exchange.url, Pacer()).run(asyncio.Event()), 10)
    assert stream.state is StreamState.FAILED
    assert stream.connects == 1
