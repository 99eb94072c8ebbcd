"""A WebSocket's connection: reached for what is framed already, and ended in time."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ordertape import limits
from ordertape.api.answers import refusal
from ordertape.api.unsent import bytes_unsent

__all__ = ["OUTLET", "ConnectionOutlet", "EndsInTime"]

_RESET: Final = struct.pack("ii", 1, 0)
OUTLET: Final = "ordertape.outlet"
"""Under which a WebSocket's scope has its ConnectionOutlet, None where the server hides it."""


class ConnectionOutlet:
    """Writes frames that are the same for many clients straight to one client's connection.

    An ASGI server frames each text for each client anew, which takes longer than all else there is
    to do for it.  uvicorn's protocols, whose bound method ``send`` is, have their connection as
    ``transport``, say in ``writable`` whether it takes more, and in ``close_sent`` that it ends.
    """

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol
        self._transport: asyncio.Transport = protocol.transport
        self._writable: asyncio.Event = protocol.writable

    @classmethod
    def behind(cls, send: Send) -> ConnectionOutlet | None:
        """None with a server that is not like uvicorn."""
        protocol = getattr(send, "__self__", None)
        wanted = ("transport", "writable", "close_sent")
        return cls(protocol) if all(hasattr(protocol, name) for name in wanted) else None

    def hold_little(self) -> None:
        """Once the client is let in: what it does not read stays in its mailbox, not in ours and
        the kernel's buffers, which take 4 MiB unasked.  (uvicorn has no option for it, and a
        listening socket of somebody else's choice, such as systemd's, passes none on.)"""
        most = limits.client_connection_bytes_max
        self._transport.set_write_buffer_limits(high=most, low=most // 4)
        connection = self._transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(
                socket.SOL_SOCKET, socket.SO_SNDBUF, limits.client_kernel_bytes_max
            )

    @property
    def closing(self) -> bool:
        return bool(self._protocol.close_sent) or self._transport.is_closing()

    @property
    def ready(self) -> bool:
        return self._writable.is_set() and not self.closing

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    @property
    def unsent(self) -> int:
        return bytes_unsent(self._transport)

    async def drained(self) -> None:
        await self._writable.wait()

    def abort(self) -> None:
        """Ends the connection, whatever it and the kernel still hold: without a reset the kernel
        would try for minutes to hand it to a client that does not read."""
        connection = self._transport.get_extra_info("socket")
        if connection is not None:
            with contextlib.suppress(OSError, ValueError):  # it is closed already
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()


class EndsInTime:
    """Stands outside of all others, next to the server: hands the connection in, and cuts it some
    time after a session's end.  What a server closes it first sends to the end, and a client that
    never reads would hold socket and buffer for ever.

    What is still under way when the server ends is canceled by it.  That stops here, for there is
    nobody above to be told, and uvicorn would log it as an error of ours; who waits for an answer
    is told why there is none.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._answer(scope, receive, send)
            return
        if scope["type"] != "websocket":
            await self._app(scope, receive, send)
            return
        outlet = ConnectionOutlet.behind(send)
        try:
            await self._app({**scope, OUTLET: outlet}, receive, send)
        except asyncio.CancelledError:
            if outlet is not None:
                outlet.abort()
        finally:
            if outlet is not None:
                asyncio.get_running_loop().call_later(limits.client_flush_ms / 1000, outlet.abort)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except asyncio.CancelledError:
            if not begun:
                await refusal("the server is ending", 503)(scope, receive, send)
