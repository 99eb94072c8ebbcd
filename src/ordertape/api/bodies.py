"""The largest body a request may have: all that anybody asks here fits into a few hundred bytes."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ordertape import limits
from ordertape.api.answers import refusal

__all__ = ["BodyBound"]


class BodyBound:
    """Answers 413 in one sentence as soon as a body is known to be too large."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most, taken = limits.request_body_bytes_max, 0
        told = dict(scope["headers"]).get(b"content-length", b"0")
        if not told.isdigit() or len(told) > len(str(most)) or int(told) > most:
            await refusal(f"expected a body of at most {most} bytes", 413)(scope, receive, send)
            return

        async def bounded() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            # One that told no length, or a false one, is cut: it is no JSON then.
            return message if taken <= most else {"type": "http.request", "body": b""}

        await self._app(scope, bounded, send)
