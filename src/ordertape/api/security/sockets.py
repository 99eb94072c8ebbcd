"""Open WebSockets: how many, how much each says, and that one ends with its key."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ordertape import limits
from ordertape.api.security.keys import Key, KeyRing
from ordertape.api.security.rates import Rates

__all__ = ["POLICY_VIOLATION", "Guarded", "Sockets"]

POLICY_VIOLATION: Final = 1008
"""RFC 6455 7.4.1: neither the protocol nor the data, but our rules."""


class Sockets:
    """Those of one server.  One task looks after the keys of all, as long as any has one."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring
        self._open: set[Guarded] = set()
        self._by_client: Counter[str] = Counter()
        self._watch: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._open)

    def room_for(self, client: str) -> int | None:
        """None where one more may come, else the status that refuses it."""
        if len(self._open) >= limits.sockets_max:
            return 503
        if client and self._by_client[client] >= limits.sockets_per_address_max:
            return 429
        return None

    async def run(self, app: ASGIApp, scope: Scope, guarded: Guarded, client: str) -> None:
        """Serves one until it ends, its client talks too much, or its key stands no more."""
        self._open.add(guarded)
        self._by_client[client] += 1
        if guarded.key is not None and (self._watch is None or self._watch.done()):
            self._watch = asyncio.create_task(self._look_forever())
        try:
            await app(scope, guarded.receive, guarded.send)
        finally:
            self._open.discard(guarded)
            self._by_client[client] -= 1
            if not self._by_client[client]:
                del self._by_client[client]
            await guarded.ended()

    async def _look_forever(self) -> None:
        while any(guarded.key is not None for guarded in self._open):
            for guarded in list(self._open):
                if guarded.key is not None and not self._ring.stands(guarded.key):
                    guarded.end("the API key of this connection was revoked, or has expired")
            await asyncio.sleep(limits.keys_look_ms / 1000)


@dataclass(slots=True, eq=False)
class Guarded:
    """The two ends of one WebSocket.  To the application, one that we end is one that left."""

    inner_receive: Receive
    inner_send: Send
    key: Key | None
    protocol: str | None = None
    """What the client asked for and is to hear."""
    messages_per_minute: int = limits.socket_messages_per_minute_max
    said: Rates = field(init=False)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    closing: asyncio.Task[None] | None = None
    arriving: asyncio.Task[Message] | None = None

    def __post_init__(self) -> None:
        self.said = Rates(self.messages_per_minute / 60, self.messages_per_minute)

    @property
    def transport(self) -> Any:
        """The connection below, as uvicorn's own ``send`` has it; None with any other server."""
        return getattr(getattr(self.inner_send, "__self__", None), "transport", None)

    async def receive(self) -> Message:
        if self.arriving is None:
            self.arriving = asyncio.ensure_future(self.inner_receive())
        over = asyncio.ensure_future(self.over.wait())
        try:
            await asyncio.wait((self.arriving, over), return_when=asyncio.FIRST_COMPLETED)
        finally:
            over.cancel()
        if self.over.is_set():
            return {"type": "websocket.disconnect", "code": POLICY_VIOLATION}
        message, self.arriving = self.arriving.result(), None
        if message["type"] == "websocket.receive" and self.said.take(""):
            self.end(f"expected at most {self.messages_per_minute} messages a minute")
            return {"type": "websocket.disconnect", "code": POLICY_VIOLATION}
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "websocket.accept" and self.protocol is not None:
            message = {**message, "subprotocol": self.protocol}
        await self.inner_send(message)

    def end(self, reason: str) -> None:
        """Tells the client why, and the application that it left."""
        if not self.over.is_set():
            self.over.set()
            self.closing = asyncio.create_task(self._close(reason))

    async def _close(self, reason: str) -> None:
        """One that does not read even that is cut, so that nothing that waits reaches it later."""
        patience = limits.revoked_flush_ms / 1000
        with contextlib.suppress(RuntimeError, OSError):
            async with asyncio.timeout(patience):
                message = {"type": "websocket.close", "code": POLICY_VIOLATION, "reason": reason}
                await self.inner_send(message)
        abort = getattr(self.transport, "abort", None)
        if abort is not None:
            asyncio.get_running_loop().call_later(patience, abort)

    async def ended(self) -> None:
        if self.arriving is not None:
            self.arriving.cancel()
        if self.closing is not None:
            await self.closing
