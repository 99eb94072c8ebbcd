"""A server ends in time and without a traceback, whatever its clients asked for."""

from __future__ import annotations

import gc
import logging
import re
import signal
import socket
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn
from starlette.requests import Request

from ordertape.api.app import create_app
from ordertape.api.security.transport import secure
from ordertape.api.work import Leave
from ordertape.roles.addresses import listening_addresses
from ordertape.settings import Settings, load_settings
from ordertape.tape.folder import MarketFolder
from support.interface import Behind, FinishedStreams
from support.processes import SYMBOL, wait_for
from support.roles_server import launched
from support.server import API
from support.tape import Market, write_journal

ANALYSIS = "/api/v1/orderbook-heatmap/analysis"
TROUBLE = re.compile(r"Traceback|never retrieved|Exception in ASGI")


def test_roles_are_asked_to_end_while_an_answer_is_still_worked_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    asked, begun, saw = threading.Event(), threading.Event(), []

    @asynccontextmanager
    async def running(_settings: Settings) -> AsyncIterator[Behind]:
        yield Behind(FinishedStreams(tmp_path), tmp_path, None)
        asked.set()

    app = create_app(load_settings(data=tmp_path), running)

    @app.get("/held")
    async def held(request: Request) -> None:
        def task(leave: Leave) -> None:
            begun.set()
            saw.append(asked.wait(20))
            leave()

        await app.state.api.work.run(request, task)

    configuration = secure(uvicorn.Config(app, port=0, log_config=None, lifespan="on"))
    configuration.timeout_graceful_shutdown = 1
    server = uvicorn.Server(configuration)
    with ThreadPoolExecutor(2) as beside, caplog.at_level(logging.WARNING):
        serving = beside.submit(server.run)
        wait_for(lambda: server.started or serving.done(), "the server")
        port = server.servers[0].sockets[0].getsockname()[1]
        answer = beside.submit(httpx.get, f"http://127.0.0.1:{port}/held", timeout=60)
        assert begun.wait(20)
        server.should_exit = True
        serving.result(60)
        assert answer.result(60).status_code == 503
        assert answer.result().json() == {"detail": "the server is ending"}
        gc.collect()  # what nobody retrieved is told then
    assert saw == [True]
    assert TROUBLE.findall(caplog.text) == []


def test_a_stop_beside_analyses_tells_no_traceback_and_is_in_time(tmp_path: Path) -> None:
    data = tmp_path / "data"
    write_journal(MarketFolder(data, "bitfinex", SYMBOL), Market().messages(40_000))
    command = ("ordertape", "serve", "--port", "0", "--data", str(data))
    with launched(data, {}, command=command, path=f"{API}/streams") as server:
        server.wait_up()
        (address,) = listening_addresses(server.process.pid)
        host, port = address.removeprefix("http://").split(":")
        path = f"{ANALYSIS}/bitfinex/{SYMBOL}?step=1"
        clients = [socket.create_connection((host, int(port)), 60) for _ in range(40)]
        for client in clients:
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        with clients.pop(0) as answered:
            assert answered.recv(65_536).startswith(b"HTTP/1.1 200 ")
        server.end_in_time(signal.SIGTERM)
        said = server.words()
        answers = [_all_of(client) for client in clients]
    assert any(b"the server is ending" in answer for answer in answers)
    assert TROUBLE.findall(said) == []
    assert TROUBLE.findall((tmp_path / "logs" / "app.log").read_text()) == []


def _all_of(client: socket.socket) -> bytes:
    with client:
        said = b""
        while part := client.recv(65_536):
            said += part
        return said
