"""The sockets of a simulated venue: a face's WebSocket and REST on one port of loopback.

The handshake and what clients send go through ``websockets``' protocol without I/O; what the venue
sends is framed here, so that a fault plan can stop a frame at any byte.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Final, Protocol, cast

from websockets.exceptions import InvalidHandshake
from websockets.frames import Frame, Opcode
from websockets.http11 import Request as Upgrade
from websockets.server import ServerProtocol

from ordertape import limits
from ordertape.simulator.faces import Answer, Exchange, Request
from ordertape.simulator.faults import FaultPlan, RestFault, Wire
from ordertape.simulator.faults_line import Act, Delivery, FaultyLine
from ordertape.simulator.faults_rest import Arrival, arrival, made_after_ns, sent_after_ns
from ordertape.simulator.faults_rules import Kind

__all__ = ["Clock", "Door", "VenueFace"]

_MS: Final = 1_000_000
_MADE_NS_MAX: Final = 600 * 1_000 * _MS
"""An exchange that begins so long ago was made for now: filling its books took the time since."""
_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER of no time: the connection is reset instead of ended."""


class VenueConnection(Protocol):
    """A face's side of one WebSocket."""

    def receive(self, text: bytes, /) -> None: ...
    def close(self) -> None: ...
    def perform(self, kind: Kind, amount: int) -> None: ...


class VenueFace(Protocol):
    """What a door needs of a face."""

    exchange: Exchange
    open: bool

    @property
    def wire(self) -> Wire: ...
    def connect(
        self, send: Callable[[bytes], None], hang_up: Callable[[int, str], None]
    ) -> VenueConnection: ...
    def rest(self, request: Request, *, stale: bool = False) -> Answer: ...


class Clock:
    """Keeps an exchange's time at the wall's.  Where the machine stood still for longer than the
    limit, the exchange's time stands still too instead of flooding the clients."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self._users = 0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Each of several doors starts it and stops it."""
        self._users += 1
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="simulated exchange")

    async def stop(self) -> None:
        """An error of the exchange is raised here."""
        self._users -= 1
        if self._users == 0 and self._task is not None:
            task, self._task = self._task, None
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def wait(self) -> None:
        """Returns when it has stopped; raises what stopped it."""
        if self._task is not None:
            await asyncio.shield(self._task)

    async def _run(self) -> None:
        exchange = self.exchange
        offset_ns = exchange.now_ns - time.monotonic_ns()
        made_for_ns = time.time_ns() - exchange.now_ns
        if 0 < made_for_ns < _MADE_NS_MAX:
            exchange.behind_ns += made_for_ns
        while True:
            now_ns = time.monotonic_ns() + offset_ns
            late_ns = now_ns - exchange.due_ns
            if late_ns > limits.simulator_lag_ms_max * _MS:
                offset_ns -= late_ns
                now_ns -= late_ns
                exchange.behind_ns += late_ns
            exchange.run_until(now_ns)
            await asyncio.sleep(max(0, exchange.due_ns - now_ns) / 1e9)


class Door:
    """Serves a face on 127.0.0.1 (``port`` 0: a free one) between `start` and `stop`.

    ``websocket``: the path of its WebSocket, None for any.  ``plan``: what goes wrong.
    """

    def __init__(
        self,
        face: VenueFace,
        *,
        port: int = 0,
        websocket: str | None = None,
        plan: FaultPlan | None = None,
        buffer_bytes_max: int = limits.simulator_client_buffer_bytes_max,
    ) -> None:
        self.face, self.port, self.websocket, self.plan = face, port, websocket, plan
        self.buffer_bytes_max = buffer_bytes_max
        self.clients: set[_Client] = set()
        self.slow_clients = 0
        """Clients disconnected because they did not read."""
        self._sockets: set[_Client] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Client(self), "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Closes the clients' connections and the port."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        self.drop_connections(1001)
        for client in list(self._sockets):
            client.end()
        if server is not None:
            await server.wait_closed()

    def drop_connections(self, code: int = 1012, reason: str = "") -> None:
        """Closes every client's connection; for one that does not read, without waiting for it."""
        for client in list(self.clients):
            client.hang_up(code, reason)


class _Client(asyncio.Protocol):
    """One TCP connection: a WebSocket, or one REST request."""

    def __init__(self, door: Door) -> None:
        self._door, self._face = door, door.face
        self._protocol = ServerProtocol(max_size=limits.simulator_request_bytes_max)
        self._transport: asyncio.Transport
        self._connection: VenueConnection | None = None
        self._line: FaultyLine | None = None
        self._out = bytearray()
        self._waiting: deque[Delivery] = deque()
        self._timers: set[asyncio.TimerHandle] = set()
        self._ended = False

    # What asyncio calls -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._door._sockets.add(self)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._ended = True
        self._door._sockets.discard(self)
        self._door.clients.discard(self)
        for timer in self._timers:
            timer.cancel()
        if self._connection is not None:
            self._connection.close()

    def data_received(self, data: bytes) -> None:
        if self._ended or (self._line is not None and self._line.hung):
            return
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Upgrade):
                self._route(event)
            elif (
                isinstance(event, Frame)
                and event.opcode is Opcode.TEXT
                and self._connection is not None
            ):
                self._connection.receive(bytes(event.data))
        for answer in self._protocol.data_to_send():
            if not self._ended:
                self._write(answer)
        if self._protocol.close_expected():
            self.end()

    # The request ------------------------------------------------------------------------------

    def _route(self, upgrade: Upgrade) -> None:
        path = upgrade.path.partition("?")[0]
        if upgrade.headers.get("Upgrade", "").lower() != "websocket":
            self._rest(Request("GET", upgrade.path, dict(upgrade.headers.raw_items())))
        elif self._door.websocket not in (None, path):
            self._answer(_plain(HTTPStatus.NOT_FOUND))
        elif not self._face.open:
            self._answer(_plain(HTTPStatus.SERVICE_UNAVAILABLE))
        else:
            self._open(upgrade)

    def _open(self, upgrade: Upgrade) -> None:
        plan, number = self._door.plan, 0
        if plan is not None:
            number = plan.connect()
            if plan.refuses(number, self._face.exchange.now_ns):
                self._reset()
                return
        try:
            response = self._protocol.accept(upgrade)
        except InvalidHandshake:
            self._answer(_plain(HTTPStatus.BAD_REQUEST))
            return
        self._protocol.send_response(response)
        for data in self._protocol.data_to_send():
            self._write(data)
        if self._protocol.handshake_exc is not None:
            self.end()
            return
        self._door.clients.add(self)
        if plan is None:
            self._connection = self._face.connect(self._send, self.hang_up)
            return
        line = self._line = FaultyLine(
            *(plan, number, self._face.wire, lambda: self._face.exchange.now_ns),
            *(self._deliver, self._perform),
        )
        self._connection = self._face.connect(line.send, self.hang_up)

    def _perform(self, kind: Kind, amount: int) -> None:
        if self._connection is not None:
            self._connection.perform(kind, amount)

    # What is sent -----------------------------------------------------------------------------

    def _send(self, text: bytes) -> None:
        length = len(text)
        if length < 126:
            head = bytes((0x81, length))
        elif length < 1 << 16:
            head = struct.pack("!BBH", 0x81, 126, length)
        else:
            head = struct.pack("!BBQ", 0x81, 127, length)
        self._write(head + text)

    def _write(self, data: bytes) -> None:
        """What is written in one turn of the event loop leaves in one piece."""
        if self._ended:
            return
        if not self._out:
            asyncio.get_running_loop().call_soon(self._flush)
        self._out += data

    def _flush(self) -> None:
        if self._ended or not self._out:
            return
        self._transport.write(bytes(self._out))
        self._out.clear()
        websocket = self._connection is not None
        waiting = self._transport.get_write_buffer_size()
        if websocket and waiting > self._door.buffer_bytes_max:
            self._door.slow_clients += 1
            self._ended = True
            self._transport.abort()

    def hang_up(self, code: int, reason: str = "") -> None:
        """A close frame, then the end; at once for a client that does not read."""
        if self._ended:
            return
        close = code.to_bytes(2, "big") + reason.encode()
        self._write(bytes((0x88, len(close))) + close)
        self.end()

    def end(self) -> None:
        """The end of the connection after what was written."""
        if self._ended:
            return
        self._flush()
        stuck = self._transport.get_write_buffer_size() and self._connection is not None
        self._ended = True
        if stuck:
            self._transport.abort()
        else:
            self._transport.close()

    def _reset(self) -> None:
        found = self._transport.get_extra_info("socket")
        if found is not None:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._ended = True
        self._transport.abort()

    # Faults -----------------------------------------------------------------------------------

    def _deliver(self, delivery: Delivery) -> None:
        self._waiting.append(delivery)
        if len(self._waiting) == 1:
            self._carry()

    def _carry(self) -> None:
        """Carries what is due; the rest waits its time, in order."""
        waiting = self._waiting
        while waiting and not self._ended:
            wait_ns = waiting[0].at_ns - self._face.exchange.now_ns
            if wait_ns > 0:
                self._later(wait_ns, self._carry)
                return
            delivery = waiting.popleft()
            if delivery.act is Act.TEXT:
                self._send(delivery.text)
            elif delivery.act is Act.CLOSE:
                self.hang_up(delivery.number)
            elif delivery.act is Act.RESET:
                self._flush()
                self._reset()
            else:
                self._cut(delivery)

    def _cut(self, delivery: Delivery) -> None:
        frame = Frame(Opcode.TEXT, delivery.text).serialize(mask=False)
        self._write(bytes(frame)[: delivery.number])
        self.end()

    def _later(self, wait_ns: int, act: Callable[[], None]) -> None:
        def run() -> None:
            self._timers.discard(timer)
            act()

        timer = asyncio.get_running_loop().call_later(wait_ns / 1e9, run)
        self._timers.add(timer)

    # REST -------------------------------------------------------------------------------------

    def _rest(self, request: Request) -> None:
        plan, now_ns = self._door.plan, self._face.exchange.now_ns
        fault = plan.request(request.path, now_ns) if plan is not None else None
        if made_after_ns(fault):
            self._later(made_after_ns(fault), lambda: self._make(request, fault, 0))
        else:
            self._make(request, fault, sent_after_ns(fault))

    def _make(self, request: Request, fault: RestFault | None, wait_ns: int) -> None:
        made = arrival(fault, lambda stale: self._face.rest(request, stale=stale))
        if wait_ns:
            self._later(wait_ns, lambda: self._answer(made))
        elif made.status:
            self._answer(made)

    def _answer(self, made: Arrival) -> None:
        fields = {**made.headers, "Content-Length": str(made.promised), "Connection": "close"}
        try:
            words = HTTPStatus(made.status).phrase
        except ValueError:
            words = "Error"
        head = f"HTTP/1.1 {made.status} {words}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self._write(head.encode() + b"\r\n" + made.body)
        self.end()


def _plain(status: HTTPStatus) -> Arrival:
    body = status.phrase.encode()
    return Arrival(status, {"Content-Type": "text/plain"}, body, len(body))
