"""What every route works with, and how it finds the market that is meant."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from fastapi import Depends
from fastapi import Path as PathParameter
from starlette.requests import HTTPConnection

from ordertape import limits
from ordertape.alerts.service import Alerts
from ordertape.alerts.store import DatabaseStore, MemoryStore
from ordertape.alerts.webhooks import Webhooks
from ordertape.api.database import Database
from ordertape.api.figures import KnownFigures
from ordertape.api.findings import FindingsFeed
from ordertape.api.ports import Server
from ordertape.api.work import Work
from ordertape.broadcast.hub import Hub
from ordertape.broadcast.market import Channel
from ordertape.database.findings import FindingsStore
from ordertape.database.stored import Stored
from ordertape.errors import DatabaseError, DatabaseUnavailable, NameRefused, UnknownMarket
from ordertape.kept import Kept
from ordertape.lifecycles.log import LivesLog
from ordertape.models import StreamInfo
from ordertape.page.bookmarks import Bookmarks
from ordertape.page.heat import BUCKET_NS
from ordertape.page.markets import PageMarkets
from ordertape.page.overview import Overviews
from ordertape.page.tiles import TileWish
from ordertape.settings import Settings
from ordertape.tape.folder import MarketFolder
from ordertape.tape.history import History, history_of
from ordertape.tape.lookup import TapeLookup
from ordertape.tape.reader import TapeReader

__all__ = ["Api", "Exchange", "Meant", "Symbol", "TheApi"]

Result = TypeVar("Result")
TileKey = tuple[Path, TileWish]
Exchange = Annotated[str, PathParameter(description="the venue's name", examples=["bitfinex"])]
Symbol = Annotated[
    str,
    PathParameter(
        description="in any usual form; a slash is welcome", examples=["BTC/USDT", "tBTCUST"]
    ),
]


@dataclass(frozen=True, slots=True)
class Meant:
    """A market that was, or is, collected or imported."""

    exchange: str
    symbol: str
    folder: MarketFolder
    info: StreamInfo | None
    """What its collector says, where it ran under this server."""
    channel: Channel | None
    """Its live book, where it runs."""
    stored: Stored | None = None
    """Where no tape is here and PostgreSQL alone has it."""

    @property
    def persists(self) -> bool:
        return self.info is None or self.info.persist or not self.info.is_active

    def envelope(self, history: History | None = None, era: int | None = None) -> dict[str, Any]:
        """``state``, ``era``, ``age_ms``, ``simulated``, as every answer has them."""
        info = self.info
        known = history.last_era if history is not None else 0
        if self.stored is not None:
            known = max(known, self.stored.era)
        return {
            "state": "STOPPED" if info is None else info.state,
            "era": era if era is not None else max(known, 0 if info is None else info.era),
            "age_ms": None if info is None else info.age_ms,
            "simulated": (info is not None and info.simulated)
            or (history is not None and history.simulated)
            or (self.stored is not None and self.stored.simulated),
        }


class Api:
    """The server's parts, as long as it runs."""

    def __init__(self, server: Server, settings: Settings, hub: Hub, work: Work) -> None:
        self.server, self.settings, self.hub, self.work = server, settings, hub, work
        self.database = None if server.database is None else Database(server.database)
        self.figures = KnownFigures()
        self.pages = PageMarkets(work.live, server.is_collected)
        self.bookmarks = Bookmarks(server.data)
        secret = settings.webhook_secret
        self.alerts = Alerts(
            MemoryStore() if server.database is None else DatabaseStore(server.database),
            self.pages,
            self._data_of,
            Webhooks(
                settings.webhook_addresses(),
                None if secret is None else secret.get_secret_value(),
            ),
        )
        self.findings = None if server.database is None else FindingsStore(server.database)
        self.found = None if self.findings is None else FindingsFeed(self.findings)
        self.overviews = Overviews()
        self.tiles: tuple[Kept[TileKey, tuple[bytes, str]], ...] = tuple(
            Kept(limits.tiles_kept) for _ in BUCKET_NS
        )
        """Finished ones by level of detail, gzipped, with their ETags."""
        self._lives: Kept[Path, LivesLog] = Kept(limits.lives_logs_kept)
        self._lookups: Kept[Path, TapeLookup] = Kept(limits.lookups_kept)
        self._histories: Kept[Path, tuple[object, History]] = Kept(limits.lookups_kept)

    def begin(self) -> None:
        self.alerts.begin()
        if self.found is not None:
            self.found.listen(self.alerts.found)
            self.found.begin()

    async def close(self) -> None:
        if self.found is not None:
            await self.found.close()
        await self.alerts.close()
        await self.pages.close()
        if self.database is not None:
            self.database.close()

    def streams(self) -> list[StreamInfo]:
        """Every market that was ever collected here."""
        return [self.hub.as_read(info) for info in self.server.streams.all()]

    async def in_thread(self, task: Callable[[], Result]) -> Result:
        """Short blocking work."""
        return await asyncio.get_running_loop().run_in_executor(self.work.executor, task)

    def find(self, exchange: str, symbol: str) -> Meant:
        """The market in any usual form.  Raises UnknownMarket where none was ever collected."""
        if max(len(exchange), len(symbol)) > limits.name_text_max:
            raise NameRefused(
                f"expected names of at most {limits.name_text_max} characters, "
                f"found {max(len(exchange), len(symbol))}"
            )
        streams = self.server.streams
        exchange, symbol = streams.resolve(exchange.strip(), symbol.strip())
        info = streams.status(exchange, symbol)
        info = info if info is None else self.hub.as_read(info)
        data = self.server.data if info is None or info.data is None else info.data
        folder = MarketFolder(data, exchange, symbol)
        return Meant(exchange, symbol, folder, info, self.hub.channel(exchange, symbol))

    async def find_stored(self, exchange: str, symbol: str) -> Meant:
        """As ``find``, also of what PostgreSQL alone has, put there through ``L3Repository``."""
        try:
            return self.find(exchange, symbol)
        except UnknownMarket as error:
            if (database := self.database) is None:
                raise
            try:
                stored = await self.in_thread(lambda: database.find(exchange, symbol))
            except DatabaseError:
                if isinstance(error, NameRefused):
                    raise error from None
                raise DatabaseUnavailable(
                    f"{error}, and whether the database has it can't be said: it does not answer"
                ) from None
            if stored is None:
                raise
        folder = MarketFolder(self.server.data, stored.exchange, stored.symbol)
        return Meant(stored.exchange, stored.symbol, folder, None, None, stored)

    def _data_of(self, exchange: str, symbol: str) -> Path:
        folder = self.find(exchange, symbol).folder
        folder.require()
        return folder.data

    def lookup(self, meant: Meant) -> TapeLookup:
        """Blocking work: the market's tape."""
        meant.folder.require()
        return self._lookups.first(meant.folder.root, TapeLookup(meant.folder))

    def lives(self, meant: Meant) -> LivesLog:
        """The lives of the market's orders."""
        return self._lives.first(meant.folder.root, LivesLog(meant.folder))

    def history(self, meant: Meant) -> History:
        """Blocking work: what the market's marks say; no tape, no marks."""
        if meant.channel is not None and meant.channel.replica.wait(0):
            return meant.channel.replica.history
        folder = meant.folder
        if not folder.exists:
            return History()
        written = _written(folder)
        found = self._histories.get(folder.root)
        if found is None or found[0] != written:
            history = history_of(TapeReader(folder.data, folder.exchange, folder.symbol))
            found = (written, history)
            self._histories.put(folder.root, found)
        return found[1]


def _written(folder: MarketFolder) -> object:
    """Changes whenever something was written to a tape."""
    return [
        (path.name, path.stat().st_mtime_ns)
        for part in (folder.journal, folder.archive)
        if part.is_dir()
        for path in sorted(part.iterdir())[-2:]
    ]


def _api_of(connection: HTTPConnection) -> Api:
    api: Api = connection.app.state.api
    return api


TheApi = Annotated[Api, Depends(_api_of)]
