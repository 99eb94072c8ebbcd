"""What is set of uvicorn below the interface, and how long it waits for whom."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from ordertape import limits
from ordertape.api.security.transport import PatientH11, PatientWebSocket, secure
from support.guarded import Guarded, guarded, own_address
from support.interface import RunningStreams
from support.processes import wait_for
from support.server import API


def test_every_bound_of_uvicorn_is_ours() -> None:
    """Its own: messages of 16 MiB, deflate on, whatever protocols are installed, its name told."""
    found = secure(uvicorn.Config("app.main:app"))
    assert {
        "http": found.http,
        "ws": found.ws,
        "ws_max_size": found.ws_max_size,
        "ws_per_message_deflate": found.ws_per_message_deflate,
        "ws_ping_interval": found.ws_ping_interval,
        "ws_ping_timeout": found.ws_ping_timeout,
        "h11_max_incomplete_event_size": found.h11_max_incomplete_event_size,
        "timeout_keep_alive": found.timeout_keep_alive,
        "backlog": found.backlog,
        "server_header": found.server_header,
    } == {
        "http": PatientH11,
        "ws": PatientWebSocket,
        "ws_max_size": 65_536,
        "ws_per_message_deflate": False,
        "ws_ping_interval": 20.0,
        "ws_ping_timeout": 20.0,
        "h11_max_incomplete_event_size": 32_768,
        "timeout_keep_alive": 5,
        "backlog": 2_048,
        "server_header": False,
    }


@contextlib.contextmanager
def hasty(data: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Guarded]:
    """A server whose patience is a second or less."""
    monkeypatch.setattr(limits, "request_head_ms_max", 400)
    monkeypatch.setattr(limits, "request_body_ms_max", 400)
    monkeypatch.setattr(limits, "answer_stuck_ms_max", 800)
    with guarded(data, RunningStreams([])) as found:
        yield found


def ended_after(client: socket.socket) -> float:
    """Seconds until the server closed it, all it said read."""
    began = time.monotonic()
    client.settimeout(20)
    with contextlib.suppress(ConnectionResetError):
        while client.recv(65_536):
            pass
    return time.monotonic() - began


@pytest.mark.parametrize("begun", ["", "GET / HTTP/1.1\r\nHost: localhost\r\n"])
def test_a_connection_that_never_finishes_its_headers_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begun: str
) -> None:
    with (
        hasty(tmp_path, monkeypatch) as found,
        socket.create_connection(("127.0.0.1", found.port)) as client,
    ):
        client.sendall(begun.encode())
        assert 0.3 < ended_after(client) < 5


def test_headers_that_come_a_byte_at_a_time_are_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """slowloris: many connections, each with a byte now and then; others are answered meanwhile."""
    done = threading.Event()
    with hasty(tmp_path, monkeypatch) as found, contextlib.ExitStack() as stack:
        slow = [
            stack.enter_context(socket.create_connection(("127.0.0.1", found.port)))
            for _ in range(30)
        ]

        def drip() -> None:
            text = b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 10_000
            for at in range(len(text)):
                for client in slow:
                    with contextlib.suppress(OSError):
                        client.sendall(text[at : at + 1])
                if done.wait(0.02):
                    return

        dripping = threading.Thread(target=drip)
        dripping.start()
        connections = found.server.server_state.connections
        wait_for(lambda: len(connections) >= 30, "the slow ones")
        began = time.monotonic()
        assert found.get("/healthz").status_code == 200
        wait_for(lambda: len(connections) <= 1, "their end")
        assert time.monotonic() - began < 10
        done.set()
        dripping.join()


def test_the_body_that_an_answer_did_not_wait_for_is_not_waited_for_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        hasty(tmp_path, monkeypatch) as found,
        socket.create_connection(("127.0.0.1", found.port)) as client,
    ):
        head = f"GET {API}/streams HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n"
        client.sendall(head.encode())
        assert client.recv(15) == b"HTTP/1.1 200 OK"
        assert ended_after(client) < 5


def test_a_body_that_does_not_come_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        hasty(tmp_path, monkeypatch) as found,
        socket.create_connection(("127.0.0.1", found.port)) as client,
    ):
        client.sendall(
            f"POST {API}/start HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            "Content-Length: 60000\r\n\r\n{".encode()
        )
        client.settimeout(20)
        answer = b""
        while b"body within" not in answer:
            answer += client.recv(4_096)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b'{"detail":"expected the whole body within 0.4 s"}' in answer


def test_a_connection_goes_on_as_long_as_requests_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hasty(tmp_path, monkeypatch) as found:
        connections = found.server.server_state.connections
        found.get("/healthz")
        (first,) = connections
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            assert found.get("/healthz").status_code == 200
        assert set(connections) == {first}


def test_an_answer_that_nobody_reads_is_given_up_and_one_that_is_read_slowly_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = 3_000_000
    with hasty(tmp_path, monkeypatch) as found:

        @found.app.get("/large")
        async def answer() -> str:
            return "x" * large

        def asking() -> socket.socket:
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            client.connect(("127.0.0.1", found.port))
            client.sendall(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
            return client

        connections = found.server.server_state.connections
        with asking() as deaf:
            wait_for(lambda: len(connections) == 1, "the deaf one")
            began = time.monotonic()
            wait_for(lambda: not connections, "its end")
            assert time.monotonic() - began < 10
            assert deaf.fileno() >= 0
        with asking() as slow:
            read, until = 0, time.monotonic() + 2.5
            while time.monotonic() < until:
                read += len(slow.recv(20_000))
                time.sleep(0.05)  # the reader's pace is what is tried
            slow.settimeout(20)
            while read < large:
                part = slow.recv(2**20)
                assert part, read
                read += len(part)


@pytest.mark.parametrize("where", ["line", "header", "headers"])
def test_headers_without_end_are_refused(tmp_path: Path, where: str) -> None:
    text = {
        "line": b"GET /" + b"a" * 40_000,
        "header": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 40_000,
        "headers": b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: a\r\n" * 10_000,
    }[where]
    with (
        guarded(tmp_path, RunningStreams([])) as found,
        socket.create_connection(("127.0.0.1", found.port)) as client,
    ):
        client.sendall(text)
        client.settimeout(20)
        assert client.recv(12) == b"HTTP/1.1 400"
        assert ended_after(client) < 5


@pytest.mark.parametrize(
    "text",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # a TLS client
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX\x00: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_no_request_is_refused_and_nothing_breaks(tmp_path: Path, text: bytes) -> None:
    with guarded(tmp_path, RunningStreams([])) as found:
        with socket.create_connection(("127.0.0.1", found.port)) as client:
            client.sendall(text)
            client.settimeout(20)
            status = client.recv(12)
        assert status in (b"HTTP/1.1 400", b"HTTP/1.1 421")
        assert found.get("/healthz").status_code == 200


def test_there_are_only_so_many_connections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "connections_max", 5)
    with guarded(tmp_path, RunningStreams([])) as found, contextlib.ExitStack() as stack:
        connections = found.server.server_state.connections
        clients = []
        for nth in range(5):
            client = socket.create_connection(("127.0.0.1", found.port))
            clients.append(stack.enter_context(client))
            wait_for(lambda nth=nth: len(connections) == nth + 1, "a connection")
        with socket.create_connection(("127.0.0.1", found.port)) as sixth:
            assert ended_after(sixth) < 5
        clients[0].close()
        wait_for(lambda: len(connections) == 4, "a place")
        assert found.get("/healthz").status_code == 200


def test_an_address_of_another_machine_has_only_so_many_connections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = own_address()
    if address is None:
        pytest.skip("this machine has no address but loopback")
    monkeypatch.setattr(limits, "connections_per_address_max", 3)
    with guarded(tmp_path, RunningStreams([])) as found, contextlib.ExitStack() as stack:
        connections = found.server.server_state.connections
        for nth in range(3):
            stack.enter_context(socket.create_connection((address, found.port)))
            wait_for(lambda nth=nth: len(connections) == nth + 1, "a connection")
        with socket.create_connection((address, found.port)) as fourth:
            assert ended_after(fourth) < 5
        assert found.get("/healthz").status_code == 200  # this machine's own have no such bound
