"""The interface as ``ordertape serve`` has it, bounds and all, in front of finished tapes."""

from __future__ import annotations

import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI
from websockets.sync.client import ClientConnection, connect

from ordertape.api.app import create_app
from ordertape.api.ports import Streams
from ordertape.api.security.transport import secure
from ordertape.database.address import Address
from ordertape.roles.logs import configure_logs
from ordertape.settings import Settings, load_settings
from support.interface import Behind, FinishedStreams
from support.processes import wait_for
from support.server import API

ELSEWHERE = {"X-Forwarded-For": "203.0.113.9"}
"""What a proxy on this machine says of a client on another one."""


@dataclass
class Guarded:
    """A server that answers on every address of this machine."""

    port: int
    app: FastAPI
    server: uvicorn.Server
    client: httpx.Client

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self.client.request(method, self.address + path, **options)

    def get(self, path: str, host: str = "127.0.0.1", **options: Any) -> httpx.Response:
        return self.client.get(f"http://{host}:{self.port}{path}", **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.ask("POST", path, **options)

    def socket(self, path: str = f"{API}/ws/BTC/USDT", **options: Any) -> ClientConnection:
        return connect(f"ws://127.0.0.1:{self.port}{path}", max_queue=None, **options)


@contextmanager
def guarded(
    data: Path,
    streams: Streams | None = None,
    host: str = "0.0.0.0",
    database: Address | None = None,
    **given: Any,
) -> Iterator[Guarded]:
    """``given``: settings."""
    behind = Behind(streams or FinishedStreams(data), data, database)

    @asynccontextmanager
    async def running(_settings: Settings) -> AsyncIterator[Behind]:
        yield behind

    configure_logs(data / "logs", console=False)
    app = create_app(load_settings(data=data, **given), running)
    configuration = secure(uvicorn.Config(app, host=host, port=0, log_config=None, lifespan="on"))
    server = uvicorn.Server(configuration)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        wait_for(lambda: server.started or not thread.is_alive(), "the server")
        port = server.servers[0].sockets[0].getsockname()[1]
        with httpx.Client(timeout=120) as client:
            yield Guarded(port, app, server, client)
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


def own_address() -> str | None:
    """An address of this machine that others reach, None where it has loopback alone."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(("198.51.100.1", 9))  # nothing is sent
        except OSError:
            return None
        found: str = asking.getsockname()[0]
    return None if found.startswith(("127.", "0.")) else found
