"""Sockets over TLS, and sockets that are given up half way."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvloop
from picows import WSListener

from ordertape import limits
from ordertape.roles.connection import MarketConnection
from ordertape.roles.pacing import Backoff, Pacer
from ordertape.roles.sockets import open_websocket
from ordertape.simulator.bitfinex import SimulatedBitfinex
from ordertape.stream.market import MarketStream
from ordertape.stream.state import StreamState
from ordertape.venues.registry import venue_of


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(certificate, key) of 127.0.0.1, signed by itself."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    chain, key = folder / "chain.pem", folder / "key.pem"
    command = (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
        "-subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    )
    subprocess.run(
        ["openssl", *command.split(), "-keyout", str(key), "-out", str(chain)],
        check=True,
        capture_output=True,
    )
    return chain, key


async def tls_in_front_of(port: int, certificate: tuple[Path, Path]) -> asyncio.Server:
    """What comes in over TLS goes to a plain port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass  # one side hung up
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pass_on(reader, inner_writer), pass_on(inner_reader, writer))

    return await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)


def run_over_tls(certificate: tuple[Path, Path], until_state: StreamState) -> MarketStream:
    """A stream on uvloop, as the collector runs it, until a state or a first failure."""

    async def collect() -> MarketStream:
        stream = MarketStream(venue_of("bitfinex"), "BTC/USDT")
        stop, backoff = asyncio.Event(), Backoff(1, 10)

        def there() -> bool:
            return stream.state is until_state and bool(stream.events or backoff.failures)

        async with SimulatedBitfinex() as exchange:
            server = await tls_in_front_of(exchange.port, certificate)
            address = f"wss://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws/2"
            connection = MarketConnection(stream, address, Pacer(100), backoff=backoff)
            running = asyncio.create_task(connection.run(stop))
            async with asyncio.timeout(60):
                while not there():  # noqa: ASYNC110 - a stream tells no one of its states
                    await asyncio.sleep(0.005)
            reached = stream.state
            stop.set()
            await running
            server.close()
            await asyncio.sleep(0.05)  # the relay's tasks end with their sockets
        assert reached is until_state
        return stream

    return uvloop.run(collect())


def test_a_venue_is_collected_over_tls(
    certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    stream = run_over_tls(certificate, StreamState.LIVE)
    assert stream.connects == 1
    assert not stream.errors


def test_a_venue_whose_certificate_nobody_signed_is_not_trusted(
    certificate: tuple[Path, Path],
) -> None:
    stream = run_over_tls(certificate, StreamState.CONNECTING)
    assert stream.connects == 0
    assert stream.frames == 0


class Silent:
    """A server that accepts and never answers."""

    def __init__(self) -> None:
        self.address = ""
        self.entered = asyncio.Event()
        self.left = asyncio.Event()

    async def say_nothing(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.entered.set()
        await reader.read(-1)
        writer.close()
        self.left.set()


@pytest.fixture
async def silent() -> AsyncIterator[Silent]:
    silence = Silent()
    server = await asyncio.start_server(silence.say_nothing, "127.0.0.1", 0)
    silence.address = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    yield silence
    server.close()


async def test_a_handshake_that_never_ends_times_out_and_closes_its_socket(
    silent: Silent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "connect_timeout_ms", 100)
    with pytest.raises((TimeoutError, OSError)):
        await open_websocket(WSListener(), silent.address)
    await asyncio.wait_for(silent.left.wait(), 60)


async def test_a_cancelled_handshake_closes_its_socket(silent: Silent) -> None:
    opening = asyncio.create_task(open_websocket(WSListener(), silent.address))
    await silent.entered.wait()
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await asyncio.wait_for(silent.left.wait(), 60)


async def test_a_host_without_an_address_is_an_os_error() -> None:
    with pytest.raises(OSError, match=r"."):
        await open_websocket(WSListener(), "ws://no-such-host.invalid/ws")
