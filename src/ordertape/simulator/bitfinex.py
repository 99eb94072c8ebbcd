"""A Bitfinex on loopback: the venue's WebSocket, its list of pairs and its REST raw book.

`SimulatedBitfinex` serves clients; `frames` gives the same texts without sockets, as fast as they
can be made.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final
from urllib.parse import parse_qs, urlsplit

import msgspec
from picows import (
    WSCloseCode,
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
    ws_create_server,
)

from ordertape import limits
from ordertape.simulator.bitfinex_exchange import BitfinexConnection, BitfinexExchange
from ordertape.simulator.bitfinex_frames import frames
from ordertape.simulator.bitfinex_window import WINDOW_LENGTHS, Row, WindowState
from ordertape.simulator.markets import chosen_markets

__all__ = ["SimulatedBitfinex", "frames"]

_MS: Final = 1_000_000


class SimulatedBitfinex:
    """Serves on 127.0.0.1 (``port`` 0: a free one) between ``start`` and ``stop``.

    Also an async context manager.  ``rate``: operations a second on each market's book, 1 to
    5,000.  ``keep_states``: how many published states each window remembers for `states`.
    ``start_ns``: venue time at the start, None for now; with a given one the same seed gives the
    same markets again.  UnknownMarket and SettingRefused where a market or the rate can't be.
    """

    def __init__(
        self,
        seed: int = 7,
        symbols: Sequence[str] = ("tBTCUST",),
        rate: int = 200,
        *,
        port: int = 0,
        heartbeat_ms: int = 15_000,
        keep_states: int = 0,
        start_ns: int | None = None,
        buffer_bytes_max: int = limits.simulator_client_buffer_bytes_max,
    ) -> None:
        self.seed = seed
        self.symbols = tuple(dict.fromkeys(symbols))
        self.port = port
        self.slow_clients = 0
        """Clients disconnected because they did not read."""
        start_ns = time.time_ns() if start_ns is None else start_ns
        self.exchange = BitfinexExchange(
            seed,
            chosen_markets(symbols, rate),
            rate,
            start_ns,
            heartbeat_ms=heartbeat_ms,
            keep=keep_states,
        )
        self._buffer_bytes_max = buffer_bytes_max
        self._clients: set[_Client] = set()
        self._server: asyncio.Server | None = None
        self._clock: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Of the WebSocket."""
        return f"ws://127.0.0.1:{self.port}/ws/2"

    @property
    def rest_url(self) -> str:
        """Root of the REST paths ``/v2/…``."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._server = await ws_create_server(
            self._route,
            "127.0.0.1",
            self.port,
            max_frame_size=limits.simulator_request_bytes_max,
        )
        self.port = self._server.sockets[0].getsockname()[1]
        self._clock = asyncio.create_task(self._run(), name="simulated bitfinex")

    async def stop(self) -> None:
        """Closes the clients' connections and the port; an error of the clock is raised here."""
        clock, server = self._clock, self._server
        self._clock = self._server = None
        if clock is not None:
            clock.cancel()
            with suppress(asyncio.CancelledError):
                await clock
        self.drop_connections(WSCloseCode.GOING_AWAY)
        if server is not None:
            server.close()
            await server.wait_closed()

    async def __aenter__(self) -> SimulatedBitfinex:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def wait(self) -> None:
        """Returns when the clock has stopped; raises what stopped it."""
        if self._clock is not None:
            await asyncio.shield(self._clock)

    # What a test or a demonstration may ask or do ------------------------------------------------

    def true_window(self, symbol: str, length: int) -> tuple[list[Row], list[Row]]:
        """(bids, asks) as last published: (id, price, amount) as printed, in book order."""
        return self.exchange.markets[symbol].windows[max(WINDOW_LENGTHS)].rows(length)

    def states(self, symbol: str, length: int) -> list[WindowState]:
        """The last states of a window that was ever subscribed, oldest first; a client finds its
        own by the time in a frame's tail (``WindowState.time_ms``)."""
        window = self.exchange.markets[symbol].windows.get(length)
        return list(window.states) if window is not None else []

    def announce(self, code: int, message: str = "") -> None:
        """An info event to every client: 20051 restart, 20060 maintenance, 20061 its end."""
        for client in self._clients:
            client.connection.event({"event": "info", "code": code, "msg": message})

    def drop_connections(self, code: WSCloseCode = WSCloseCode.SERVICE_RESTART) -> None:
        """Closes every client's connection; for one that does not read, without waiting for it."""
        for client in list(self._clients):
            client.transport.send_close(code)
            waiting = client.transport.underlying_transport.get_write_buffer_size()
            client.transport.disconnect(graceful=not waiting)

    # Inside -----------------------------------------------------------------------------------

    async def _run(self) -> None:
        """Keeps the venue's time at the wall's.  Where the machine stood still for longer than
        the limit, venue time stands still too instead of flooding the clients."""
        exchange = self.exchange
        offset_ns = exchange.now_ns - time.monotonic_ns()
        while True:
            now_ns = time.monotonic_ns() + offset_ns
            late_ns = now_ns - exchange.due_ns
            if late_ns > limits.simulator_lag_ms_max * _MS:
                offset_ns -= late_ns
                now_ns -= late_ns
            while exchange.due_ns <= now_ns:
                exchange.step()
            self._disconnect_slow()
            await asyncio.sleep((exchange.due_ns - now_ns) / 1e9)

    def _disconnect_slow(self) -> None:
        for client in list(self._clients):
            waiting = client.transport.underlying_transport.get_write_buffer_size()
            if waiting > self._buffer_bytes_max:
                self.slow_clients += 1
                client.transport.disconnect(graceful=False)

    def _route(self, request: WSUpgradeRequest) -> WSListener | WSUpgradeResponseWithListener:
        path = urlsplit(request.path.decode("latin-1"))
        if path.path == "/ws/2":
            return _Client(self.exchange, self._clients)
        answer = self._rest(path.path, parse_qs(path.query))
        if answer is None:
            body = msgspec.json.encode(["error", 10_020, "path: invalid"])
            response = WSUpgradeResponse.create_error_response(
                404, body, {"Content-Type": "application/json"}
            )
        else:
            response = WSUpgradeResponse.create_ok_response(
                answer, {"Content-Type": "application/json"}
            )
        return WSUpgradeResponseWithListener(response, None)

    def _rest(self, path: str, query: dict[str, list[str]]) -> bytes | None:
        """The list of pairs, and a raw book ``/v2/book/tBTCUST/R0?len=100``."""
        if path == "/v2/conf/pub:list:pair:exchange":
            return msgspec.json.encode([[symbol[1:] for symbol in self.symbols]])
        parts = path.split("/")
        length = query.get("len", ["25"])[-1]
        if parts[:3] != ["", "v2", "book"] or parts[4:] != ["R0"]:
            return None
        if parts[3] not in self.exchange.markets or length not in map(str, WINDOW_LENGTHS):
            return None
        bids, asks = self.true_window(parts[3], int(length))
        return f"[{','.join(f'[{i},{p},{a}]' for i, p, a in bids + asks)}]".encode()


class _Client(WSListener):
    """One socket; what it says goes to its `BitfinexConnection`."""

    def __init__(self, exchange: BitfinexExchange, clients: set[_Client]) -> None:
        super().__init__()
        self._exchange, self._clients = exchange, clients
        self.transport: WSTransport
        self.connection: BitfinexConnection

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        self._clients.add(self)

        def send(text: bytes) -> None:
            transport.send(WSMsgType.TEXT, text)

        self.connection = self._exchange.connect(send)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is WSMsgType.TEXT:
            self.connection.receive(frame.get_payload_as_bytes())
        elif frame.msg_type is WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), b"")
            transport.disconnect()

    def on_ws_disconnected(self, _transport: WSTransport) -> None:
        self._clients.discard(self)
        self.connection.close()
