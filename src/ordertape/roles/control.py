"""The control socket: how a server asks a collector, and what the collector tells it unasked.

``ControlServer`` is the collector's end, ``ControlClient`` the server's.  The socket lies in the
data folder and is open to its owner alone; ``control_messages`` says what travels on it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import msgspec

from ordertape import limits
from ordertape.errors import ChildFailed, OrdertapeError, RoleBusy
from ordertape.roles.control_messages import (
    Answer,
    Hello,
    Refusal,
    Reports,
    Request,
    Watermark,
    encode_line,
    read_message,
    read_request,
)
from ordertape.roles.control_sockets import connect_unix, listen_unix
from ordertape.roles.logs import logger
from ordertape.roles.status import StreamReport

__all__ = ["ControlClient", "ControlServer", "Controlled"]


class Controlled(Protocol):
    """What a control server asks for its clients."""

    async def handle(self, request: Request) -> list[StreamReport]:
        """Does what was asked; raises OrdertapeError or OSError where that can't be."""
        ...

    def reports(self) -> list[StreamReport]:
        """Every stream as it is now."""
        ...


class ControlServer:
    """Answers requests and pushes what changed to everybody connected."""

    def __init__(self, path: Path, hello: Hello, controlled: Controlled) -> None:
        self.path, self._hello, self._controlled = path, hello, controlled
        self._server: asyncio.Server | None = None
        self._clients: set[_Client] = set()
        self._log = logger("control")

    async def start(self) -> None:
        """Listens from here on."""
        self._server = await asyncio.start_unix_server(
            self._serve, sock=listen_unix(self.path), limit=limits.control_request_bytes_max
        )

    async def stop_listening(self) -> None:
        """Takes no new connections; those there are stay to see the end."""
        if self._server is not None:
            self.path.unlink(missing_ok=True)
            self._server.close()

    async def close(self) -> None:
        """Closes every connection."""
        await self.stop_listening()
        for client in list(self._clients):
            client.close()
        for client in list(self._clients):
            await client.ended.wait()

    def push(self, message: Reports | Watermark) -> None:
        """Tells everybody; a client that does not read is disconnected."""
        if self._clients:
            line = encode_line(message)
            for client in list(self._clients):
                client.send(line)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = _Client(reader, writer, self._controlled)
        if len(self._clients) >= limits.control_clients_max:
            self._log.warning("L3_control_refused", clients=len(self._clients))
            client.close()
            return
        self._clients.add(client)
        try:
            client.send(encode_line(self._hello))
            client.send(encode_line(Reports(streams=self._controlled.reports())))
            await client.run()
        finally:
            self._clients.discard(client)
            client.ended.set()


class _Client:
    """One connection to a control server."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, controlled: Controlled
    ) -> None:
        self._reader, self._writer, self._controlled = reader, writer, controlled
        self._free = asyncio.Semaphore(limits.control_requests_max)
        self._working: set[asyncio.Task[None]] = set()
        self.ended = asyncio.Event()

    def send(self, line: bytes) -> None:
        if self._writer.is_closing():
            return
        self._writer.write(line)
        waiting = self._writer.transport.get_write_buffer_size()
        if waiting > limits.control_buffer_bytes_max:
            self._writer.transport.abort()

    def close(self) -> None:
        self._writer.close()

    async def run(self) -> None:
        try:
            while line := await self._reader.readline():
                await self._free.acquire()
                task = asyncio.create_task(self._answer(line))
                self._working.add(task)
                task.add_done_callback(self._answered)
        except (ConnectionError, ValueError) as error:  # ValueError: a line that is too long
            with suppress(ConnectionError):
                self.send(encode_line(Refusal(id=0, kind="SettingRefused", text=str(error))))
        finally:
            for task in self._working:
                task.cancel()  # who asked has left; what was begun is shielded where it matters
            self.close()

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._working.discard(task)
        self._free.release()

    async def _answer(self, line: bytes) -> None:
        number = 0
        message: Answer | Refusal
        try:
            request = read_request(line)
            number = request.id
            message = Answer(id=number, streams=await self._controlled.handle(request))
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            text = f"expected a request, found {line[:80]!r}: {error}"
            message = Refusal(id=number, kind="SettingRefused", text=text)
        except (OrdertapeError, OSError) as error:
            message = Refusal.of(number, error)
        self.send(encode_line(message))


class ControlClient:
    """A connection to a collector that is made again whenever it ends.

    ``reports`` is what the collector last told, by symbol; empty while nobody answers.
    ``on_change`` is called after every message that changed them; ``explain`` may know why nobody
    answers.
    """

    def __init__(
        self,
        path: Path,
        on_change: Callable[[], None] | None = None,
        explain: Callable[[], str] = str,
    ) -> None:
        self.path, self._explain = path, explain
        self.hello: Hello | None = None
        """Who answers; None while nobody does."""
        self.reports: dict[str, StreamReport] = {}
        self._heard_at = time.monotonic()
        self._on_change = on_change or (lambda: None)
        self._connected = asyncio.Event()
        self._told = asyncio.Event()
        self._writer: asyncio.StreamWriter | None = None
        self._waiting: dict[int, asyncio.Future[list[StreamReport]]] = {}
        self._last_id = 0
        self._running: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Connects from here on."""
        self._running = asyncio.create_task(self._run(), name=f"control {self.path}")

    async def close(self) -> None:
        """Connects no more."""
        if self._running is not None:
            self._running.cancel()
            with suppress(asyncio.CancelledError):
                await self._running

    async def __aenter__(self) -> ControlClient:
        self.begin()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def connected(self) -> bool:
        return self._connected.is_set()

    @property
    def silent_ms(self) -> float:
        """Since the collector's last word, where one is connected: it speaks once a second."""
        return (time.monotonic() - self._heard_at) * 1000 if self.connected else 0.0

    async def wait_told(self, timeout_ms: int = limits.control_answer_ms_max) -> None:
        """Returns once ``reports`` is what the collector says.  Raises ChildFailed after a time."""
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                await self._told.wait()
        except TimeoutError:
            raise self._silent(timeout_ms) from None

    def _silent(self, timeout_ms: int) -> ChildFailed:
        why = self._explain()
        return ChildFailed(
            f"no collector answered at {self.path} within {timeout_ms / 1000:g} s"
            f"{': ' + why if why else ''}"
        )

    async def ask(
        self, request: Request, timeout_ms: int = limits.control_answer_ms_max
    ) -> list[StreamReport]:
        """The answer to a request; asked again where the connection ends before the answer, as
        every request may be.  Raises what the collector refused with, ChildFailed after a time."""
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                while (answer := await self._ask_once(request)) is None:
                    pass
                return answer
        except TimeoutError:
            raise self._silent(timeout_ms) from None

    async def _ask_once(self, request: Request) -> list[StreamReport] | None:
        """None where the connection ended first."""
        await self._connected.wait()
        if self._writer is None:
            return None
        self._last_id += 1
        number = self._last_id
        answer: asyncio.Future[list[StreamReport]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            request = msgspec.structs.replace(request, id=number)
            self._writer.write(encode_line(request))
            return await answer
        except ConnectionError:
            return None
        except RoleBusy:  # it is ending: the next one will answer
            await asyncio.sleep(limits.control_reconnect_ms_max / 1000)
            return None
        finally:
            del self._waiting[number]

    # The connection -------------------------------------------------------------------------------

    async def _run(self) -> None:
        wait_ms = limits.control_reconnect_ms_min
        while True:
            with suppress(OSError, ValueError, msgspec.MsgspecError):
                connection = await connect_unix(self.path)
                reader, writer = await asyncio.open_unix_connection(
                    sock=connection, limit=limits.control_line_bytes_max
                )
                try:
                    await self._read(reader, writer)
                finally:
                    self._disconnected(writer)
            if self.hello is not None:
                self.hello, wait_ms = None, limits.control_reconnect_ms_min
            await asyncio.sleep(wait_ms / 1000)
            wait_ms = min(wait_ms * 2, limits.control_reconnect_ms_max)

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            message = read_message(line)
            self._heard_at = time.monotonic()
            if isinstance(message, Hello):
                self.hello, self._writer = message, writer
                self._connected.set()
            elif isinstance(message, Answer):
                self._note(message.streams)
                if (waiting := self._waiting_for(message.id)) is not None:
                    waiting.set_result(message.streams)
            elif isinstance(message, Refusal):
                if (waiting := self._waiting_for(message.id)) is not None:
                    waiting.set_exception(message.error())
            elif isinstance(message, Reports):
                self.reports = {report.symbol: report for report in message.streams}
                self._told.set()
            elif (report := self.reports.get(message.symbol)) is not None:
                self._go_on(report, message)
            self._on_change()

    @staticmethod
    def _go_on(report: StreamReport, mark: Watermark) -> None:
        report.state, report.reason, report.era = mark.state, mark.reason, mark.era
        report.sequence, report.synced_sequence = mark.written_seq, mark.durable_seq
        report.events = mark.written_seq - report.first_sequence + 1
        report.last_frame_at = mark.last_frame_at

    def _note(self, reports: Iterable[StreamReport]) -> None:
        for report in reports:
            self.reports[report.symbol] = report

    def _waiting_for(self, number: int) -> asyncio.Future[list[StreamReport]] | None:
        waiting = self._waiting.get(number)
        return None if waiting is None or waiting.done() else waiting

    def _disconnected(self, writer: asyncio.StreamWriter) -> None:
        writer.close()
        self._connected.clear()
        self._told.clear()
        self._writer = None
        self.reports = {}
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ConnectionError())
        self._on_change()
