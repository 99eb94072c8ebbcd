"""Opens a WebSocket so that giving up half way, at any moment, leaves nothing behind."""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import suppress

from picows import WSError, WSListener, WSParsedURL, WSTransport, ws_connect

from ordertape import limits

__all__ = ["open_websocket"]


async def open_websocket(listener: WSListener, address: str) -> WSTransport:
    """The transport of an open connection whose frames go to ``listener``, pings with them.

    Raises OSError or picows' WSError, and TimeoutError after ``limits.connect_timeout_ms``.
    A cancelled ``ws_connect`` would leave its socket open, so it is never cancelled once it has
    one: the socket is shut down and the connect is left to fail.
    """
    opener = _Opener()
    seconds = limits.connect_timeout_ms / 1000
    connecting = asyncio.create_task(
        ws_connect(
            lambda: listener,
            address,
            websocket_handshake_timeout=seconds,
            max_frame_size=limits.frame_bytes_max,
            enable_auto_pong=False,
            logger_name=logging.getLogger("ordertape.socket"),
            socket_factory=opener.open,
        )
    )
    try:
        async with asyncio.timeout(seconds):
            transport, _ = await asyncio.shield(connecting)
            return transport
    except asyncio.CancelledError:
        await _give_up(connecting, opener)
        raise
    except TimeoutError:
        await _give_up(connecting, opener)
        raise TimeoutError(f"no connection within {limits.connect_timeout_ms} ms") from None


async def _give_up(
    connecting: asyncio.Task[tuple[WSTransport, WSListener]], opener: _Opener
) -> None:
    if opener.socket is None:
        connecting.cancel()
    else:
        with suppress(OSError):
            opener.socket.shutdown(socket.SHUT_RDWR)
    with suppress(OSError, WSError, asyncio.CancelledError):
        transport, _ = await connecting
        transport.disconnect(graceful=False)


class _Opener:
    """Connects to a host's addresses, one after the other, each with its part of the time."""

    def __init__(self) -> None:
        self.socket: socket.socket | None = None

    async def open(self, url: WSParsedURL) -> socket.socket:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM)
        problem: OSError = OSError(f"no address of {url.host}")
        for family, kind, protocol, _, address in found:
            candidate = socket.socket(family, kind, protocol)
            candidate.setblocking(False)
            try:
                async with asyncio.timeout(limits.connect_timeout_ms / 1000 / len(found)):
                    await loop.sock_connect(candidate, address)
            except OSError as error:  # a TimeoutError is one
                candidate.close()
                problem = error
            except BaseException:  # cancelled: the socket must not stay open
                candidate.close()
                raise
            else:
                candidate.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.socket = candidate
                return candidate
        raise problem
