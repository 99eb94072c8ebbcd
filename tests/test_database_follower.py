"""What is on a tape is in PostgreSQL, every event once, whatever happens on the way."""

from __future__ import annotations

from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest

from ordertape import EventBatch, OrderBook, limits
from ordertape.database.address import Address, connect
from ordertape.database.follower import MarketFollower
from ordertape.database.repository import L3Repository
from ordertape.database.service import copy_tape
from ordertape.errors import DatabaseUnavailable, MarketBusy, TapeDiffers
from ordertape.events import EventKind, Flag
from ordertape.models import L3Order
from ordertape.roles.keeper import prune
from ordertape.tape.archive import Archiver
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter
from ordertape.tape.marks import Mark, gap_mark
from ordertape.tape.reader import TapeReader
from support.tape import START, Market, rows_of, write_journal


@pytest.fixture
def folder(tmp_path: Path) -> MarketFolder:
    return MarketFolder(tmp_path / "data", "bitfinex", "BTC/USDT")


def follow(folder: MarketFolder, address: Address, **options: Any) -> int:
    """Everything the tape has, over a new connection; the events copied."""
    with connect(address) as opened:
        follower = MarketFollower(folder, opened, address, **{"days": None, **options})
        copied = 0
        while (step := follower.step(final=True)) or not follower.idle:
            copied += step
        follower.close()
    return copied


def on_tape(folder: MarketFolder) -> list[L3Order]:
    """The events of the tape as models."""
    era, found = 0, []
    for row in rows_of(TapeReader(folder.data, folder.exchange, folder.symbol).batches()):
        if row["flags"] & Flag.SNAPSHOT:
            continue
        era += row["kind"] == EventKind.CLEAR
        found.append(L3Order.from_row(folder.exchange, folder.symbol, row, era or None))
    return found


async def in_database(folder: MarketFolder, address: Address, **more: Any) -> list[L3Order]:
    """Every event there, page by page."""
    found: list[L3Order] = []
    async with L3Repository(address=address) as repository:
        cursor = None
        while True:
            page, cursor = await repository.get_orders(
                folder.exchange, folder.symbol, limit=700, cursor=cursor, **more
            )
            found += page
            if cursor is None:
                return found


@pytest.mark.parametrize("codec", ["int", "uuid", "intern", "auto"])
async def test_every_event_of_a_tape_is_a_row_with_every_digit(
    codec: str, folder: MarketFolder, database: Address
) -> None:
    write_journal(folder, Market(codec).messages(900, clear_every=300))
    wanted = on_tape(folder)
    assert follow(folder, database) == len(wanted)
    assert await in_database(folder, database) == wanted
    assert await in_database(folder, database, order="desc") == wanted[::-1]


async def test_what_waits_for_a_database_is_joined(
    folder: MarketFolder, database: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ordertape.limits.database_batches_apart_max", 4)
    market = Market()
    batches = list(market.messages(200, clear_every=60))
    write_journal(folder, batches)
    with connect(database) as opened:
        follower = MarketFollower(folder, opened, database, days=None)
        assert follower._gather()
        assert len(follower._waiting) < len(batches) / 2
        while follower.step(final=True):
            pass
        follower.close()
    assert await in_database(folder, database) == on_tape(folder)


async def test_archive_and_journal_arrive_without_a_seam(
    folder: MarketFolder, database: Address
) -> None:
    market = Market()
    write_journal(folder, market.messages(300, clear_every=120))
    Archiver(folder).finish()
    write_journal(folder, market.messages(200))
    assert follow(folder, database) == market.next_seq - 1
    assert await in_database(folder, database) == on_tape(folder)


async def test_a_follower_that_comes_back_goes_on_where_the_cursor_is(
    folder: MarketFolder, database: Address
) -> None:
    market = Market()
    with JournalWriter(folder) as writer:
        total = 0
        for messages in (50, 1, 200, 3):
            for batch in market.messages(messages):
                writer.append(batch)
            total += follow(folder, database)
            assert total == market.next_seq - 1
        assert follow(folder, database) == 0
    assert await in_database(folder, database) == on_tape(folder)


async def test_a_commit_without_an_answer_is_done_once(
    folder: MarketFolder, database: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    market = Market()
    write_journal(folder, market.messages(900))
    monkeypatch.setattr(limits, "database_batch_rows", 100)
    monkeypatch.setattr(limits, "journal_run_rows", 1)
    for nth in range(6):
        with connect(database) as opened, connect(database) as other:
            follower = MarketFollower(folder, opened, database, days=None)
            for _ in range(nth % 3):
                follower.step(final=True)
            if nth % 2:
                # The server ends the connection before the commit reaches it.
                other.execute("SELECT pg_terminate_backend(%s)", (opened.info.backend_pid,))
                with pytest.raises(DatabaseUnavailable):
                    follower.step(final=True)
            else:
                follower.step(final=True)  # committed, but nobody noted it
            follower.close()
    follow(folder, database)
    assert await in_database(folder, database) == on_tape(folder)


async def test_a_change_of_scale_begins_a_generation(
    folder: MarketFolder, database: Address, connection: psycopg.Connection
) -> None:
    def batch(seq: int, price: int, scale: int, order: str) -> EventBatch:
        return EventBatch.from_arrays(
            kind=np.array([1], np.uint8),
            side=np.array([0], np.uint8),
            order_id=[order],
            price=np.array([price]),
            size=np.array([5]),
            ts_recv=np.array([START + seq]),
            seq=np.array([seq]),
            flags=np.array([2], np.uint16),
            price_scale=scale,
            size_scale=0,
            codec="int",
        )

    prices = [(1, 419, 1, "1"), (2, 4164395858045, 8, "2"), (3, 7, 1, "3"), (4, 2**62, 8, "4")]
    write_journal(folder, [batch(*row) for row in prices])
    follow(folder, database)
    found = connection.execute(
        "SELECT sequence, price FROM level3_orders ORDER BY sequence"
    ).fetchall()
    assert found == [
        (1, Decimal("41.9")),
        (2, Decimal("41643.95858045")),
        (3, Decimal("0.7")),
        (4, Decimal("46116860184.27387904")),
    ]
    scales = connection.execute("SELECT price_scale FROM generations ORDER BY 1").fetchall()
    assert scales == [(1,), (8,)]


async def test_an_id_of_another_form_makes_text_of_those_that_follow(
    folder: MarketFolder, database: Address, connection: psycopg.Connection
) -> None:
    market = Market("int")
    with JournalWriter(folder) as writer:
        for batch in market.messages(20):
            writer.append(batch)
        follow(folder, database)
        for order in ("a stray id", str(2**64 - 1)):
            market.builder.add(1, 0, order, "1.5", "2", market.now)
            batch = market.builder.finish(market.next_seq)
            market.next_seq = batch.last_seq + 1
            writer.append(batch)
            follow(folder, database)
    assert await in_database(folder, database) == on_tape(folder)
    forms = connection.execute("SELECT order_form FROM generations ORDER BY generation").fetchall()
    assert forms == [("bigint",), ("text",)]


async def test_days_have_leaves_of_their_own(
    folder: MarketFolder, database: Address, connection: psycopg.Connection
) -> None:
    market = Market()
    write_journal(folder, market.messages(60, step_ns=3600 * 10**9))
    follow(folder, database)
    assert await in_database(folder, database) == on_tape(folder)
    names = connection.execute(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
        "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = current_schema() "
        "AND c.relkind = 'r' ORDER BY 1"
    ).fetchall()
    assert [name[-8:] for (name,) in names] == ["20231114", "20231115", "20231116", "20231117"]
    plan = connection.execute(
        "EXPLAIN SELECT * FROM level3_orders WHERE exchange = 'bitfinex' AND symbol = 'BTC/USDT' "
        "AND ts_recv >= ns('2023-11-16') AND ts_recv < ns('2023-11-17')"
    ).fetchall()
    assert [line for (line,) in plan if "20231114" in line or "20231117" in line] == []


async def test_gaps_arrive_as_they_begin_and_as_they_are_healed(
    folder: MarketFolder, database: Address, connection: psycopg.Connection
) -> None:
    market = Market()
    query = "SELECT from_ns, to_ns, reason, healed_by, gap_from < now() FROM level3_gaps"
    with JournalWriter(folder) as writer:
        writer.mark(Mark("simulated", 0, START, {"simulated": True}))
        for batch in market.messages(10):
            writer.append(batch)
        writer.mark(gap_mark(market.next_seq - 1, START, None, "it rained", era=0))
        follow(folder, database)
        assert connection.execute(query).fetchall() == [(START, None, "it rained", None, True)]
        clear = market.message(clear=True)
        writer.append(clear)
        healed = gap_mark(
            clear.last_seq, START, START + 5, "it rained", era=1, healed_by=clear.first_seq
        )
        writer.mark(healed)
        follow(folder, database)
        follow(folder, database)
    assert connection.execute("SELECT simulated FROM markets").fetchall() == [(True,)]
    rows = connection.execute(query).fetchall()
    assert rows == [(START, START + 5, "it rained", clear.first_seq, True)]


@pytest.mark.parametrize("copied", [0, 70])
async def test_what_the_tape_let_go_before_it_was_copied_is_a_gap(
    copied: int, folder: MarketFolder, database: Address, connection: psycopg.Connection
) -> None:
    market = Market()
    write_journal(folder, market.messages(70))
    before = market.now
    if copied:
        copied = follow(folder, database)
    with JournalWriter(folder, book=market.book) as journal:
        for batch in market.messages(300, clear_every=200):
            journal.append(batch)
    with closing(Archiver(folder, file_rows_max=100)) as archiver:
        archiver.finish()
    wanted = on_tape(folder)
    gone = prune(folder, 1)
    assert copied < gone < len(wanted)
    assert follow(folder, database) == len(wanted) - gone
    assert await in_database(folder, database) == wanted[:copied] + wanted[gone:]
    query = "SELECT missing_from, missing_to, from_ns, to_ns, reason FROM level3_gaps"
    [(missing_from, missing_to, from_ns, to_ns, reason)] = connection.execute(query).fetchall()
    assert (missing_from, missing_to) == (copied + 1, gone)
    assert reason == f"the tape let go of events {copied + 1} to {gone} before they were copied"
    assert (before if copied else 0) < from_ns <= to_ns
    async with L3Repository(address=database) as repository:
        rebuilt = await repository.rebuild_orderbook(folder.exchange, folder.symbol)
    assert_same_book(rebuilt, market.book)


async def test_whole_books_arrive_from_clears_and_snapshots(
    folder: MarketFolder, database: Address
) -> None:
    market = Market()
    async with L3Repository(address=database) as repository:
        with JournalWriter(folder) as writer:
            for batch in market.messages(40, clear_every=30):
                writer.append(batch)
            follow(folder, database)
            begun = await repository.get_latest_snapshot("bitfinex", "BTC/USDT")
            assert begun is not None
            assert begun.era == 2
            writer.snapshot(market.book)
            follow(folder, database)
        found = await repository.get_latest_snapshot("bitfinex", "BTC/USDT")
        assert found is not None
        assert_same_book(found, market.book)
        assert found.statistics.total_orders == len(market.book)
        rebuilt = await repository.rebuild_orderbook("bitfinex", "BTC/USDT")
        assert_same_book(rebuilt, market.book)


def assert_same_book(found: Any, book: OrderBook) -> None:
    assert found.sequence == book.seq
    for side, orders in enumerate((found.bids, found.asks)):
        assert [(o.order_id, o.price, o.size) for o in orders] == book.orders(side)


async def test_the_book_of_every_moment_is_rebuilt_from_rows_alone(
    folder: MarketFolder, database: Address, tmp_path: Path
) -> None:
    market = Market()
    batches = list(market.messages(150, clear_every=60, step_ns=1000))
    write_journal(folder, batches)
    follow(folder, database)
    elsewhere = Address(database.schema, url=database.conninfo())
    book = OrderBook(codec=market.codec)
    async with L3Repository(address=elsewhere, data=tmp_path / "no tapes here") as repository:
        for nth, batch in enumerate(batches):
            book.apply(batch)
            if nth % 10 == 0:
                at = batch.last_ts_recv
                found = await repository.rebuild_orderbook("bitfinex", "BTC/USDT", at)
                assert_same_book(found, book)
                assert found.era == nth // 60 + 1


async def test_another_tape_of_the_same_market_is_refused(
    folder: MarketFolder, database: Address, tmp_path: Path
) -> None:
    write_journal(folder, Market(seed=1).messages(100))
    follow(folder, database)
    shorter = MarketFolder(tmp_path / "other", folder.exchange, folder.symbol)
    write_journal(shorter, Market(seed=1).messages(10))
    with pytest.raises(TapeDiffers, match="ends before"):
        follow(shorter, database)
    different = MarketFolder(tmp_path / "third", folder.exchange, folder.symbol)
    write_journal(different, Market(seed=2).messages(500, step_ns=7))
    with pytest.raises(TapeDiffers, match="another tape"):
        follow(different, database)


async def test_a_clear_whose_orders_came_later_is_known_again(
    folder: MarketFolder, database: Address
) -> None:
    market = Market()
    batches = [market.message(), market.message()]
    market.builder.add(EventKind.CLEAR, None, None, None, None, market.now)
    market.builder.add(EventKind.OPEN, 0, "5", "1", "2", market.now + 7, None, Flag.SNAPSHOT)
    batches.append(market.builder.finish(market.next_seq))
    write_journal(folder, batches)
    assert follow(folder, database) == batches[-1].last_seq
    assert follow(folder, database) == 0
    assert await in_database(folder, database) == on_tape(folder)


async def test_two_followers_of_one_market_do_not_meet(
    folder: MarketFolder, database: Address
) -> None:
    write_journal(folder, Market().messages(10))
    with connect(database) as first, connect(database) as second:
        follower = MarketFollower(folder, first, database)
        with pytest.raises(MarketBusy, match="another process"):
            MarketFollower(folder, second, database)
        follower.close()


async def test_days_that_would_be_dropped_at_once_are_passed_over(
    folder: MarketFolder, database: Address
) -> None:
    market = Market()
    write_journal(folder, market.messages(100, clear_every=50))  # of 2023
    Archiver(folder).finish()
    old = market.next_seq - 1
    assert follow(folder, database, days=7) == 0
    write_journal(folder, market.messages(5))
    follow(folder, database, days=7)
    found = await in_database(folder, database)
    assert [order.sequence for order in found] == list(range(old + 1, market.next_seq))
    assert {order.metadata["era"] for order in found} == {2}


async def test_an_import_that_is_wanted_here_keeps_its_days(
    folder: MarketFolder, database: Address, connection: psycopg.Connection
) -> None:
    write_journal(folder, Market().messages(100))
    Archiver(folder).finish()
    seen: list[int] = []
    assert copy_tape(folder, database, progress=seen.append) == len(on_tape(folder))
    assert connection.execute("SELECT keep FROM markets").fetchall() == [(True,)]
    assert seen


async def test_the_history_of_one_order_is_found_by_its_id(
    folder: MarketFolder, database: Address, connection: psycopg.Connection
) -> None:
    write_journal(folder, Market().messages(300))
    follow(folder, database)
    wanted = [order for order in on_tape(folder) if order.order_id == "180000000070"]
    assert await in_database(folder, database, order_id="180000000070") == wanted
    assert len(wanted) > 1
    assert await in_database(folder, database, order_id="no such id") == []
