"""A WebSocket whose client reads nothing ends all the same."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Receive, Scope, Send

from ordertape import limits

__all__ = ["EndsInTime"]


class EndsInTime:
    """What a server closes it first sends to the end, and a client that never reads would hold
    socket and buffer for ever: some time after a session's end its connection is cut.

    An application may not reach its connection; uvicorn's protocols, whose bound method ``send``
    is, have it as ``transport``.  With any other server nothing is cut.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        finally:
            if scope["type"] == "websocket":
                transport = getattr(getattr(send, "__self__", None), "transport", None)
                abort = getattr(transport, "abort", None)
                if abort is not None:
                    asyncio.get_running_loop().call_later(limits.client_flush_ms / 1000, abort)
