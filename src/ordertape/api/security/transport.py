"""What is set of the server below the interface, uvicorn, and what it lacks.

uvicorn bounds neither the time that a request's headers take nor how long an answer may lie there
unread, and its own defaults (messages of 16 MiB, deflate on) are a public server's: a client that
sends a byte a minute would hold a connection for ever (slowloris).  Nor does it bound what of a
WebSocket no application hears: pings, whose answers gather where the client reads none, and parts
of a message that never ends.  ``uvicorn app.main:app`` gets the same as ``ordertape serve``: it is
found while it loads the application.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any, Final

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

from ordertape import limits
from ordertape.api.security.keys import KeyRing
from ordertape.api.security.places import client_at, is_loopback
from ordertape.api.security.rates import Rates
from ordertape.api.security.repeats import quiet
from ordertape.api.security.sockets import POLICY_VIOLATION
from ordertape.api.unsent import bytes_unsent
from ordertape.errors import SettingRefused
from ordertape.settings import Settings

__all__ = ["PatientH11", "PatientWebSocket", "loading_configuration", "require_key_for", "secure"]

_LOOKS: Final = 4
"""Looks at a connection within the time it is given."""


def secure(configuration: uvicorn.Config) -> uvicorn.Config:
    """The same with every bound of ours, loaded or not."""
    configuration.http = PatientH11
    configuration.ws = PatientWebSocket
    # Set by ``load`` before it loads the application, which is where we may be.
    configuration.http_protocol_class = PatientH11
    configuration.ws_protocol_class = PatientWebSocket
    configuration.ws_max_size = limits.client_message_bytes_max
    configuration.ws_per_message_deflate = False
    configuration.ws_ping_interval = float(limits.socket_ping_seconds)
    configuration.ws_ping_timeout = float(limits.socket_ping_seconds)
    configuration.h11_max_incomplete_event_size = limits.request_head_bytes_max
    configuration.timeout_keep_alive = limits.keep_alive_seconds
    configuration.backlog = limits.listen_backlog
    configuration.server_header = False
    headers = getattr(configuration, "encoded_headers", [])
    configuration.encoded_headers = [header for header in headers if header[0] != b"server"]
    quiet()
    return configuration


def loading_configuration() -> uvicorn.Config | None:
    """The configuration that has us imported right now, None where none does.

    uvicorn hands an application neither its configuration nor its address.
    """
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
        found = frame.f_locals.get("self")
        if isinstance(found, uvicorn.Config):
            return found
    return None


def require_key_for(host: str, settings: Settings, said: str) -> None:
    """Raises SettingRefused where others reach ``host`` and no key would keep them out.

    ``said``: how the address was chosen, for the sentence.
    """
    ring = KeyRing(settings.data)
    if ring.trouble is not None:
        raise SettingRefused(ring.trouble)
    if not is_loopback(host.strip("[]")) and ring.is_empty:
        raise SettingRefused(
            f"{said} is {host!r}, which other machines reach, and {settings.data} has no API key: "
            "make one with `ordertape keys create NAME --scope read`, or listen on 127.0.0.1"
        )


class PatientH11(H11Protocol):
    """uvicorn's, which has patience for so long only."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._quiet_since = 0.0
        self._answered = 0.0
        self._unsent, self._unsent_since = 0, 0.0
        self._look: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # uvicorn
        super().connection_made(transport)
        if self._is_one_too_many():
            transport.abort()
            return
        self._quiet_since = self.loop.time()
        self._look_later()

    def _is_one_too_many(self) -> bool:
        if len(self.connections) > limits.connections_max:
            return True
        own = "" if self.client is None else client_at(self.client[0])
        if not own:
            return False  # this machine's, behind which a proxy's many clients may be
        clients = [getattr(other, "client", None) for other in self.connections]
        theirs = [client for client in clients if client and client_at(client[0]) == own]
        return len(theirs) > limits.connections_per_address_max

    def on_response_complete(self) -> None:
        self._quiet_since = self._answered = self.loop.time()
        super().on_response_complete()
        if self.transport.get_write_buffer_size():
            self._bound_unread()

    def _bound_unread(self) -> None:
        """Of the whole answers that clients let lie those go first that have lain the longest."""
        waiting = [
            (other._answered, size, other)
            for other in self.connections
            if isinstance(other, PatientH11)
            and (other.cycle is None or other.cycle.response_complete)
            and (size := other.transport.get_write_buffer_size())
        ]
        total = sum(size for _, size, _ in waiting)
        for _, size, other in sorted(waiting, key=lambda found: found[0]):
            if total <= limits.answers_unread_bytes_max:
                return
            total -= size
            other.transport.abort()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        self._forget()
        super().handle_websocket_upgrade(event)

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def _look_later(self) -> None:
        shortest = min(limits.request_head_ms_max, limits.answer_stuck_ms_max) / 1000
        self._look = self.loop.call_later(shortest / _LOOKS, self._look_now)

    def _forget(self) -> None:
        if self._look is not None:
            self._look.cancel()
            self._look = None

    def _look_now(self) -> None:
        now, unsent = self.loop.time(), bytes_unsent(self.transport)
        if unsent != self._unsent:
            self._unsent, self._unsent_since = unsent, now
        waits = self.cycle is None or self.cycle.response_complete
        if unsent:
            self._quiet_since = now  # an answer ends when its client has it
            if now - self._unsent_since >= limits.answer_stuck_ms_max / 1000:
                self.transport.abort()
                return
        elif waits and now - self._quiet_since >= limits.request_head_ms_max / 1000:
            self.transport.abort()
            return
        self._look_later()


class PatientWebSocket(WebSocketsSansIOProtocol):
    """uvicorn's, which hears so many frames only that are no messages, and ends in time."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        most = limits.socket_frames_per_minute_max
        self._frames_heard = Rates(most / 60, most)

    async def send(self, message: Any) -> None:
        await super().send(message)
        is_answer = message["type"] == "websocket.http.response.body"
        if is_answer and not message.get("more_body", False):
            # A refusal is a handshake's end, too; uvicorn (0.54) logs an error for want of one.
            self.handshake_complete = True

    def handle_ping(self) -> None:
        if self._may_go_on():
            super().handle_ping()

    def handle_pong(self, event: Frame) -> None:
        if self._may_go_on():
            super().handle_pong(event)

    def handle_cont(self, event: Frame) -> None:
        if self._may_go_on():
            super().handle_cont(event)

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self._cut_later()

    def _may_go_on(self) -> bool:
        """False: the connection ends, now or already."""
        if self.close_sent or self.transport.is_closing():
            return False
        if not self._frames_heard.take(""):
            return True
        most = limits.socket_frames_per_minute_max
        self.conn.fail(POLICY_VIOLATION, f"expected at most {most} pings and parts a minute")
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.transport.close()
        self._cut_later()
        return False

    def _cut_later(self) -> None:
        """A closed connection sends what waits to the end, which never comes where nobody reads;
        until then its session would go on."""
        self.loop.call_later(limits.client_flush_ms / 1000, self.transport.abort)
