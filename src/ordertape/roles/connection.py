"""One market's socket: connects, hands frames to the stream, sends what it says, connects again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from picows import WSCloseCode, WSError, WSFrame, WSListener, WSMsgType, WSTransport

from ordertape import limits
from ordertape.roles.logs import market_logger
from ordertape.roles.pacing import Backoff, Pacer
from ordertape.roles.rest import RestClient
from ordertape.roles.sockets import open_websocket
from ordertape.stream.market import MarketStream, Step, Wish
from ordertape.venues.session import Fetch

__all__ = ["FrameKeeper", "MarketConnection"]

_OK = 200

FrameKeeper = Callable[[int, str, str, bytes], None]
"""Keeps one raw frame: ns at receipt, "ws" or "rest", address, text."""


class MarketConnection:
    """Runs a stream over one connection after the other until it is stopped or fails."""

    def __init__(
        self,
        stream: MarketStream,
        address: str,
        pacer: Pacer,
        *,
        rest: RestClient | None = None,
        keep_frame: FrameKeeper | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        """``rest``: where requests of the stream go; without it they are never answered."""
        self.stream, self.address = stream, address
        self._pacer, self._rest, self._keep_frame = pacer, rest, keep_frame
        self._backoff = backoff or Backoff()
        self._least_wait_ms = 0
        market = f"{stream.venue.name} {stream.symbol}"
        self._log = market_logger("collector", market, lambda: stream.book.era)

    async def run(self, stop: asyncio.Event) -> None:
        """Returns when ``stop`` is set (then the stream is STOPPED) or the stream is FAILED.

        What the stream or its tape raises ends the connection and is raised here.
        """
        self.stream.start(time.time_ns())
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                living = asyncio.create_task(self._live_once())
                await asyncio.wait((living, stopping), return_when=asyncio.FIRST_COMPLETED)
                if not living.done():
                    # Stopped first, so that the end of the connection is no loss.
                    self.stream.stop(time.time_ns())
                    living.cancel()
                    with suppress(asyncio.CancelledError):
                        await living
                    return
                if living.result() is Wish.END:
                    return
                await self._pause(stopping)
            self.stream.stop(time.time_ns())
        finally:
            stopping.cancel()

    async def _pause(self, stopping: asyncio.Task[bool]) -> None:
        seconds = max(self._backoff.next_seconds(), self._least_wait_ms / 1000)
        self._log.info(
            "L3_stream_waits", seconds=round(seconds, 3), failures=self._backoff.failures
        )
        await asyncio.wait((stopping,), timeout=seconds)

    async def _live_once(self) -> Wish | None:
        """One connection from its opening to its end; what the stream wished for, if it did."""
        self._least_wait_ms = 0
        await self._pacer.wait()
        listener = _Listener(self)
        try:
            transport = await open_websocket(listener, self.address)
        except (OSError, WSError) as error:
            self._log.warning("L3_connect_failed", address=self.address, reason=_words(error))
            self.stream.on_connect_failed(_words(error), time.time_ns())
            return None
        self._log.info("L3_connected", address=self.address)
        ticker = asyncio.create_task(listener.tick_forever())
        try:
            await transport.wait_disconnected()
        except (OSError, WSError) as error:
            if not listener.hung_up:
                listener.ending = _words(error)
        finally:
            ticker.cancel()
            listener.forget_requests()
            if not transport.is_disconnected:
                transport.disconnect(graceful=False)
            self.stream.on_close(listener.ending, time.time_ns())
        if listener.failure is not None:
            raise listener.failure
        self._log.warning("L3_connection_ended", reason=listener.ending)
        self._least_wait_ms = listener.wait_ms
        return listener.wish

    def note_progress(self) -> None:
        """The connection works: the next failure starts with short waits again."""
        if self._backoff.failures and self.stream.settled(time.time_ns()):
            self._backoff.reset()

    def keep(self, ts: int, text: bytes) -> None:
        if self._keep_frame is not None:
            self._keep_frame(ts, "ws", self.address, text)

    async def request(self, fetch: Fetch) -> Step | None:
        """Performs a request of the stream and hands it the answer; what the stream then asks."""
        if self._rest is None:
            return None
        session = self.stream.session
        answer = await self._rest.get(fetch, lambda: session.request_headers(fetch, time.time_ns()))
        now = time.time_ns()
        if self._keep_frame is not None and answer.status == _OK:
            self._keep_frame(now, "rest", self._rest.address + fetch.path, answer.text)
        return self.stream.on_answer(fetch, answer.status, answer.headers, answer.body, now)


class _Listener(WSListener):
    """One socket.  Everything here runs in callbacks of the event loop, so nothing may wait."""

    def __init__(self, connection: MarketConnection) -> None:
        super().__init__()
        self._connection, self._stream = connection, connection.stream
        self._on_frame = connection.stream.on_frame
        self._keeps = connection.keep if connection._keep_frame is not None else None
        self._transport: WSTransport | None = None
        self._parts = bytearray()
        self._parts_taken = 0
        self._requests: set[asyncio.Task[None]] = set()
        self._gathers, self._flushes = connection.stream.session.gathers, False
        self._call_soon = asyncio.get_running_loop().call_soon
        self.ending = "the connection was closed"
        self.wish: Wish | None = None
        self.wait_ms = 0
        self.failure: Exception | None = None
        self.hung_up = False

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        try:
            self._follow(self._stream.on_open(time.time_ns()))
        except Exception as error:  # picows would only log it: run() raises it
            self._fail(error)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        ts_recv = time.time_ns()
        if self.hung_up:
            return
        kind = frame.msg_type
        if frame.payload_size > limits.frame_bytes_max:
            # picows notices it, too, but still hands the frame over while it closes.
            self._hang_up(f"a message of over {limits.frame_bytes_max} bytes")
        elif kind is WSMsgType.TEXT and frame.fin:
            self._take(frame.get_payload_as_bytes(), ts_recv)
        elif kind is WSMsgType.PING:
            self._answer_ping(transport, frame)
        elif kind is WSMsgType.CLOSE:
            words = self._stream.hidden(_close_words(frame))
            self.ending = f"closed by the venue: {words}"
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()
        elif kind in (WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION):
            self._take_part(frame, ts_recv)

    def _take_part(self, frame: WSFrame, ts_recv: int) -> None:
        """A message in several frames is received with its last."""
        self._parts += frame.get_payload_as_bytes()
        self._parts_taken += 1
        if len(self._parts) > limits.frame_bytes_max:
            self._hang_up(f"a message of over {limits.frame_bytes_max} bytes")
        elif self._parts_taken > limits.frame_parts_max:
            self._hang_up(f"a message of over {limits.frame_parts_max} frames")
        elif frame.fin:
            text = bytes(self._parts)
            self._parts, self._parts_taken = bytearray(), 0
            self._take(text, ts_recv)

    def _answer_ping(self, transport: WSTransport, frame: WSFrame) -> None:
        """Not without looking, as picows would: a venue may ask and never read the answers."""
        if transport.underlying_transport.get_write_buffer_size() > limits.unsent_bytes_max:
            self._hang_up(f"the venue does not read: over {limits.unsent_bytes_max} bytes wait")
        else:
            transport.send_pong(frame.get_payload_as_bytes())

    def _take(self, text: bytes, ts_recv: int) -> None:
        try:
            if self._keeps is not None:
                self._keeps(ts_recv, text)
            step = self._on_frame(text, ts_recv)
            if step is not None:
                self._follow(step)
            if self._gathers and not self._flushes:
                # Called when the loop has handed over every frame that it has read.
                self._flushes = True
                self._call_soon(self._flush)
        except Exception as error:  # picows would only log it: run() raises it
            self._fail(error)

    def _flush(self) -> None:
        self._flushes = False
        try:
            step = self._stream.flush()
            if step is not None:
                self._follow(step)
        except Exception as error:  # the loop would only log it: run() raises it
            self._fail(error)

    async def tick_forever(self) -> None:
        """Tells the stream that time passes, until the connection ends."""
        while not self.hung_up:
            await asyncio.sleep(limits.stream_tick_ms / 1000)
            try:
                step = self._stream.tick(time.time_ns())
                if step is not None:
                    self._follow(step)
            except Exception as error:  # a task's error would go unseen: run() raises it
                self._fail(error)
            self._connection.note_progress()

    def _follow(self, step: Step) -> None:
        if self._transport is None:
            return
        for text in step.send:
            self._transport.send(WSMsgType.TEXT, text)
        if step.fetch is not None:
            task = asyncio.create_task(self._request(step.fetch))
            self._requests.add(task)
            task.add_done_callback(self._requests.discard)
        if step.wish is not None:
            self.wish, self.wait_ms = step.wish, step.wait_ms
            self._hang_up(step.reason)

    async def _request(self, fetch: Fetch) -> None:
        try:
            step = await self._connection.request(fetch)
            if step is not None and not self.hung_up:
                self._follow(step)
        except Exception as error:  # a task's error would go unseen: run() raises it
            self._fail(error)

    def forget_requests(self) -> None:
        """Their answers would come to another connection."""
        for task in self._requests:
            task.cancel()

    def _fail(self, error: Exception) -> None:
        self.failure = error
        self._hang_up(_words(error))

    def _hang_up(self, reason: str) -> None:
        self.ending, self.hung_up = reason, True
        if self._transport is not None:
            self._transport.send_close(WSCloseCode.GOING_AWAY)
            # A venue that no longer reads must not hold the connection open.
            self._transport.disconnect(graceful=False)


def _close_words(frame: WSFrame) -> str:
    code = frame.get_close_code()
    reason = (frame.get_close_message() or b"").decode("utf-8", "replace")
    number = getattr(code, "value", code)
    return f"{number} {reason}".strip()


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
