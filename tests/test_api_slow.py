"""A client that does not read is warned, closed with the place to go on from, and can resume."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from ordertape._engine import EventBatch
from ordertape.models import StreamInfo
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter
from ordertape.tape.marks import Mark
from support.deaf import deaf_client
from support.interface import RunningStreams, interface
from support.processes import wait_for
from support.tape import Market

SYMBOL = "A/B"


@contextmanager
def listening(data: Path) -> Iterator[tuple[str, uvicorn.Server]]:
    """The address of its WebSocket, in front of a market whose journal the test itself writes."""
    now = time.time_ns()
    info = StreamInfo(exchange="bitfinex", symbol=SYMBOL, state="LIVE", era=1, last_frame_at=now)
    with interface(data, streams=RunningStreams([info])) as api:
        address = api.address.replace("http", "ws", 1)
        yield f"{address}/ws/{SYMBOL}?exchange=bitfinex", api.server


def begin(journal: JournalWriter, market: Market) -> EventBatch:
    """A book that is LIVE."""
    clear = market.message(clear=True)
    journal.append(clear)
    fields = {"from": "SYNCING", "to": "LIVE", "reason": "a test"}
    journal.mark(Mark("state", clear.last_seq, market.now, fields))
    journal.mark(Mark("era", clear.first_seq, market.now, {"era": 1}))
    return clear


def test_a_client_that_does_not_read_is_closed_and_resumes_without_a_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ordertape.limits.client_mailbox_bytes_max", 200_000)
    # However long a busy machine lets it sleep.
    monkeypatch.setattr("ordertape.limits.client_close_ms", 120_000)
    monkeypatch.setattr("ordertape.limits.client_flush_ms", 120_000)
    market = Market()
    with JournalWriter(MarketFolder(tmp_path, "bitfinex", SYMBOL)) as journal:
        clear = begin(journal, market)
        with listening(tmp_path) as (address, _):
            # One frame is read ahead; what else comes stays in the sockets and then the mailbox.
            with connect(address, max_queue=1, compression=None, close_timeout=1) as client:
                assert json.loads(client.recv(timeout=60))["type"] == "l3_snapshot"
                seqs = [clear.last_seq]
                for message in market.messages(25_000, step_ns=0):
                    journal.append(message)
                # Its mailbox ran over while it slept; it wakes up.
                ending = None
                while ending is None:
                    try:
                        frame = json.loads(client.recv(timeout=60))
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
                    frame = json.loads(client.recv(timeout=60))
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
