"""A client that does not read is warned, closed with the place to go on from, and can resume."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import uvicorn
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from ordertape._engine import EventBatch
from ordertape.api.app import create_app
from ordertape.database.address import Address
from ordertape.models import StreamInfo
from ordertape.settings import Settings, load_settings
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter
from ordertape.tape.marks import Mark
from support.processes import wait_for
from support.server import API
from support.tape import Market

SYMBOL = "A/B"


@dataclass
class OneStream:
    """A market whose journal the test itself writes."""

    data: Path

    def _info(self) -> StreamInfo:
        now = time.time_ns()
        return StreamInfo(
            exchange="bitfinex", symbol=SYMBOL, state="LIVE", era=1, last_frame_at=now
        )

    async def start_all(
        self, exchanges: Iterable[str], symbol: str, persist: bool, interval: int | None
    ) -> list[StreamInfo]:
        return [self._info()]

    async def stop(self, exchange: str, symbol: str) -> StreamInfo:
        return self._info()

    def status(self, exchange: str, symbol: str) -> StreamInfo | None:
        return self._info()

    def all(self) -> list[StreamInfo]:
        return [self._info()]

    def resolve(self, exchange: str, symbol: str) -> tuple[str, str]:
        return exchange, symbol

    async def changed(self) -> None:
        raise TimeoutError


@dataclass
class OneServer:
    streams: OneStream
    data: Path
    database: Address | None = None


@contextmanager
def listening(data: Path) -> Iterator[tuple[str, uvicorn.Server]]:
    @asynccontextmanager
    async def running(_settings: Settings) -> AsyncIterator[OneServer]:
        yield OneServer(OneStream(data), data)

    app = create_app(load_settings(data=data), running)
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, log_config=None, ws="websockets-sansio", lifespan="on")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        wait_for(lambda: server.started or not thread.is_alive(), "the server")
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"ws://127.0.0.1:{port}{API}/ws/{SYMBOL}?exchange=bitfinex", server
    finally:
        server.should_exit = True
        thread.join(15)
        assert not thread.is_alive()


def begin(journal: JournalWriter, market: Market) -> EventBatch:
    """A book that is LIVE."""
    clear = market.message(clear=True)
    journal.append(clear)
    fields = {"from": "SYNCING", "to": "LIVE", "reason": "a test"}
    journal.mark(Mark("state", clear.last_seq, market.now, fields))
    journal.mark(Mark("era", clear.first_seq, market.now, {"era": 1}))
    return clear


@contextmanager
def deaf_client(address: str) -> Iterator[socket.socket]:
    """A connection that was accepted and is never read from again."""
    parts = urlsplit(address)
    assert parts.hostname is not None
    assert parts.port is not None
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)  # else the kernel takes all
        client.connect((parts.hostname, parts.port))
        head = (
            f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        client.sendall(head.encode())
        assert client.recv(12) == b"HTTP/1.1 101"
        yield client


def test_a_client_that_does_not_read_is_closed_and_resumes_without_a_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ordertape.limits.client_mailbox_bytes_max", 200_000)
    market = Market()
    with JournalWriter(MarketFolder(tmp_path, "bitfinex", SYMBOL)) as journal:
        clear = begin(journal, market)
        with listening(tmp_path) as (address, _):
            # One frame is read ahead; what else comes stays in the sockets and then the mailbox.
            with connect(address, max_queue=1, compression=None, close_timeout=1) as client:
                assert json.loads(client.recv(timeout=10))["type"] == "l3_snapshot"
                seqs = [clear.last_seq]
                for message in market.messages(25_000, step_ns=0):
                    journal.append(message)
                # Its mailbox ran over while it slept; it wakes up.
                ending = None
                while ending is None:
                    try:
                        frame = json.loads(client.recv(timeout=20))
                    except ConnectionClosed as closed:
                        ending = closed
                        continue
                    if frame["type"] == "l3_order":
                        seqs.append(frame["data"]["sequence"])
            assert seqs == list(range(seqs[0], seqs[-1] + 1))
            assert seqs[-1] < market.book.seq
            assert ending.rcvd is not None
            assert ending.rcvd.code == 1013
            assert f"since=1:{seqs[-1]}" in ending.rcvd.reason
            with connect(f"{address}&since=1:{seqs[-1]}", max_queue=None) as client:
                while seqs[-1] < market.book.seq:
                    frame = json.loads(client.recv(timeout=10))
                    if frame["type"] == "l3_order":
                        assert frame["data"]["sequence"] == seqs[-1] + 1
                        seqs.append(frame["data"]["sequence"])


def test_a_client_that_never_reads_is_cut_off_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ordertape.limits.client_mailbox_bytes_max", 200_000)
    monkeypatch.setattr("ordertape.limits.client_close_ms", 200)
    monkeypatch.setattr("ordertape.limits.client_flush_ms", 200)
    market = Market()
    with JournalWriter(MarketFolder(tmp_path, "bitfinex", SYMBOL)) as journal:
        begin(journal, market)
        with listening(tmp_path) as (address, server), deaf_client(address):
            connections = server.server_state.connections
            wait_for(lambda: len(connections) == 1, "its connection")
            for message in market.messages(25_000, step_ns=0):
                journal.append(message)
            wait_for(lambda: not connections, "the end of its connection", 6)
