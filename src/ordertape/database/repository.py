"""``L3Repository``: the rows of PostgreSQL as models, for notebooks and the API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec
import psycopg
from psycopg import AsyncConnection
from psycopg.types.json import set_json_loads
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from ordertape import limits
from ordertape.database import saving
from ordertape.database.address import Address, address_of, connect, sentence
from ordertape.database.edge import order_of, snapshot_of
from ordertape.database.pages import (
    behind,
    bounded,
    bounds_of,
    page_query,
    read_cursor_text,
    write_cursor,
)
from ordertape.database.replay import replayed
from ordertape.database.schema import create, require
from ordertape.database.statistics import market_statistics
from ordertape.errors import DatabaseError, DatabaseUnavailable, SettingRefused
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
from ordertape.tape.times import Time, parse_time

__all__ = ["L3Repository"]

_T = TypeVar("_T")
_exact = msgspec.json.Decoder(float_hook=Decimal)

_LATEST = """
    SELECT sequence, ts_recv, era, bids, asks, total_bid_orders, total_ask_orders,
        total_bid_volume, total_ask_volume
    FROM level3_snapshots WHERE exchange = %s AND symbol = %s
    ORDER BY ts_recv DESC, sequence DESC LIMIT 1
"""
_GAPS = """
    SELECT from_ns, to_ns, reason, healed_by FROM level3_gaps
    WHERE exchange = %s AND symbol = %s
        AND (%s::bigint IS NULL OR to_ns IS NULL OR to_ns > %s)
        AND (%s::bigint IS NULL OR from_ns < %s)
    ORDER BY from_ns
"""


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
        self._pool: AsyncConnectionPool[AsyncConnection[Any]] | None = None

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._ready)
        address = self.address
        options = (
            f"-c search_path={address.schema} -c jit=off -c timezone=UTC "
            f"-c statement_timeout={limits.database_statement_timeout_ms}"
        )
        self._pool = AsyncConnectionPool(
            address.conninfo(),
            min_size=1,
            max_size=limits.database_pool_connections_max,
            timeout=limits.database_pool_wait_ms / 1000,
            kwargs={
                "autocommit": True,
                "options": options,
                "application_name": "ordertape repository",
                # Prepared, a query would be planned for any market, and so read all of them.
                "prepare_threshold": None,
            },
            configure=_configure,
            open=False,
        )
        try:
            await self._pool.open(wait=True, timeout=limits.database_connect_timeout_ms / 1000)
        except PoolTimeout as error:
            await self._close()
            raise DatabaseUnavailable(f"{address.shown}: {error}") from None
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
        if self._pool is not None:
            pool, self._pool = self._pool, None
            await pool.close()
        await asyncio.to_thread(self.address.release)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection[Any]]:
        """A connection of the pool, our schema on its search path; errors are ours."""
        if self._pool is None:
            raise DatabaseError("the repository is not open: use `async with L3Repository() as …`")
        try:
            async with self._pool.connection() as connection:
                yield connection
        except PoolTimeout:
            await self._revive()
            raise DatabaseUnavailable(
                f"{self.address.shown}: no connection within {limits.database_pool_wait_ms} ms"
            ) from None
        except psycopg.errors.QueryCanceled:
            raise DatabaseError(
                f"{self.address.shown}: the query took longer than "
                f"{limits.database_statement_timeout_ms} ms and was canceled: ask for less"
            ) from None
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            await self._revive()
            raise DatabaseUnavailable(f"{self.address.shown}: {sentence(error)}") from None
        except psycopg.Error as error:
            raise DatabaseError(f"{self.address.shown}: {sentence(error)}") from None

    async def _revive(self) -> None:
        """An embedded server that was killed is started again, for the next query."""
        await asyncio.to_thread(self.address.ensure)

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
        descending = order == "desc"
        after = None if cursor is None else read_cursor_text(cursor, descending=descending)
        async with self.connection() as connection:
            bounds = await bounds_of(connection, exchange, symbol, start_time, end_time)
            bounds = behind(bounds, after, descending=descending)
            scanned: int | None = None
            if filters.any and order_id is None:
                bounds, scanned = await bounded(
                    connection, exchange, symbol, bounds, descending=descending
                )
            query, values = page_query(
                exchange, symbol, bounds, filters, descending=descending, rows=limit + 1
            )
            rows = await (await connection.execute(query, values)).fetchall()
        orders = [order_of(exchange, symbol, row) for row in rows[:limit]]
        if len(rows) > limit:
            return orders, write_cursor(orders[-1].sequence, descending=descending)
        if scanned is not None:
            return orders, write_cursor(scanned, descending=descending)
        return orders, None

    async def get_latest_snapshot(self, exchange: str, symbol: str) -> L3Snapshot | None:
        """The newest whole book of a market, None where there is none."""
        async with self.connection() as connection:
            found = await (await connection.execute(_LATEST, (exchange, symbol))).fetchone()
        return None if found is None else snapshot_of(exchange, symbol, found)

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
        async with self.connection() as connection:
            book = await replayed(connection, exchange, symbol, at_ns)
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
        async with self.connection() as connection:
            found = await market_statistics(connection, exchange, symbol, start, end)
        newest = await self.get_latest_snapshot(exchange, symbol)
        live = None if newest is None else newest.statistics.model_dump()
        return {
            **found,
            "gaps": await self._gap_figures(exchange, symbol, start, end),
            "live": live,
        }

    async def get_gaps(
        self,
        exchange: str,
        symbol: str,
        start_time: Time | None = None,
        end_time: Time | None = None,
    ) -> list[dict[str, Any]]:
        """Noticed losses that touch an interval: from_ns, to_ns, reason, healed_by of each."""
        start = None if start_time is None else parse_time(start_time)
        end = None if end_time is None else parse_time(end_time)
        async with self.connection() as connection:
            rows = await (
                await connection.execute(_GAPS, (exchange, symbol, start, start, end, end))
            ).fetchall()
        names = ("from_ns", "to_ns", "reason", "healed_by")
        return [dict(zip(names, row, strict=True)) for row in rows]

    async def _gap_figures(
        self, exchange: str, symbol: str, start: int | None, end: int | None
    ) -> dict[str, Any]:
        gaps = await self.get_gaps(exchange, symbol, start, end)
        lost = 0
        for gap in gaps:
            if gap["to_ns"] is None:
                continue
            first = gap["from_ns"] if start is None else max(start, gap["from_ns"])
            last = gap["to_ns"] if end is None else min(end, gap["to_ns"])
            lost += max(0, last - first)
        return {"count": len(gaps), "seconds": Decimal(lost).scaleb(-9)}

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
            try:
                with connect(self.address, name="ordertape saver") as connection:
                    return work(connection)
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                raise DatabaseUnavailable(f"{self.address.shown}: {sentence(error)}") from None
            except psycopg.Error as error:
                raise DatabaseError(f"{self.address.shown}: {sentence(error)}") from None

        return await asyncio.to_thread(run)


async def _configure(connection: AsyncConnection[Any]) -> None:
    # JSON numbers keep their digits.
    set_json_loads(_exact.decode, connection)


def _member(kind: type[_T], name: str, text: Any) -> _T:
    try:
        return kind(text)  # type: ignore[call-arg]
    except ValueError:
        known = ", ".join(member.value for member in kind)  # type: ignore[attr-defined]
        raise SettingRefused(f"{name} is {text!r}: expected one of {known}") from None
