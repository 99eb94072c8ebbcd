"""Pages of events are the same from PostgreSQL, from the tape, and across both."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ordertape import EventBatch
from ordertape.api.database import Database
from ordertape.api.pages import Page, read_page
from ordertape.api.sources import Leaf, Query, Tape
from ordertape.api.work import Leave
from ordertape.database.address import Address, connect
from ordertape.database.follower import MarketFollower
from ordertape.errors import DatabaseError
from ordertape.events import EventKind, Side
from ordertape.filters import Filters
from ordertape.tape.folder import MarketFolder
from ordertape.tape.history import history_of
from ordertape.tape.journal import JournalWriter
from ordertape.tape.lookup import TapeLookup
from ordertape.tape.marks import Mark
from ordertape.tape.reader import TapeReader
from support.postgres import connection, database, embedded_server, installed
from support.tape import Market

__all__ = ["connection", "database", "embedded_server", "installed"]

MARKET = ("bitfinex", "BTC/USDT")
EVERYTHING = Query(1, 2**63 - 1, 1_000, False, Filters())
DAY = 86_400 * 10**9


@pytest.fixture
def folder(tmp_path: Path) -> MarketFolder:
    return MarketFolder(tmp_path / "data", *MARKET)


@pytest.fixture
def store(database: Address) -> Iterator[Database]:
    opened = Database(database)
    yield opened
    opened.close()


def record(
    folder: MarketFolder, market: Market, messages: int, *, clear_every: int = 0, days: int = 1
) -> list[EventBatch]:
    """Messages over so many days, with the marks of their eras."""
    batches: list[EventBatch] = []
    with JournalWriter(folder) as journal:
        for batch in market.messages(messages, clear_every=clear_every):
            journal.append(batch)
            batches.append(batch)
            if batch.counts()[EventKind.CLEAR]:
                era = sum(found.counts()[EventKind.CLEAR] for found in batches)
                journal.mark(Mark("era", batch.first_seq, market.now, {"era": era}))
            market.now += days * DAY // messages
    return batches


def copy(folder: MarketFolder, address: Address, steps: int = 1_000) -> None:
    """What the follower does, so many transactions of it."""
    with connect(address) as connection:
        follower = MarketFollower(folder, connection, address, days=None)
        while steps and follower.step(final=True):
            steps -= 1
        follower.close()


def tape_of(folder: MarketFolder) -> Tape:
    history = history_of(TapeReader(folder.data, folder.exchange, folder.symbol))
    return Tape(TapeLookup(folder), history)


def bounded(tape: Tape, query: Query) -> Query:
    last = min(query.last, tape.lookup.last_seq())
    return query._replace(first=max(query.first, tape.lookup.first_seq()), last=last)


def from_tape(tape: Tape, query: Query) -> Page:
    query = bounded(tape, query)
    parts = [] if query.first > query.last else [part_of(tape, query)]
    return read_page(parts, query, start="{", leave=Leave(), failed=never)


def part_of(tape: Tape, query: Query) -> Any:
    from ordertape.api.pages import Part

    return Part(tape, query.first, query.last)


def from_both(store: Database, tape: Tape, query: Query) -> Page:
    leave = Leave()
    query = bounded(tape, query)
    parts = store.parts(tape, query, leave)
    return read_page(parts, query, start="{", leave=leave, failed=store.failed)


def never(error: DatabaseError) -> None:
    raise AssertionError(error)


def filters_of(batches: list[EventBatch]) -> list[Filters]:
    rows = [batch[at] for batch in batches[::7] for at in range(len(batch))]
    order = next(row["order_id"] for row in rows if row["order_id"] is not None)
    price = next(row["price"] for row in rows if row["price"] is not None)
    size = next(row["size"] for row in rows if row["size"])
    return [
        Filters(),
        *(Filters(kind=kind) for kind in EventKind),
        *(Filters(side=side) for side in Side),
        Filters(order_id=order),
        Filters(order_id=f"0{order}"),
        Filters(order_id="a 'quoted' \"id\" \\ with {everything} %s"),
        Filters(min_price=price),
        Filters(max_price=price - Decimal("0.0000001")),
        Filters(min_price=price, max_price=price),
        Filters(min_size=size),
        Filters(min_size=Decimal("1e40")),
        Filters(side=Side.ASK, kind=EventKind.MATCH, min_size=Decimal("0.5")),
    ]


@pytest.mark.parametrize("codec", ["int", "uuid", "intern"])
def test_a_page_is_the_same_byte_for_byte_from_the_tape_and_from_postgresql(
    folder: MarketFolder, store: Database, codec: str
) -> None:
    market = Market(codec)
    batches = record(folder, market, 600, clear_every=250, days=3)
    copy(folder, store.address)
    tape = tape_of(folder)
    assert {
        type(part.source) for part in store.parts(tape, bounded(tape, EVERYTHING), Leave())
    } == {Leaf}
    whole = from_both(store, tape, EVERYTHING._replace(limit=10_000))
    assert len(whole.orders) == market.next_seq - 1
    for filters in filters_of(batches):
        for descending in (False, True):
            query = EVERYTHING._replace(filters=filters, descending=descending, limit=70)
            expected, found = from_tape(tape, query), from_both(store, tape, query)
            assert found.orders == expected.orders
            assert found.next_seq == expected.next_seq
