"""The interface alone, in front of tapes and a database that the test itself fills."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from ordertape.api.app import create_app
from ordertape.api.ports import Streams
from ordertape.database.address import Address
from ordertape.errors import UnknownMarket
from ordertape.measures import MeasuredStream, ProcessMeasures
from ordertape.models import StreamInfo
from ordertape.settings import Settings, load_settings
from ordertape.tape.folder import markets
from support.processes import wait_for
from support.server import API


@dataclass
class FinishedStreams:
    """Every market that has a tape; none runs."""

    data: Path

    async def start_all(
        self, exchanges: Iterable[str], symbol: str, persist: bool, interval: int | None
    ) -> list[StreamInfo]:
        raise UnknownMarket("nothing is collected here")

    async def stop(self, exchange: str, symbol: str) -> StreamInfo:
        raise UnknownMarket("nothing is collected here")

    def status(self, exchange: str, symbol: str) -> StreamInfo | None:
        return None

    def all(self) -> list[StreamInfo]:
        return []

    def resolve(self, exchange: str, symbol: str) -> tuple[str, str]:
        for folder in markets(self.data):
            if (folder.exchange, folder.symbol) == (exchange, symbol):
                return exchange, symbol
        raise UnknownMarket(f"{exchange} {symbol} was never collected in {self.data}")

    async def changed(self) -> None:
        raise TimeoutError


@dataclass
class RunningStreams:
    """These streams, whose tapes, where they have any, the test itself writes."""

    infos: list[StreamInfo]

    async def start_all(
        self, exchanges: Iterable[str], symbol: str, persist: bool, interval: int | None
    ) -> list[StreamInfo]:
        wanted = set(exchanges)
        return [info for info in self.infos if info.exchange in wanted]

    async def stop(self, exchange: str, symbol: str) -> StreamInfo:
        raise UnknownMarket("nothing is stopped here")

    def status(self, exchange: str, symbol: str) -> StreamInfo | None:
        found = (i for i in self.infos if (i.exchange, i.symbol) == (exchange, symbol))
        return next(found, None)

    def all(self) -> list[StreamInfo]:
        return self.infos

    def resolve(self, exchange: str, symbol: str) -> tuple[str, str]:
        return exchange, symbol

    async def changed(self) -> None:
        raise TimeoutError


@dataclass
class Behind:
    """What stands behind the interface."""

    streams: Streams
    data: Path
    database: Address | None

    def measured(self) -> list[MeasuredStream]:
        return []

    def processes(self) -> list[ProcessMeasures]:
        return []

    def starts(self) -> dict[str, int]:
        return {}

    def is_collected(self, folder: Path) -> bool:
        """As far as its tape says: there is no collector here."""
        return folder.exists()

    def not_ready(self) -> dict[str, str]:
        return {}


@dataclass
class Interface:
    """One that answers."""

    address: str
    """Under which the routes are."""
    server: uvicorn.Server


@contextmanager
def interface(
    data: Path, database: Address | None = None, streams: Streams | None = None
) -> Iterator[Interface]:
    """The interface in front of these streams, of finished ones where none are given."""
    behind = Behind(streams or FinishedStreams(data), data, database)

    @asynccontextmanager
    async def running(_settings: Settings) -> AsyncIterator[Behind]:
        yield behind

    app = create_app(load_settings(data=data), running)
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, log_config=None, ws="websockets-sansio", lifespan="on")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        wait_for(lambda: server.started or not thread.is_alive(), "the server")
        port = server.servers[0].sockets[0].getsockname()[1]
        yield Interface(f"http://127.0.0.1:{port}{API}", server)
    finally:
        server.should_exit = True
        thread.join(15)
        assert not thread.is_alive()
