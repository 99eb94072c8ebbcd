"""The largest and the slowest body a request may have: all that anybody asks here fits into a few
hundred bytes, and comes with the headers."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ordertape import limits
from ordertape.api.answers import refusal

__all__ = ["BodyBound"]

_TOO_LARGE: Final = f"expected a body of at most {limits.request_body_bytes_max} bytes"


class BodyBound:
    """Answers 413 in one sentence as soon as a body is known to be too large, 408 where it takes
    too long."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = limits.request_body_bytes_max
        told = dict(scope["headers"]).get(b"content-length", b"0")
        if not told.isdigit() or len(told) > len(str(most)) or int(told) > most:
            await refusal(_TOO_LARGE, 413)(scope, receive, send)
            return
        await self._app(scope, _Body(scope, receive).receive, send)


class _Body:
    """One that tells no length is counted as it comes."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._receive, self._method = receive, scope["method"]
        self._taken, self._complete = 0, False
        self._deadline = asyncio.get_running_loop().time() + limits.request_body_ms_max / 1000

    async def receive(self) -> Message:
        """The next part.  Raises HTTPException, which is answered where a route reads a body."""
        if self._complete:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            seconds = limits.request_body_ms_max / 1000
            return self._refused(408, f"expected the whole body within {seconds:g} s")
        self._taken += len(message.get("body", b""))
        self._complete = not message.get("more_body", False)
        if self._taken > limits.request_body_bytes_max:
            return self._refused(413, _TOO_LARGE)
        return message

    def _refused(self, status: int, sentence: str) -> Message:
        """Whoever reads no body waits only for the client to leave: it does."""
        if self._method in ("GET", "HEAD"):
            return {"type": "http.disconnect"}
        raise HTTPException(status, sentence)
