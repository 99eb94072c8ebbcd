"""WebSockets: how many, how large, how often they speak, and that one ends with its key."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection

import ordertape as ot
from ordertape import limits
from ordertape.api.answers import exact, hidden_folder, written
from ordertape.api.security.keys import create_key, revoke_key
from ordertape.errors import AccessRefused
from support.guarded import ELSEWHERE, Guarded, guarded
from support.interface import RunningStreams
from support.processes import wait_for
from support.server import API


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sockets")


@pytest.fixture(scope="module")
def running(data: Path) -> Iterator[Guarded]:
    """One server for all of them: each has keys and sockets of its own."""
    with guarded(data, RunningStreams([])) as found:
        yield found
        found.client.close()


@pytest.fixture
def server(running: Guarded) -> Guarded:
    """The server once nobody is connected any more."""
    running.client.close()
    running.client = httpx.Client(timeout=120)
    wait_for(lambda: not running.server.server_state.connections, "the others' end")
    return running


def end_of(client: ClientConnection, timeout: float = 60) -> tuple[int, str]:
    """(code, reason) of the close that a client hears."""
    deadline = time.monotonic() + timeout
    with pytest.raises(ConnectionClosed) as closed:
        hear_until(client, deadline)
    assert closed.value.rcvd is not None, closed.value
    return closed.value.rcvd.code, closed.value.rcvd.reason


def hear_until(client: ClientConnection, deadline: float) -> None:
    while True:
        client.recv(timeout=max(0.01, deadline - time.monotonic()))


@pytest.mark.parametrize("how", ["revoked", "expired"])
def test_a_socket_ends_within_a_second_of_its_key(server: Guarded, data: Path, how: str) -> None:
    assert server.get("/healthz").status_code == 200  # it is awake: the time below is the key's
    expires = time.time_ns() + 2_000_000_000 if how == "expired" else None
    key = create_key(data, how, "read", expires)
    other = create_key(data, f"not-{how}", "read", None)
    with (
        server.socket(additional_headers={"X-API-Key": key, **ELSEWHERE}) as ending,
        server.socket(additional_headers={"X-API-Key": other, **ELSEWHERE}) as staying,
        server.socket() as local,
    ):
        if how == "revoked":
            revoke_key(data, how)
            over = time.monotonic()
        else:
            over = time.monotonic() + ((expires or 0) - time.time_ns()) / 1e9
        code, reason = end_of(ending)
        took = time.monotonic() - over
        assert (code, reason) == (
            1008,
            "the API key of this connection was revoked, or has expired",
        )
        assert took <= 1, took
        for other_socket in (staying, local):
            other_socket.ping().wait(10)
        with pytest.raises(InvalidStatus, match="401"):
            server.socket(additional_headers={"X-API-Key": key, **ELSEWHERE})


def test_many_sockets_of_one_key_end_within_a_second(server: Guarded, data: Path) -> None:
    key = create_key(data, "many", "read", None)
    with ExitStack() as stack:
        sockets = [
            stack.enter_context(server.socket(additional_headers={"X-API-Key": key}))
            for _ in range(20)
        ]
        revoke_key(data, "many")
        over = time.monotonic()
        assert {end_of(each)[0] for each in sockets} == {1008}
        assert time.monotonic() - over <= 1


def test_one_that_reads_nothing_is_cut_when_its_key_is_revoked(server: Guarded, data: Path) -> None:
    key = create_key(data, "deaf", "read", None)
    with socket.create_connection(("127.0.0.1", server.port)) as deaf:
        deaf.sendall(
            f"GET {API}/ws/BTC/USDT HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nX-API-Key: "
            f"{key}\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        assert deaf.recv(12) == b"HTTP/1.1 101"
        connections = server.server.server_state.connections
        assert len(connections) == 1
        revoke_key(data, "deaf")
        began = time.monotonic()
        wait_for(lambda: not connections, "the cut")
        assert time.monotonic() - began < 3


def test_a_client_that_talks_too_much_is_closed(server: Guarded) -> None:
    with server.socket() as talking, server.socket() as quiet:
        for nth in range(limits.socket_messages_per_minute_max):
            talking.send(str(nth))
        quiet.ping().wait(10)
        with contextlib.suppress(ConnectionClosed):
            for nth in range(10_000):
                talking.send(str(nth))
        code, reason = end_of(talking)
        assert (code, reason) == (1008, "expected at most 100 messages a minute")
        quiet.ping().wait(10)


def send_on(client: socket.socket, frames: bytes) -> None:
    for _ in range(20_000):
        client.sendall(frames)


def test_a_page_says_of_eight_markets_four_times_a_second_what_it_applied(server: Guarded) -> None:
    asked = '{"op":"ack","stream":1,"seq":1}'
    with server.socket("/api/v1/orderbook-heatmap/page/ws") as page:
        for _ in range(4 * 60):
            for _ in range(8):
                page.send(asked)
            for _ in range(8):
                assert "expected an open stream" in str(page.recv(timeout=60))
        with contextlib.suppress(ConnectionClosed):
            for _ in range(10_000):
                page.send(asked)
        code, reason = end_of(page)
        assert (code, reason) == (1008, "expected at most 2400 messages a minute")


def test_where_data_lie_is_said_to_nobody_elsewhere(server: Guarded, data: Path) -> None:
    key = create_key(data, "page", "read", None)
    wish = '{"op":"open","stream":1,"exchange":"bitfinex","symbol":"NO/TAPE","source":"replay"}'
    path = "/api/v1/orderbook-heatmap/page/ws"
    told = []
    for headers in ({}, {"X-API-Key": key, **ELSEWHERE}):
        with server.socket(path, additional_headers=headers) as page:
            page.send(wish)
            told.append(str(page.recv(timeout=60)))
    assert str(data) in told[0]
    assert str(data) not in told[1]
    assert "in the data folder" in told[1]


@pytest.mark.parametrize("folder", ["/srv/tapes", "/srv/B\u00fccher"])
def test_no_answer_to_anybody_elsewhere_names_the_folder(folder: str) -> None:
    """Of a stream's reason, too, which may be an error of its disk."""
    reason = f"{folder}/bitfinex/A/journal can't be written"
    shown = hidden_folder.set(folder)
    try:
        answers = [exact({"reason": reason}), written(f'{{"reason":"{reason}"}}')]
    finally:
        hidden_folder.reset(shown)
    for answer in answers:
        told = json.loads(bytes(answer.body))["reason"]
        assert told == "the data folder/bitfinex/A/journal can't be written"
    assert json.loads(bytes(exact({"reason": reason}).body))["reason"] == reason


PING = bytes((0x89, 0xFD)) + bytes(4) + bytes(125)
BEGINNING, PART = bytes((0x01, 0x80)) + bytes(4), bytes((0x00, 0x80)) + bytes(4)
"""Frames of a client (RFC 6455 5.2), masked with zeroes: text that goes on, and a part of it."""


@pytest.mark.parametrize(
    ("first", "frame"), [(b"", PING), (BEGINNING, PART)], ids=["pings", "parts"]
)
def test_a_client_that_never_ends_and_never_reads_is_cut(
    server: Guarded, first: bytes, frame: bytes
) -> None:
    """Neither reaches the application: the answers, or the parts, would gather for ever."""
    with (
        server.socket() as other,
        socket.create_connection(("127.0.0.1", server.port)) as flood,
    ):
        flood.sendall(
            f"GET {API}/ws/BTC/USDT HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        assert flood.recv(12) == b"HTTP/1.1 101"
        connections = server.server.server_state.connections
        assert len(connections) == 2
        flood.sendall(first)
        flood.settimeout(10)
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            send_on(flood, frame * 100)
        wait_for(lambda: len(connections) == 1, "the cut")
        other.ping().wait(10)


def test_pings_as_usual_are_answered(server: Guarded) -> None:
    with server.socket() as client:
        for _ in range(limits.socket_frames_per_minute_max // 2):
            assert client.ping().wait(10)


@pytest.mark.parametrize("size", [64 * 2**10 + 1, 2**20])
def test_a_message_that_is_too_large_closes_its_connection(server: Guarded, size: int) -> None:
    with server.socket() as client:
        client.send("x" * (64 * 2**10))  # the largest there may be
        client.send("x" * size)
        assert end_of(client)[0] == 1009


def test_no_client_gets_its_messages_deflated(server: Guarded) -> None:
    """A deflater costs memory for each client, and a bomb of zeros inflates a thousandfold."""
    with server.socket(compression="deflate") as client:
        assert "Sec-WebSocket-Extensions" not in client.response.headers


def test_an_address_may_have_so_many_sockets_and_others_go_on(
    server: Guarded, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "sockets_per_address_max", 3)
    key = create_key(data, "capped", "read", None)

    def of(address: str) -> dict[str, str]:
        return {"X-API-Key": key, "X-Forwarded-For": address}

    with ExitStack() as stack:
        own = [server.socket(additional_headers=of("203.0.113.1")) for _ in range(3)]
        for each in own:
            stack.enter_context(each)
        with pytest.raises(InvalidStatus, match="429") as refused:
            server.socket(additional_headers=of("203.0.113.1"))
        assert refused.value.response.headers["Retry-After"] == "5"
        with server.socket(additional_headers=of("203.0.113.2")):
            pass
        for _ in range(5):  # this machine's: a proxy's many clients
            stack.enter_context(server.socket(additional_headers={"X-API-Key": key}))
        own[0].close()

        def again() -> bool:
            try:
                stack.enter_context(server.socket(additional_headers=of("203.0.113.1")))
            except InvalidStatus:
                return False
            return True

        wait_for(again, "a place that was left")


def test_there_are_so_many_sockets_in_all(server: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "sockets_max", 3)
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(server.socket())
        with pytest.raises(InvalidStatus, match="503") as refused:
            server.socket()
        assert refused.value.response.headers["Retry-After"] == "5"
        assert server.get(f"{API}/streams").status_code == 200


async def test_a_notebook_shows_its_key_and_hears_why_it_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reading = create_key(tmp_path, "notebook", "read", None)
    with guarded(tmp_path, RunningStreams([]), require_key=True) as found:
        for key, sentence in ((None, "scope read"), (reading[:-1], "is unknown")):
            refused = ot.live(found.address, "bitfinex", "BTC/USDT", key=key)
            with pytest.raises(AccessRefused, match=sentence):
                await anext(refused)
        let_in = ot.live(found.address, "bitfinex", "BTC/USDT", key=reading)
        # The logger of notebooks; ordertape's own hands nothing on once logs are configured.
        logging.getLogger("ordertape.live").addHandler(caplog.handler)
        waiting = asyncio.ensure_future(anext(let_in))
        try:
            while "waiting until it runs" not in caplog.text:
                await asyncio.wait((waiting,), timeout=0.02)
                assert not waiting.done()
        finally:
            logging.getLogger("ordertape.live").removeHandler(caplog.handler)
            waiting.cancel()
            await asyncio.wait((waiting,))
