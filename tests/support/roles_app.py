"""The smallest application that has the server's roles: ``uvicorn support.roles_app:app``.

``GET /`` tells the streams, ``POST /start`` and ``POST /stop`` take JSON; errors are 400 with a
sentence.  What the real application shows of the same lies above the roles and is tested there.
``LIMITS``, JSON, are limits of this process that differ.
"""

from __future__ import annotations

import dataclasses
import os
from contextlib import AsyncExitStack
from typing import Any

import msgspec

from ordertape import limits
from ordertape.errors import OrdertapeError
from ordertape.roles.demonstration import Demonstration
from ordertape.roles.logs import configure_logs
from ordertape.roles.server import Server, running_server
from ordertape.settings import load_settings

for name, given in msgspec.json.decode(os.environ.get("LIMITS", "{}")).items():
    assert hasattr(limits, name), name
    setattr(limits, name, given)


class Application:
    server: Server

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self.live(receive, send)
        elif scope["type"] == "http":
            await self.answer(scope, receive, send)

    async def live(self, receive: Any, send: Any) -> None:
        async with AsyncExitStack() as stack:
            await receive()
            try:
                settings = load_settings()
                configure_logs(settings.logs)
                shown = None
                if os.environ.get("DEMONSTRATION"):
                    shown = Demonstration(markets=(("bitfinex", "BTC/USDT"),))
                self.server = await stack.enter_async_context(running_server(settings, shown))
            except OrdertapeError as error:
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                return
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def answer(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        body = (await receive()).get("body", b"")
        status, found = 200, {}
        try:
            if scope["path"] == "/start":
                info = await self.server.streams.start(**msgspec.json.decode(body))
                found = dataclasses.asdict(info)
            elif scope["path"] == "/stop":
                info = await self.server.streams.stop(**msgspec.json.decode(body))
                found = dataclasses.asdict(info)
            else:
                found = self.everything()
        except OrdertapeError as error:
            status, found = 400, {"kind": type(error).__name__, "detail": str(error)}
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": msgspec.json.encode(found, enc_hook=str)})

    def everything(self) -> dict[str, Any]:
        roles = {
            watched.role.name: watched.child.pid if watched.child is not None else None
            for watched in self.server.supervisor.roles()
        }
        streams = [
            {**dataclasses.asdict(info), "is_active": info.is_active}
            for info in self.server.streams.all()
        ]
        return {"pid": os.getpid(), "roles": roles, "streams": streams}


app = Application()
