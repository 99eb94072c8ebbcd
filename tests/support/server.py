"""The interface over real HTTP and sockets: uvicorn in a thread, collectors as processes."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn

from ordertape.api.app import create_app
from ordertape.api.ports import Server
from ordertape.errors import UnknownMarket
from ordertape.models import StreamInfo
from ordertape.roles.children import Child
from ordertape.roles.status import read_report
from ordertape.settings import Settings, load_settings
from ordertape.tape.folder import MarketFolder, markets
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

    async def start_all(
        self, exchanges: Iterable[str], symbol: str, persist: bool, interval: int | None
    ) -> list[StreamInfo]:
        names = [venue_of(exchange) for exchange in exchanges]
        keys = [(venue.name, venue.resolve(symbol, PRODUCTS)) for venue in names]
        for key in keys:
            if key not in self.children:
                environment, symbols = self.environment, (key[1],)
                self.children[key] = start_collector(self.data, environment, symbols=symbols)
                await asyncio.to_thread(wait_for, lambda key=key: self._read(key), "a report")
        return [info for key in keys if (info := self.status(*key)) is not None]

    async def stop(self, exchange: str, symbol: str) -> StreamInfo:
        key = self.resolve(exchange, symbol)
        child = self.children.get(key)
        if child is not None:
            await asyncio.to_thread(child.stop)
        info = self.status(*key)
        self.children.pop(key, None)
        assert info is not None
        return info

    def status(self, exchange: str, symbol: str) -> StreamInfo | None:
        key = (exchange, symbol)
        info = self._read(key) or self.infos.get(key)
        if info is None and MarketFolder(self.data, *key).exists:
            info = StreamInfo(exchange=exchange, symbol=symbol, state="STOPPED")
        if info is not None:
            self.infos[key] = info
        return info

    def all(self) -> list[StreamInfo]:
        keys = {(folder.exchange, folder.symbol) for folder in markets(self.data)}
        return [info for key in sorted(keys) if (info := self.status(*key)) is not None]

    def resolve(self, exchange: str, symbol: str) -> tuple[str, str]:
        known = {f.symbol for f in markets(self.data) if f.exchange == exchange}
        if symbol in known:
            return exchange, symbol
        if not known:
            raise UnknownMarket(f"{exchange} {symbol} was never collected in {self.data}")
        return exchange, venue_of(exchange).resolve(symbol, frozenset(known))

    async def changed(self) -> None:
        await asyncio.sleep(0.02)

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

    def kill(self, exchange: str, symbol: str) -> None:
        """Its collector is gone without a word."""
        child = self.children.pop((exchange, symbol))
        os.kill(child.pid, signal.SIGKILL)
        child.stop()

    def close(self) -> None:
        for child in self.children.values():
            child.stop()


@dataclass
class CollectorServer:
    streams: CollectorStreams
    data: Path


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
