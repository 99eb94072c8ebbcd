"""``L3Repository``: the rows of PostgreSQL as models, for notebooks and the API."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from decimal import Decimal
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import psycopg

from ordertape import limits
from ordertape.database import saving
from ordertape.database.address import Address, address_of, connect, errors_of
from ordertape.database.books import latest_book
from ordertape.database.connections import Connections
from ordertape.database.cursor import behind, encode_cursor, text_of
from ordertape.database.pages import read_page, saved_part
from ordertape.database.replay import replayed
from ordertape.database.schema import create, require
from ordertape.database.sources import LAST_SEQ, Query
from ordertape.database.statistics import market_statistics
from ordertape.database.stored import stored_market
from ordertape.errors import DatabaseError, DatabaseUnavailable, OrdertapeError, SettingRefused
from ordertape.filters import Filters
from ordertape.models import (
    L3EventType,
    L3Order,
    L3Orderbook,
    L3Side,
    L3Snapshot,
)
from ordertape.settings import Settings, load_settings
from ordertape.tape.folder import MarketFolder
from ordertape.tape.rebuild import rebuild
from ordertape.times import Time, parse_time

__all__ = ["L3Repository"]

_T = TypeVar("_T")
_Word = TypeVar("_Word", bound=Enum)


class L3Repository:
    """An async context manager over one database.

    ``database_url`` and ``schema``: as DATABASE_URL and OTC_SCHEMA say where they are not given;
    ``data``: the folder of tapes (ORDERTAPE_DATA), whose embedded database is used where no URL is
    set.  Times are ISO 8601 text, datetimes (naive: UTC) or nanoseconds; start inclusive, end
    exclusive, by our clock.  Everything raises DatabaseError or another OrdertapeError; nothing
    answers an error with an empty result.
    """

    def __init__(
        self,
        database_url: str | None = None,
        *,
        schema: str | None = None,
        data: Path | str | None = None,
        settings: Settings | None = None,
        address: Address | None = None,
    ) -> None:
        if settings is None:
            settings = load_settings(
                database_url=database_url,
                database_schema=schema,
                data=Path(data) if data is not None else None,
            )
        self._settings = settings
        self.address = address if address is not None else address_of(settings)
        self._connections: Connections | None = None

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._ready)
        self._connections = Connections(self.address, name="ordertape repository", patient=True)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._close()

    def _ready(self) -> None:
        """The server runs, and the tables are there; in the embedded one they are made."""
        self.address.acquire()
        try:
            with connect(self.address) as connection:
                if self.address.embedded is not None:
                    create(connection, self.address.schema)
                else:
                    require(connection, self.address.schema)
        except BaseException:
            self.address.release()
            raise

    async def _close(self) -> None:
        if self._connections is not None:
            connections, self._connections = self._connections, None
            await asyncio.to_thread(connections.close)
        await asyncio.to_thread(self.address.release)

    async def _read(self, work: Callable[[Connections, _Waiting], _T]) -> _T:
        """Work in a thread: rows are made into objects there.  Who stops waiting ends its query."""
        if (connections := self._connections) is None:
            raise DatabaseError("the repository is not open: use `async with L3Repository() as …`")
        waiting = _Waiting()

        def run() -> _T:
            try:
                return work(connections, waiting)
            except DatabaseUnavailable:
                # An embedded server that was killed is started again, for the next query.
                self.address.ensure()
                connections.try_again()
                raise

        running = asyncio.ensure_future(asyncio.to_thread(run))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.to_thread(waiting.end)
            with suppress(OrdertapeError):
                await running
            raise

    async def _asked(self, work: Callable[[psycopg.Connection], _T]) -> _T:
        """Work over one connection."""

        def run(connections: Connections, waiting: _Waiting) -> _T:
            timeout_ms = limits.database_statement_timeout_ms
            with connections.use(timeout_ms, waiting.calling) as connection:
                return work(connection)

        return await self._read(run)

    # Reading --------------------------------------------------------------------------------------

    async def get_orders(
        self,
        exchange: str,
        symbol: str,
        start_time: Time | None = None,
        end_time: Time | None = None,
        limit: int = limits.page_rows_default,
        cursor: str | None = None,
        *,
        order: str = "asc",
        side: L3Side | str | None = None,
        event_type: L3EventType | str | None = None,
        order_id: str | None = None,
        min_price: Decimal | None = None,
        max_price: Decimal | None = None,
        min_size: Decimal | None = None,
    ) -> tuple[list[L3Order], str | None]:
        """A page of events by ``sequence``, and the cursor of the next one, None at the end.

        ``order``: "asc" or "desc".  A filtered page may be short and still have a cursor.
        """
        if not 1 <= limit <= limits.page_rows_max:
            raise SettingRefused(f"limit is {limit}: expected 1 to {limits.page_rows_max}")
        if order not in ("asc", "desc"):
            raise SettingRefused(f"order is {order!r}: expected asc or desc")
        filters = Filters(
            side=None if side is None else _member(L3Side, "side", side).code,
            kind=None
            if event_type is None
            else _member(L3EventType, "event_type", event_type).kind,
            order_id=order_id,
            min_price=min_price,
            max_price=max_price,
            min_size=min_size,
        )
        wanted = Query(
            1,
            LAST_SEQ,
            limit,
            order == "desc",
            filters,
            None if start_time is None else parse_time(start_time),
            None if end_time is None else parse_time(end_time),
        )
        text = text_of(exchange, symbol, wanted)
        wanted = behind(wanted, cursor, text)

        def read(connections: Connections, waiting: _Waiting) -> tuple[list[L3Order], str | None]:
            timeout_ms = limits.database_page_ms_max
            with connections.use(timeout_ms, waiting.calling) as connection:
                stored = stored_market(connection, exchange, symbol, exactly=True)
            if stored is None:
                return [], None
            part = saved_part(connections, stored, wanted, waiting.calling)
            page = read_page(
                [part],
                wanted._replace(first=part.first, last=part.last),
                make=lambda batch, era: [
                    L3Order.from_row(exchange, symbol, batch[row], era) for row in range(len(batch))
                ],
                leave=waiting,
            )
            following = page.next_seq
            return page.orders, None if following is None else encode_cursor(following, text)

        return await self._read(read)

    async def get_latest_snapshot(self, exchange: str, symbol: str) -> L3Snapshot | None:
        """The newest whole book of a market, None where there is none."""
        return await self._asked(lambda connection: latest_book(connection, exchange, symbol))

    async def rebuild_orderbook(
        self, exchange: str, symbol: str, at: Time | None = None
    ) -> L3Orderbook:
        """The book as it stood at ``at`` (inclusive; None: now), at the last complete message.

        From the tape where this machine has it, else from the rows here.  Raises UnknownMarket
        where nothing was recorded by then, DatabaseError where the rows do not reach back to a
        whole book.
        """
        data = self._settings.data
        if MarketFolder(data, exchange, symbol).exists:
            book = await asyncio.to_thread(rebuild, data, exchange, symbol, at)
            return L3Orderbook.from_book(exchange, symbol, book)
        at_ns = None if at is None else parse_time(at)
        book = await self._asked(lambda connection: replayed(connection, exchange, symbol, at_ns))
        return L3Orderbook.from_book(exchange, symbol, book)

    async def get_statistics(
        self,
        exchange: str,
        symbol: str,
        start_time: Time | None = None,
        end_time: Time | None = None,
    ) -> dict[str, Any]:
        """Counts and sums of the events of an interval; the fields of ``GET /statistics``.

        Raises UnknownMarket.
        """
        start = None if start_time is None else parse_time(start_time)
        end = None if end_time is None else parse_time(end_time)
        return await self._asked(
            lambda connection: market_statistics(connection, exchange, symbol, start, end)
        )

    # Saving ---------------------------------------------------------------------------------------

    async def save_order(self, order: L3Order) -> bool:
        """Saves one event that comes from elsewhere; False where its sequence is there already."""
        return await self.save_orders_batch([order]) == 1

    async def save_orders_batch(self, orders: Sequence[L3Order]) -> int:
        """Saves events that come from elsewhere, a market's all or none; how many were new.

        Raises SaveRefused where a market is collected: its rows come from its tape.
        """
        by_market: dict[tuple[str, str], list[L3Order]] = {}
        for order in orders:
            by_market.setdefault((order.exchange, order.symbol), []).append(order)

        def save(connection: psycopg.Connection) -> int:
            with connection.transaction():
                return sum(
                    saving.save_orders(
                        connection,
                        part,
                        data=self._settings.data,
                        order_index=self._settings.database_order_index,
                    )
                    for part in by_market.values()
                )

        return await self._in_thread(save)

    async def save_snapshot(self, snapshot: L3Snapshot) -> bool:
        """Saves a whole book that comes from elsewhere; False where it is there already."""

        def save(connection: psycopg.Connection) -> bool:
            return saving.save_snapshot(connection, snapshot, data=self._settings.data)

        return await self._in_thread(save)

    async def _in_thread(self, work: Callable[[psycopg.Connection], _T]) -> _T:
        """Work over a connection of its own: COPY from columns is not asynchronous."""

        def run() -> _T:
            saver = connect(self.address, name="ordertape saver")
            with errors_of(self.address), saver as connection:
                return work(connection)

        return await asyncio.to_thread(run)


class _Waiting:
    """Whether somebody still waits for what a thread reads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ended = False
        self._cancel: Callable[[], None] | None = None

    def __call__(self) -> None:
        """Asked between two steps.  Raises DatabaseError where nobody does."""
        if self._ended:
            raise DatabaseError("nobody waits for the answer any more")

    def end(self) -> None:
        """Cancels the query that runs."""
        with self._lock:
            self._ended = True
            if self._cancel is not None:
                self._cancel()

    @contextmanager
    def calling(self, cancel: Callable[[], None]) -> Iterator[None]:
        """As ``Connections.use`` has it."""
        with self._lock:
            self()
            self._cancel = cancel
        try:
            yield
        finally:
            with self._lock:  # a cancel that is under way ends nothing else
                self._cancel = None


def _member(kind: type[_Word], name: str, text: Any) -> _Word:
    try:
        return kind(text)
    except ValueError:
        known = ", ".join(member.value for member in kind)
        raise SettingRefused(f"{name} is {text!r}: expected one of {known}") from None
