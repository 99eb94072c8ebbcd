"""The recorded session, and a proven one, played over a real socket into the same stream."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect
from websockets.asyncio.server import ServerConnection, serve

from ordertape._engine import EventBatch, OrderBook
from ordertape.events import EventKind, Flag
from ordertape.stream import MarketStream
from ordertape.tape.marks import Mark
from ordertape.venues import venue_of
from support.bitfinex import (
    START_MS,
    NaiveBook,
    NaiveVenue,
    r0_capture_text,
    same_book,
    session_text_frames,
    statements,
)

T = START_MS * 1_000_000
SECONDS_MAX = 20


class Compared:
    """A sink that compares the stream's book with a naive one as each batch comes."""

    def __init__(self, naive: NaiveBook) -> None:
        self.naive = naive
        self.batches: list[EventBatch] = []
        self.stream: MarketStream | None = None

    def append(self, batch: EventBatch, /) -> None:
        assert self.stream is not None
        if batch[0]["kind"] != EventKind.CLEAR:
            same_book(self.stream.book, self.naive)
            assert self.stream.book.totals()[:2] == (25, 25)
        self.batches.append(batch)

    def snapshot(self, book: OrderBook, /) -> None: ...
    def mark(self, mark: Mark, /) -> None: ...


class Client(WSListener):
    """Hands each frame to the stream, with a clock of the test's."""

    def __init__(self, stream: MarketStream, naive: NaiveBook | None) -> None:
        super().__init__()
        self.stream, self.naive = stream, naive
        self.now = T
        self.failure: BaseException | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        for text in self.stream.on_open(self.now).send:
            transport.send(WSMsgType.TEXT, text)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is not WSMsgType.TEXT:
            transport.disconnect()
            return
        self.now += 1_000_000
        text = frame.get_payload_as_bytes()
        try:
            step = self.stream.on_frame(text, self.now)
            if self.naive is not None:
                for row in statements(text.decode()):
                    self.naive.apply(row)
        except BaseException as error:  # picows would only log it: `played` raises it
            self.failure = error
            transport.disconnect()
            return
        for sent in step.send if step else ():
            transport.send(WSMsgType.TEXT, sent)


async def played(stream: MarketStream, frames: list[str], naive: NaiveBook | None) -> list[str]:
    """Serves the frames to the stream over a socket; what the stream sent."""
    asked: list[str] = []

    async def answer(socket: ServerConnection) -> None:
        asked.append(str(await socket.recv()))
        for frame in frames:
            await socket.send(frame)
        await socket.close()

    async with asyncio.timeout(SECONDS_MAX), serve(answer, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        stream.start(T)
        client = Client(stream, naive)
        transport, _ = await ws_connect(lambda: client, f"ws://127.0.0.1:{port}/ws/2")
        await transport.wait_disconnected()
    if client.failure is not None:
        raise client.failure
    stream.tick(client.now + 10**12, liveness=False)
    stream.on_close("the session ended", client.now)
    return asked


async def test_the_recorded_session_over_a_socket_equals_a_naive_replay(shared: Path) -> None:
    naive = NaiveBook()
    sink = Compared(naive)
    sink.stream = stream = MarketStream(venue_of("bitfinex"), "BTC/USD", sink=sink)
    asked = await played(stream, list(session_text_frames(r0_capture_text(shared))), naive)
    assert json.loads(asked[0])["event"] == "conf"
    events = [batch[i] for batch in sink.batches for i in range(len(batch))]
    assert sum(event["kind"] == EventKind.EVICT for event in events) == 32
    assert sum(event["kind"] == EventKind.DONE for event in events) == 58
    assert sum(bool(event["flags"] & Flag.REENTRY) for event in events) == 28
    assert len(sink.batches) == 30
    assert not stream.integrity.proven


async def test_a_session_with_all_flags_over_a_socket_is_proven() -> None:
    venue = NaiveVenue(length=25, seed=9)
    frames = venue.connection()
    for _ in range(100):
        frames += venue.iteration()
    stream = MarketStream(venue_of("bitfinex"), "BTC/USD")
    await played(stream, frames, None)
    assert stream.integrity.proven
    assert stream.integrity.compared == stream.integrity.equal > 80
    same_book(stream.book, venue.shown)
