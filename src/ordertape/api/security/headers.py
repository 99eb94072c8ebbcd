"""What every answer says to a browser, and what an unexpected error says to nobody but the log."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from typing import Final

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ordertape.api.answers import refusal

__all__ = ["REQUEST_ID", "Headers"]

REQUEST_ID: Final = "X-Request-ID"
_ALWAYS: Final = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""OWASP, HTTP Security Response Headers Cheat Sheet.  There is no Access-Control-Allow-Origin: no
page of another site reads an answer."""
_POLICY: Final = (
    "default-src 'self'; script-src 'self'{scripts}; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; worker-src 'self' blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
_DATA_POLICY: Final = "default-src 'none'; frame-ancestors 'none'"
"""Of what is no page: were it shown as one, it could do nothing."""
_HSTS: Final = "max-age=31536000"
_SCRIPT: Final = re.compile(rb"<script>(.*?)</script>", re.DOTALL)
_DOCUMENTS: Final = ("/docs", "/docs/oauth2-redirect", "/redoc")
"""Pages that FastAPI writes with a script inside, and nothing of anybody else's.  No other page's
inner scripts run."""


class Headers:
    """Adds them to each answer, and answers 500 with an id that the log has, too."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(scope, send)
        try:
            await self._app(scope, receive, answer.send)
        except Exception as error:  # a defect of ours: the log has all of it, the client its number
            log = structlog.stdlib.get_logger("ordertape.api")
            log.exception(
                "L3_unexpected_error",
                request=answer.id,
                method=scope["method"],
                path=scope["path"],
                kind=type(error).__name__,
            )
            if answer.begun:
                # Half an answer must not look like a whole one: the server cuts the connection.
                raise
            sentence = f"something unexpected happened: the log says what under {answer.id}"
            await refusal(sentence, 500)(scope, receive, answer.send)


class _Answer:
    """One answer on its way."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope, self._send = scope, send
        self._held: Message | None = None
        self.id = secrets.token_hex(8)
        self.begun = False

    async def send(self, message: Message) -> None:
        if message["type"] != "http.response.start":
            await self._send_body(message)
            return
        headers = MutableHeaders(raw=list(message.get("headers", ())))
        is_page = headers.get("content-type", "").startswith("text/html")
        for name, value in _ALWAYS.items():
            headers[name] = value
        headers[REQUEST_ID] = self.id
        headers.setdefault("Cache-Control", "no-store")
        # A worker is held to the policy of its own script.
        runs = is_page or headers.get("content-type", "").startswith("text/javascript")
        headers["Content-Security-Policy"] = _POLICY.format(scripts="") if runs else _DATA_POLICY
        if self._scope["scheme"] == "https":
            headers["Strict-Transport-Security"] = _HSTS
        message = {**message, "headers": headers.raw}
        if is_page and self._scope["path"].endswith(_DOCUMENTS):
            self._held = message  # its policy names the script in its body
            return
        self.begun = True
        await self._send(message)

    async def _send_body(self, message: Message) -> None:
        held, self._held = self._held, None
        if held is not None:
            headers = MutableHeaders(raw=held["headers"])
            scripts = "".join(map(_digest, _SCRIPT.findall(message.get("body", b""))))
            headers["Content-Security-Policy"] = _POLICY.format(scripts=scripts)
            self.begun = True
            await self._send({**held, "headers": headers.raw})
        await self._send(message)


def _digest(script: bytes) -> str:
    """As a policy names a script that stands in its page."""
    return f" 'sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}'"
