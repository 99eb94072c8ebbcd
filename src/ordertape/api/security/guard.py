"""The door of the interface: every request and WebSocket is looked at before any route sees it.

In this order: how often its client asks, whether a page of another site sent it, which key it
shows and what that may do, the name it calls the server by.  A key that is shown counts, also where
none is needed: who shows one is held to it.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from ordertape import limits
from ordertape.api.answers import hidden_folder, refusal
from ordertape.api.security.keys import Key, KeyProblem, KeyRing
from ordertape.api.security.keys import Scope as KeyScope
from ordertape.api.security.places import Places, client_of, is_local
from ordertape.api.security.rates import Rates
from ordertape.api.security.scopes import messages_per_minute, needed_scope
from ordertape.api.security.sockets import Guarded, Sockets
from ordertape.settings import Settings

__all__ = ["KEY_PROTOCOL", "PROTOCOL", "Guard"]

PROTOCOL: Final = "ordertape"
"""What a browser's WebSocket asks for beside its key, and gets."""
KEY_PROTOCOL: Final = "ordertape.key."
"""Before the key in ``Sec-WebSocket-Protocol``, the one header that a page may set there.  A query
string stands in histories and logs (OWASP, WebSocket Security Cheat Sheet)."""
_READING: Final = ("GET", "HEAD")
_WORK: Final = ("/api/", "/metrics")
"""What begins so is no page."""
_ASKING: Final = [("WWW-Authenticate", 'Bearer realm="ordertape"')]
_PROMPT: Final = ("WWW-Authenticate", 'Basic realm="ordertape", charset="UTF-8"')
_RETRY_SECONDS: Final = 5


class _Refused(Exception):
    """The status, the sentence and the headers of an answer that no route makes."""

    def __init__(self, status: int, sentence: str, *headers: tuple[str, str]) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.headers = status, sentence, headers


class Guard:
    """``ring``: the keys of the data folder."""

    def __init__(self, app: ASGIApp, settings: Settings, ring: KeyRing) -> None:
        self._app = app
        self._ring = ring
        self._require_key = settings.require_key
        self._folder = str(settings.data.absolute())
        self._places = Places(settings)
        self._sockets = Sockets(ring)
        self._local = Rates(limits.local_requests_per_second_max, limits.local_requests_burst_max)
        self._others = Rates(limits.requests_per_second_max, limits.requests_burst_max)
        self._trouble: str | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if not is_local(scope):
            hidden_folder.set(self._folder)
        try:
            key = self._let_in(scope)
            client = client_of(scope)
            if scope["type"] == "websocket":
                self._has_room(client)
        except _Refused as refused:
            answer = refusal(refused.sentence, refused.status)
            for name, value in refused.headers:
                answer.headers.append(name, value)
            await answer(scope, receive, send)
            return
        if scope["type"] == "http":
            await self._app(scope, receive, send)
            return
        # A browser ends a WebSocket that names none of the protocols it asked for.
        protocol = PROTOCOL if PROTOCOL in scope.get("subprotocols", ()) else None
        guarded = Guarded(receive, send, key, protocol, messages_per_minute(scope))
        await self._sockets.run(self._app, scope, guarded, client)

    def _let_in(self, scope: Scope) -> Key | None:
        """The key it came in with, None where it needs none.  Raises _Refused."""
        # The server below bounds a head only while it has come in parts.
        head = sum(len(name) + len(value) for name, value in scope["headers"])
        head += len(scope["path"]) + len(scope["query_string"])
        if head > limits.request_head_bytes_max:
            raise _Refused(
                400,
                f"expected at most {limits.request_head_bytes_max} bytes of address and headers, "
                f"found {head}",
            )
        shown = _shown_key(scope)
        local = is_local(scope)
        try:
            key = None if shown is None else self._ring.key(shown)
        except KeyProblem as problem:
            self._take(self._others, client_of(scope) or "this machine")
            self._tell_trouble()
            raise _Refused(401, str(problem), *_challenge(scope)) from None
        if key is not None:
            self._take(self._others, f"key {key.id}")
        elif local:
            self._take(self._local, "")
        else:
            self._take(self._others, client_of(scope) or "this machine")
        # A page of another site may not read an answer anyway; nor may it have us work for it.
        if not _opens_a_page(scope) and not self._places.knows_origin(scope):
            raise _Refused(
                403,
                "this page is of another site: ORDERTAPE_ALLOWED_ORIGINS names those whose "
                "scripts may use this server",
            )
        needed = needed_scope(scope)
        if needed != "public":
            self._may(scope, key, needed, local=local and not self._require_key)
        return key

    def _may(self, scope: Scope, key: Key | None, needed: KeyScope, *, local: bool) -> None:
        """Raises _Refused."""
        if key is not None:
            if not key.allows(needed):
                raise _Refused(
                    403, f"this needs an API key of scope {needed}, yours is {key.scope}"
                )
        elif not local:
            self._tell_trouble()
            how = "show it as `Authorization: Bearer KEY`"
            if self._ring.is_empty:
                how = "there is none yet, `ordertape keys create` makes one"
            raise _Refused(
                401, f"this needs an API key of scope {needed}: {how}", *_challenge(scope)
            )
        elif not self._places.knows_host(scope):
            raise _Refused(
                421,
                "the Host is none of this server's names: ORDERTAPE_ALLOWED_HOSTS adds some, and "
                "with an API key any will do",
            )

    def _take(self, rates: Rates, client: str) -> None:
        if wait := rates.take(client):
            raise _Refused(429, f"too many requests: wait {wait} s", ("Retry-After", str(wait)))

    def _has_room(self, client: str) -> None:
        status = self._sockets.room_for(client)
        if status is not None:
            whose = "your address has" if status == 429 else "there are"
            raise _Refused(
                status,
                f"{whose} as many WebSockets as may be: close some",
                ("Retry-After", str(_RETRY_SECONDS)),
            )

    def _tell_trouble(self) -> None:
        """A file of keys that can't be used lets nobody in: the log says so, once."""
        trouble = self._ring.trouble
        if trouble is not None and trouble != self._trouble:
            structlog.stdlib.get_logger("ordertape.api").error("L3_keys_unusable", reason=trouble)
        self._trouble = trouble


def _challenge(scope: Scope) -> list[tuple[str, str]]:
    """How a key is shown.  A person's browser is asked for a password, which is the key; a page's
    script is not, for it would have the browser ask."""
    is_page = Headers(scope=scope).get("sec-fetch-mode") == "navigate"
    return [*_ASKING, _PROMPT] if is_page else _ASKING


def _opens_a_page(scope: Scope) -> bool:
    """Whether a person's browser goes to a page, by a link of whatever site; not a frame in
    another page, nor what that has fetched beforehand."""
    headers = Headers(scope=scope)
    is_whole = headers.get("sec-fetch-dest") == "document" and "sec-purpose" not in headers
    is_page = scope["type"] == "http" and not scope["path"].startswith(_WORK)
    return is_whole and is_page and scope["method"] in _READING


def _shown_key(scope: Scope) -> str | None:
    """The text of the key, wherever a client may show it; empty where it can't be read."""
    headers = Headers(scope=scope)
    if (direct := headers.get("x-api-key")) is not None:
        return direct.strip()
    if (authorization := headers.get("authorization")) is not None:
        kind, _, rest = authorization.strip().partition(" ")
        if kind.lower() == "bearer":
            return rest.strip()
        return _password(rest) if kind.lower() == "basic" else ""
    for protocol in scope.get("subprotocols", ()):
        if protocol.startswith(KEY_PROTOCOL):
            return str(protocol.removeprefix(KEY_PROTOCOL))
    return None


def _password(text: str) -> str:
    """Of ``name:password`` in base64 (RFC 7617); whatever name it is."""
    try:
        return base64.b64decode(text, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""
