"""Pages of events are the same from PostgreSQL, from the tape, and across both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import count
from pathlib import Path

import numpy as np
import psycopg
import pytest
from structlog.testing import capture_logs

from ordertape import EventBatch
from ordertape._engine import BatchBuilder
from ordertape.api.database import Database
from ordertape.api.tape import Tape
from ordertape.api.work import Leave
from ordertape.broadcast.encode import order_objects
from ordertape.database.address import Address, connect
from ordertape.database.follower import MarketFollower
from ordertape.database.pages import Page, Part, read_page
from ordertape.database.partitions import drop_before, leaves
from ordertape.database.schema import create
from ordertape.database.sources import Leaf, Query
from ordertape.errors import DatabaseError
from ordertape.events import EventKind, Side
from ordertape.filters import Filters
from ordertape.tape.archive import Archiver
from ordertape.tape.folder import MarketFolder
from ordertape.tape.history import history_of
from ordertape.tape.journal import JournalWriter
from ordertape.tape.lookup import TapeLookup
from ordertape.tape.marks import Mark
from ordertape.tape.reader import TapeReader
from support.postgres import InstalledServer
from support.tape import Market

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


@pytest.fixture(autouse=True)
def _asked_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is there changes here while pages are read."""
    monkeypatch.setattr("ordertape.limits.api_stretches_ms", 0)


def record(
    folder: MarketFolder, market: Market, messages: int, *, clear_every: int = 0, days: int = 1
) -> list[EventBatch]:
    """Messages over so many days, with the marks of their eras."""
    batches: list[EventBatch] = []
    if market.next_seq == 1:
        market.now -= market.now % DAY
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


def record_more(folder: MarketFolder, market: Market, messages: int) -> None:
    with JournalWriter(folder) as journal:
        for batch in market.messages(messages):
            journal.append(batch)


def copied_again(folder: MarketFolder, store: Database, connection: psycopg.Connection) -> None:
    """As after a restore: the cursor at the beginning and no rows."""
    for leaf in leaves(connection):
        connection.execute(f"DROP TABLE {leaf.name}".encode())
    connection.execute("UPDATE cursors SET seq = 0, ts_recv = 0, era = 0")
    copy(folder, store.address)


def tape_of(folder: MarketFolder) -> Tape:
    history = history_of(TapeReader(folder.data, folder.exchange, folder.symbol))
    return Tape(TapeLookup(folder), history)


def bounded(tape: Tape, query: Query) -> Query:
    last = min(query.last, tape.lookup.last_seq())
    return query._replace(first=max(query.first, tape.lookup.first_seq()), last=last)


def from_tape(tape: Tape, query: Query) -> Page[str]:
    query = bounded(tape, query)
    parts = [] if query.first > query.last else [part_of(tape, query)]
    return read_page(parts, query, make=order_objects, leave=Leave(), failed=never)


def part_of(tape: Tape, query: Query) -> Part:
    return Part(tape, query.first, query.last)


def from_both(store: Database, tape: Tape, query: Query) -> Page[str]:
    leave = Leave()
    query = bounded(tape, query)
    parts = store.parts(tape, query, leave)
    return read_page(parts, query, make=order_objects, leave=leave, failed=store.failed)


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


def sources_of(store: Database, tape: Tape, query: Query = EVERYTHING) -> list[type]:
    return [type(part.source) for part in store.parts(tape, bounded(tape, query), Leave())]


def paged(
    store: Database, tape: Tape, query: Query, between: Callable[[int], None] = lambda _page: None
) -> list[str]:
    """The objects of every page, as a client gets them who follows the cursor."""
    found: list[str] = []
    for turn in count():
        page = from_both(store, tape, query)
        found += page.orders
        if page.next_seq is None:
            return found
        if query.descending:
            query = query._replace(last=page.next_seq)
        else:
            query = query._replace(first=page.next_seq)
        between(turn)
        assert turn < 10_000
    raise AssertionError


@pytest.mark.parametrize("descending", [False, True])
def test_pages_cross_from_the_archive_to_postgresql_to_the_journal_without_a_seam(
    folder: MarketFolder, store: Database, connection: psycopg.Connection, descending: bool
) -> None:
    market = Market()
    record(folder, market, 500, clear_every=200, days=4)
    copy(folder, store.address)
    Archiver(folder).finish()
    record_more(folder, market, 60)
    # Retention drops the oldest days; the newest events are not copied yet.
    oldest = leaves(connection)[1].day
    drop_before(connection, leaves(connection)[0].generation, oldest)
    tape = tape_of(folder)
    assert sources_of(store, tape) == [Tape, Leaf, Leaf, Leaf, Tape]
    for filters in (Filters(), Filters(side=Side.BID), Filters(kind=EventKind.MATCH)):
        query = EVERYTHING._replace(descending=descending, filters=filters)
        expected = from_tape(tape, query._replace(limit=10_000)).orders
        for limit in (1_000, 47):
            assert paged(store, tape, query._replace(limit=limit)) == expected


@pytest.mark.parametrize("descending", [False, True])
def test_a_day_that_retention_drops_between_two_pages_and_inside_one_leaves_no_hole(
    folder: MarketFolder,
    store: Database,
    connection: psycopg.Connection,
    descending: bool,
) -> None:
    record(folder, Market(), 400, clear_every=150, days=4)
    copy(folder, store.address)
    tape = tape_of(folder)
    query = EVERYTHING._replace(descending=descending, limit=40)
    expected = from_tape(tape, query._replace(limit=10_000)).orders
    drops = iter(leaves(connection))

    def drop_one(_page: int) -> None:
        if (leaf := next(drops, None)) is not None:
            connection.execute(f"DROP TABLE {leaf.name}".encode())

    assert paged(store, tape, query, drop_one) == expected
    # What a page was told is there may be gone when it reads it.
    copied_again(folder, store, connection)
    whole = bounded(tape, query._replace(limit=10_000))
    parts = store.parts(tape, whole, Leave())
    assert [type(part.source) for part in parts] == [Leaf] * 4
    connection.execute(f"DROP TABLE {leaves(connection)[1].name}".encode())
    failures: list[DatabaseError] = []
    page = read_page(parts, whole, make=order_objects, leave=Leave(), failed=failures.append)
    assert page.orders == expected
    assert len(failures) == 1


@pytest.mark.parametrize("descending", [False, True])
def test_a_follower_that_catches_up_between_pages_changes_none_of_them(
    folder: MarketFolder, store: Database, descending: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ordertape.limits.database_batch_rows", 25)
    monkeypatch.setattr("ordertape.limits.journal_run_rows", 1)
    record(folder, Market(), 300, clear_every=100)
    copy(folder, store.address, 2)
    tape = tape_of(folder)
    query = EVERYTHING._replace(descending=descending, limit=60)
    expected = from_tape(tape, query._replace(limit=10_000)).orders
    seen: list[int] = []

    def catch_up(_page: int) -> None:
        copy(folder, store.address, 3)
        with connect(store.address) as opened:
            seen.append(opened.execute("SELECT seq FROM cursors").fetchone()[0])

    assert paged(store, tape, query, catch_up) == expected
    assert seen[0] < seen[1] < len(expected)


def test_a_leaf_that_is_not_attached_yet_is_read_from_the_tape(
    folder: MarketFolder, store: Database, connection: psycopg.Connection
) -> None:
    record(folder, Market(), 200, days=2)
    copy(folder, store.address)
    leaf = leaves(connection)[0]
    connection.execute(
        f"ALTER TABLE events_{leaf.generation} DETACH PARTITION {leaf.name}".encode()
    )
    tape = tape_of(folder)
    assert sources_of(store, tape) == [Tape, Leaf]
    query = EVERYTHING._replace(limit=10_000)
    assert from_both(store, tape, query).orders == from_tape(tape, query).orders


def test_a_new_generation_goes_on_without_a_seam(folder: MarketFolder, store: Database) -> None:
    market = Market()
    record(folder, market, 80)
    finer = Market()
    finer.next_seq, finer.now = market.next_seq, market.now
    finer.builder = BatchBuilder(finer.codec, 4, 8, finer.trade_codec)
    record(folder, finer, 80)
    copy(folder, store.address)
    tape = tape_of(folder)
    assert sources_of(store, tape) == [Leaf, Leaf]
    for descending in (False, True):
        query = EVERYTHING._replace(limit=31, descending=descending)
        expected = from_tape(tape, query._replace(limit=10_000)).orders
        assert paged(store, tape, query) == expected


def test_rows_of_another_tape_are_never_answered(
    folder: MarketFolder, store: Database, tmp_path: Path
) -> None:
    other = MarketFolder(tmp_path / "other", *MARKET)
    record(other, Market(seed=8), 100)
    copy(other, store.address)
    market = Market(seed=9)
    market.now += 1
    record(folder, market, 100)
    tape = tape_of(folder)
    assert sources_of(store, tape) == [Tape]


@pytest.mark.parametrize("cause", ["killed", "slow", "dropped"])
def test_whatever_becomes_of_the_database_the_pages_go_on_from_the_tape(
    folder: MarketFolder,
    store: Database,
    connection: psycopg.Connection,
    cause: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record(folder, Market(), 200, clear_every=90)
    copy(folder, store.address)
    tape = tape_of(folder)
    query = EVERYTHING._replace(limit=50)
    expected = from_tape(tape, query._replace(limit=10_000)).orders

    def break_it(page: int) -> None:
        if page != 2:
            return
        if cause == "killed":
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'ordertape api'"
            )
        elif cause == "slow":
            monkeypatch.setattr("ordertape.limits.api_statement_ms_max", 30)
            leaf = leaves(connection)[0].name
            connection.execute("BEGIN")
            connection.execute(f"LOCK TABLE {leaf} IN ACCESS EXCLUSIVE MODE".encode())
        else:
            connection.execute(f"DROP SCHEMA {store.address.schema} CASCADE".encode())

    with capture_logs() as told:
        assert paged(store, tape, query, break_it) == expected
    if cause == "slow":
        connection.execute("ROLLBACK")
        reasons = [line["reason"] for line in told]
        assert len(reasons) == 1, reasons
        assert "longer than 30 ms and was canceled" in reasons[0]
    if cause == "killed":
        assert sources_of(store, tape) == [Leaf]


def test_a_server_that_is_away_is_told_once_and_again_when_it_is_back(
    folder: MarketFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ordertape.limits.api_database_retry_ms", 0)
    record(folder, Market(), 100)
    tape = tape_of(folder)
    away = Database(Address("nobody", url="postgresql://127.0.0.1:1/x"))
    expected = from_tape(tape, EVERYTHING).orders
    with capture_logs() as told:
        for _ in range(3):
            assert from_both(away, tape, EVERYTHING).orders == expected
    assert [line["event"] for line in told] == ["L3_pages_without_database"]
    away.close()


def test_the_first_event_since_a_moment_is_the_tapes_wherever_it_is_looked_up(
    folder: MarketFolder, store: Database, connection: psycopg.Connection
) -> None:
    market = Market()
    record(folder, market, 300, days=4)
    copy(folder, store.address)
    record_more(folder, market, 20)
    gone, kept, *_ = leaves(connection)
    drop_before(connection, gone.generation, kept.day)
    tape = tape_of(folder)
    (everything,) = (EventBatch.concat(tape.lookup.events(1, market.next_seq)),)
    times: list[int] = np.asarray(everything.column("ts_recv")).tolist()
    asked = {ts + shift for ts in times[::40] for shift in (-1, 0, 1)}
    asked |= {0, times[0], times[-1], times[-1] + 1, *gone.bounds, *kept.bounds}
    for ts in sorted(asked):
        assert store.seq_from(tape, ts, Leave()) == tape.lookup.seq_from(ts)


@pytest.mark.parametrize("descending", [False, True])
def test_a_server_that_is_killed_while_pages_are_read_is_used_again_when_it_is_back(
    folder: MarketFolder,
    own_server: InstalledServer,
    monkeypatch: pytest.MonkeyPatch,
    descending: bool,
) -> None:
    monkeypatch.setattr("ordertape.limits.api_database_retry_ms", 0)
    address = Address("killed", url=own_server.url)
    with connect(address) as opened:
        create(opened, "killed")
    record(folder, Market(), 300, clear_every=90)
    copy(folder, address)
    tape, store = tape_of(folder), Database(address)
    query = EVERYTHING._replace(limit=50, descending=descending)
    expected = from_tape(tape, query._replace(limit=10_000)).orders
    before: list[list[type]] = []

    def kill(page: int) -> None:
        if page in (1, 5):
            before.append(sources_of(store, tape))
        if page == 1:
            own_server.stop("immediate")
            before.append(sources_of(store, tape))
        elif page == 4:
            own_server.start()

    with capture_logs() as told:
        assert paged(store, tape, query, kill) == expected
    store.close()
    assert before == [[Leaf], [Tape], [Leaf]]
    events = [line["event"] for line in told]
    assert events == ["L3_pages_without_database", "L3_pages_with_database"]
