"""The live markets that pages look at: begun for the first reader, ended a while after the last."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path

from ordertape import limits
from ordertape.errors import ChildFailed
from ordertape.page.live import Collected, LiveMarket
from ordertape.page.recent import RecentTiles
from ordertape.page.scene import Reader, Scene, Watcher

__all__ = ["PageMarkets"]

Key = tuple[Path, str, str]


class PageMarkets:
    """Belongs to the event loop; threads are ended in ``executor``.

    Whoever begins a market raises ChildFailed where ``limits.page_markets_max`` are in use.
    """

    def __init__(self, executor: Executor, collected: Collected = lambda _root: True) -> None:
        self.recent = RecentTiles()
        """Of markets that are looked at."""
        self._executor, self._collected = executor, collected
        self._markets: dict[Key, LiveMarket] = {}
        self._readers: dict[Key, int] = {}
        self._ends: dict[Key, asyncio.TimerHandle] = {}

    def join(self, data: Path, exchange: str, symbol: str, reader: Reader) -> LiveMarket:
        market = self._held((data, exchange, symbol))
        market.join(reader)
        return market

    def leave(self, market: LiveMarket, reader: Reader) -> None:
        market.leave(reader)
        self._let_go(market)

    def watch(self, data: Path, exchange: str, symbol: str, watcher: Watcher) -> LiveMarket:
        """As ``join`` for one that is told what happens."""
        market = self._held((data, exchange, symbol))
        market.watch(watcher)
        return market

    def unwatch(self, market: LiveMarket, watcher: Watcher) -> None:
        market.unwatch(watcher)
        self._let_go(market)

    def __contains__(self, key: Key) -> bool:
        """Whether a market is looked at, or was a while ago."""
        return key in self._markets

    def warm(self, data: Path, exchange: str, symbol: str, begun: Callable[[Scene], None]) -> None:
        """Begins a market that somebody is about to look at; ``begun`` is told in its thread."""
        key = data, exchange, symbol
        if key in self._markets:
            return
        market = self._held(key)
        market.ask(begun)
        self._let_go(market)

    def _held(self, key: Key) -> LiveMarket:
        if (end := self._ends.pop(key, None)) is not None:
            end.cancel()
        market = self._markets.get(key)
        if market is None:
            self._make_room()
            market = self._markets[key] = LiveMarket(*key, self._collected)
            market.start()
        self._readers[key] = self._readers.get(key, 0) + 1
        return market

    def _make_room(self) -> None:
        if len(self._markets) < limits.page_markets_max:
            return
        idle = next(iter(self._ends), None)
        if idle is None:
            raise ChildFailed(
                f"{len(self._markets)} markets are looked at already, the most there may be: "
                "close a page, or ask again later"
            )
        self._ends[idle].cancel()
        self._end(idle)

    def _let_go(self, market: LiveMarket) -> None:
        key = (market.data, market.spot.exchange, market.spot.symbol)
        self._readers[key] -= 1
        if self._readers[key] == 0:
            loop = asyncio.get_running_loop()
            self._ends[key] = loop.call_later(limits.page_linger_ms / 1000, self._end, key)

    def _end(self, key: Key) -> None:
        del self._ends[key], self._readers[key]
        self._executor.submit(self._markets.pop(key).stop)
        self._executor.submit(self.recent.forget, *key)

    async def close(self) -> None:
        for end in self._ends.values():
            end.cancel()
        loop = asyncio.get_running_loop()
        stops = (loop.run_in_executor(self._executor, m.stop) for m in self._markets.values())
        await asyncio.gather(*stops)
        await loop.run_in_executor(self._executor, self.recent.close)
        self._markets.clear()
