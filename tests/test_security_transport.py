"""What is set of uvicorn below the interface, and how long it waits for whom."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import httpx
import pytest
import uvicorn
from uvicorn.server import ServerState

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


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """One for all of them: each leaves it without a connection of its own."""
    with guarded(tmp_path_factory.mktemp("transport"), RunningStreams([])) as found:
        yield found
        found.client.close()


@pytest.fixture
def alone(server: Guarded) -> Guarded:
    """The server once nobody is connected any more."""
    server.client.close()
    server.client = httpx.Client(timeout=120)
    wait_for(lambda: not server.server.server_state.connections, "the others' end")
    return server


@pytest.fixture
def hasty(alone: Guarded, monkeypatch: pytest.MonkeyPatch) -> Guarded:
    """The server, its patience half a second or less."""
    monkeypatch.setattr(limits, "request_head_ms_max", 200)
    monkeypatch.setattr(limits, "request_body_ms_max", 200)
    monkeypatch.setattr(limits, "answer_stuck_ms_max", 500)
    return alone


def ended_after(client: socket.socket) -> float:
    """Seconds until the server closed it, all it said read."""
    began = time.monotonic()
    client.settimeout(20)
    with contextlib.suppress(ConnectionResetError):
        while client.recv(65_536):
            pass
    return time.monotonic() - began


@pytest.mark.parametrize("begun", ["", "GET / HTTP/1.1\r\nHost: localhost\r\n"])
def test_a_connection_that_never_finishes_its_headers_is_closed(hasty: Guarded, begun: str) -> None:
    with socket.create_connection(("127.0.0.1", hasty.port)) as client:
        client.sendall(begun.encode())
        assert 0.15 < ended_after(client) < 5


def test_headers_that_come_a_byte_at_a_time_are_not_waited_for(
    hasty: Guarded,
) -> None:
    """slowloris: many connections, each with a byte now and then; others are answered meanwhile."""
    done = threading.Event()
    with contextlib.ExitStack() as stack:
        slow = [
            stack.enter_context(socket.create_connection(("127.0.0.1", hasty.port)))
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
        connections = hasty.server.server_state.connections
        wait_for(lambda: len(connections) >= 30, "the slow ones")
        began = time.monotonic()
        assert hasty.get("/healthz").status_code == 200
        wait_for(lambda: len(connections) <= 1, "their end")
        assert time.monotonic() - began < 10
        done.set()
        dripping.join()


def test_the_body_that_an_answer_did_not_wait_for_is_not_waited_for_either(
    hasty: Guarded,
) -> None:
    with socket.create_connection(("127.0.0.1", hasty.port)) as client:
        head = f"GET {API}/streams HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n"
        client.sendall(head.encode())
        assert client.recv(15) == b"HTTP/1.1 200 OK"
        assert ended_after(client) < 5


def test_a_body_that_does_not_come_is_refused(
    hasty: Guarded,
) -> None:
    with socket.create_connection(("127.0.0.1", hasty.port)) as client:
        client.sendall(
            f"POST {API}/start HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            "Content-Length: 60000\r\n\r\n{".encode()
        )
        client.settimeout(20)
        answer = b""
        while b"body within" not in answer:
            answer += client.recv(4_096)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b'{"detail":"expected the whole body within 0.2 s"}' in answer


def test_a_connection_goes_on_as_long_as_requests_come(
    hasty: Guarded,
) -> None:
    connections = hasty.server.server_state.connections
    hasty.get("/healthz")
    (first,) = connections
    until = time.monotonic() + 1.2
    while time.monotonic() < until:
        assert hasty.get("/healthz").status_code == 200
    assert set(connections) == {first}


def test_an_answer_that_nobody_reads_is_given_up_and_one_that_is_read_slowly_is_not(
    hasty: Guarded,
) -> None:
    large = 3_000_000

    @hasty.app.get("/large")
    async def answer() -> str:
        return "x" * large

    def asking() -> socket.socket:
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.connect(("127.0.0.1", hasty.port))
        client.sendall(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return client

    connections = hasty.server.server_state.connections
    with asking() as deaf:
        wait_for(lambda: len(connections) == 1, "the deaf one")
        began = time.monotonic()
        wait_for(lambda: not connections, "its end")
        assert time.monotonic() - began < 10
        assert deaf.fileno() >= 0
    with asking() as slow:
        read, until = 0, time.monotonic() + 1.5
        while time.monotonic() < until:
            read += len(slow.recv(20_000))
            time.sleep(0.05)  # the reader's pace is what is tried
        slow.settimeout(20)
        while read < large:
            part = slow.recv(2**20)
            assert part, read
            read += len(part)


def all_read(client: socket.socket) -> int:
    """Bytes until its end."""
    read = 0
    with contextlib.suppress(ConnectionResetError):
        while part := client.recv(2**20):
            read += len(part)
    return read


def test_of_answers_that_lie_unread_the_oldest_goes_when_they_are_too_many(
    alone: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "answers_unread_bytes_max", 30_000_000)

    @alone.app.get("/larger")
    async def answer() -> str:
        return "x" * 20_000_000

    connections = alone.server.server_state.connections

    def unread() -> list[int]:
        return sorted(c.transport.get_write_buffer_size() for c in connections)

    with contextlib.ExitStack() as stack:
        deaf = []
        for nth in range(3):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            client.connect(("127.0.0.1", alone.port))
            client.sendall(b"GET /larger HTTP/1.1\r\nHost: localhost\r\n\r\n")
            deaf.append(client)
            wait_for(lambda: unread()[-1:] > [10_000_000], f"answer {nth}")
            wait_for(lambda: len(connections) == 1, "the end of the one before")
        assert alone.get("/healthz").status_code == 200
        assert max(all_read(client) for client in deaf[:2]) < 10_000_000


@pytest.mark.parametrize("where", ["line", "header", "headers"])
def test_headers_without_end_are_refused(server: Guarded, where: str) -> None:
    text = {
        "line": b"GET /" + b"a" * 40_000,
        "header": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 40_000,
        "headers": b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: a\r\n" * 10_000,
    }[where]
    with socket.create_connection(("127.0.0.1", server.port)) as client:
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
def test_what_is_no_request_is_refused_and_nothing_breaks(server: Guarded, text: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(text)
        client.settimeout(20)
        status = client.recv(12)
    assert status in (b"HTTP/1.1 400", b"HTTP/1.1 421")
    assert server.get("/healthz").status_code == 200


def test_there_are_only_so_many_connections(
    alone: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "connections_max", 5)
    with contextlib.ExitStack() as stack:
        connections = alone.server.server_state.connections
        clients = []
        for nth in range(5):
            client = socket.create_connection(("127.0.0.1", alone.port))
            clients.append(stack.enter_context(client))
            wait_for(lambda nth=nth: len(connections) == nth + 1, "a connection")
        with socket.create_connection(("127.0.0.1", alone.port)) as sixth:
            assert ended_after(sixth) < 5
        clients[0].close()
        wait_for(lambda: len(connections) == 4, "a place")
        assert alone.get("/healthz").status_code == 200


def test_an_address_of_another_machine_has_only_so_many_connections(
    alone: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = own_address()
    if address is None:
        pytest.skip("this machine has no address but loopback")
    monkeypatch.setattr(limits, "connections_per_address_max", 3)
    with contextlib.ExitStack() as stack:
        connections = alone.server.server_state.connections
        for nth in range(3):
            stack.enter_context(socket.create_connection((address, alone.port)))
            wait_for(lambda nth=nth: len(connections) == nth + 1, "a connection")
        with socket.create_connection((address, alone.port)) as fourth:
            assert ended_after(fourth) < 5
        assert alone.get("/healthz").status_code == 200  # this machine's own have no such bound


class From(asyncio.Transport):
    """Our end of a connection from an address that this machine need not have."""

    def __init__(self, address: str) -> None:
        super().__init__({"peername": (address, 40_000), "sockname": ("2001:db8::1", 80)})
        self.cut = False

    def abort(self) -> None:
        self.cut = True

    def is_closing(self) -> bool:
        return self.cut


async def nothing(_scope: object, _receive: object, _send: object) -> None:
    """An application that is never asked."""


async def test_the_addresses_of_one_ipv6_customer_share_their_connections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "connections_per_address_max", 2)
    state, configuration = ServerState(), secure(uvicorn.Config(nothing, lifespan="off"))

    def is_cut(address: str) -> bool:
        transport, protocol = From(address), PatientH11(configuration, state, {})
        protocol.connection_made(transport)
        return transport.cut

    try:
        assert [is_cut(f"2001:db8:0:1::{nth}") for nth in (1, 2, 3)] == [False, False, True]
        assert not is_cut("2001:db8:0:2::1")
        assert [is_cut("198.51.100.1") for _ in range(3)] == [False, False, True]
        assert not is_cut("198.51.100.2")
        assert not any(is_cut("::1") for _ in range(3))
    finally:
        for protocol in list(state.connections):
            protocol.connection_lost(ConnectionResetError())
