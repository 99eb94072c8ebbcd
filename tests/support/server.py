"""The interface over real HTTP and sockets: uvicorn in a thread, collectors as processes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn

from ordertape.api.app import create_app
from ordertape.api.ports import Server
from ordertape.models import StreamInfo
from ordertape.roles.children import Child
from ordertape.roles.status import read_report
from ordertape.settings import Settings, load_settings
from ordertape.tape.folder import MarketFolder
from ordertape.venues.registry import venue_of
from support.processes import start_collector, wait_for

API = "/api/v1/orderbook-heatmap/level3"
PRODUCTS = frozenset({"BTC/USDT", "BTC/USD", "ETH/USDT"})


@dataclass
class CollectorStreams:
    """Streams by one collector process a market, which tells by its status file."""

    data: Path
    environment: dict[str, str]
    children: dict[tuple[str, str], Child] = field(default_factory=dict)
    infos: dict[tuple[str, str], StreamInfo] = field(default_factory=dict)

    async def start(
        self, exchange: str, symbol: str, persist: bool, interval: int | None
    ) -> StreamInfo:
        key = self.resolve(exchange, symbol)
        if key not in self.children:
            self.children[key] = start_collector(self.data, self.environment, symbols=(key[1],))
            await asyncio.to_thread(wait_for, lambda: self._read(key) is not None, "a report")
        info = self.status(*key)
        assert info is not None
        return info

    async def stop(self, exchange: str, symbol: str) -> StreamInfo:
        key = self.resolve(exchange, symbol)
        child = self.children.pop(key, None)
        if child is not None:
            await asyncio.to_thread(child.stop)
        info = self.status(*key)
        assert info is not None
        return info

    def status(self, exchange: str, symbol: str) -> StreamInfo | None:
        key = (exchange, symbol)
        if key in self.children or key in self.infos:
            self.infos[key] = self._read(key) or self.infos[key]
        return self.infos.get(key)

    def all(self) -> list[StreamInfo]:
        return [info for key in list(self.children) if (info := self.status(*key)) is not None]

    def resolve(self, exchange: str, symbol: str) -> tuple[str, str]:
        venue = venue_of(exchange)
        return venue.name, venue.resolve(symbol, PRODUCTS)

    def _read(self, key: tuple[str, str]) -> StreamInfo | None:
        report = read_report(MarketFolder(self.data, *key).root)
        child = self.children.get(key)
        if report is None or (child is not None and report.pid != child.pid):
            return None
        return StreamInfo(
            exchange=report.exchange,
            symbol=report.symbol,
            state=report.state,
            reason=report.reason,
            era=report.era,
            simulated=False,
            orders_received=report.events,
            orders_persisted=report.synced_sequence,
            snapshots_taken=report.counters.get("snapshots_taken", 0),
            started_at=report.started_at,
            last_update=report.last_frame_at,
            last_frame_at=report.last_frame_at,
            errors=report.errors,
            sequence=report.sequence,
            written_seq=report.sequence,
            durable_seq=report.synced_sequence,
        )

    def close(self) -> None:
        for child in self.children.values():
            child.stop()


@dataclass
class CollectorServer:
    streams: CollectorStreams
    data: Path
    database: str | None = None


def server_over(streams: CollectorStreams) -> Callable[[Settings], Any]:
    @asynccontextmanager
    async def running(_settings: Settings) -> AsyncIterator[CollectorServer]:
        yield CollectorServer(streams, streams.data)

    return running


@contextmanager
def serving(
    data: Path, running_server: Callable[[Settings], AbstractAsyncContextManager[Server]]
) -> Iterator[str]:
    """The address of the interface, ``http://127.0.0.1:PORT``."""
    settings = load_settings(data=data)
    config = uvicorn.Config(
        create_app(settings, running_server),
        port=0,
        log_config=None,
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        wait_for(lambda: server.started or not thread.is_alive(), "the server")
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(15)
        assert not thread.is_alive()
