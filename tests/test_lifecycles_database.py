"""Lives of orders in PostgreSQL: every row of the tape's log once, whatever happens on the way."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from ordertape import limits
from ordertape.database.address import Address, connect
from ordertape.database.lifecycles import LivesFollower, copy_lives, drop_lives
from ordertape.database.markets import ensure_market
from ordertape.database.partitions import DAY_NS
from ordertape.errors import DatabaseUnavailable
from ordertape.lifecycles.log import store_next
from ordertape.tape.archive import Archiver
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter
from support.recorded_lives import Unexplained, by_hand, write
from support.tape import START

NAMES = ("bitfinex", "A/USD")


@pytest.fixture
def folder(tmp_path: Path) -> MarketFolder:
    return MarketFolder(tmp_path / "data", *NAMES)


def stored(connection: psycopg.Connection) -> list[dict[str, Any]]:
    """The columns of the log, by their places."""
    rows = connection.cursor(row_factory=dict_row).execute(
        "SELECT * FROM lifecycle_rows ORDER BY market, told_seq, nth"
    )
    return [{name: value for name, value in row.items() if name != "market"} for row in rows]


def market_of(connection: psycopg.Connection, **more: Any) -> int:
    return ensure_market(connection, *NAMES, origin="tape", **more)


def archive(folder: MarketFolder) -> None:
    archiver = Archiver(folder, file_rows_max=150, row_group_rows=50)
    archiver.finish()
    archiver.close()


def test_every_life_of_a_tape_is_a_row_once_however_often_copying_begins_anew(
    folder: MarketFolder, database: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "lives_stride_events", 60)
    monkeypatch.setattr(limits, "journal_run_rows", 1)
    monkeypatch.setattr(limits, "lives_copy_rows", 23)
    market = Unexplained(seed=31, orders=25)
    write(folder, market, 250)
    archive(folder)
    for _ in range(2):
        store_next(folder)
    with JournalWriter(folder) as writer:
        for batch in market.messages(100):
            writer.append(batch)
    begun = 0
    while True:
        begun += 1
        with connect(database) as opened:
            follower = LivesFollower(folder, opened, market_of(opened), days=None)
            while (copied := follower.step()) == 0:
                pass  # it was there already
            follower.close()
        store_next(folder)
        if copied is None:
            break
    assert begun > 5
    with connect(database) as opened:
        assert stored(opened) == by_hand(folder).ended


def test_the_view_shows_what_people_read(
    folder: MarketFolder, connection: psycopg.Connection
) -> None:
    write(folder, Unexplained(seed=32, orders=25), 250)
    copied = copy_lives(folder, connection, market_of(connection), order_index=True)
    plain = by_hand(folder).ended
    assert copied == len(plain)
    found = connection.execute(
        "SELECT order_id, side, ending, reason, price_first, size, filled, distance_first, "
        "left_truncated, opened_ns, told_sequence FROM lifecycles "
        "WHERE exchange = %s AND symbol = %s ORDER BY told_sequence, nth",
        NAMES,
    ).fetchall()
    endings, reasons = ["", "told", "cut", "evicted"], {1: "filled", 2: "canceled", 3: "unknown"}
    for row, life in zip(found, plain, strict=True):
        own = "bid" if life["side"] == 0 else "ask"
        best, price = life[f"{own}_first"], life["price_first"]
        expected = (
            life["order_id"],
            own,
            endings[life["ending"]],
            reasons.get(life["reason"]),
            price,
            life["size"],
            life["filled"],
            abs(best - price),
            bool(life["flags"] & 1),
            life["opened"],
            life["told_seq"],
        )
        assert row == expected


def test_a_cursor_that_somebody_else_moved_stops_the_copy_with_nothing_done(
    folder: MarketFolder, connection: psycopg.Connection
) -> None:
    write(folder, Unexplained(seed=33), 50)
    follower = LivesFollower(folder, connection, market_of(connection), days=None)
    connection.execute("UPDATE lifecycle_cursors SET nth = 0")
    assert follower.step() == 0
    with pytest.raises(DatabaseUnavailable, match="somebody else moved it"):
        follower.step()
    follower.close()
    assert stored(connection) == []


def test_old_days_go_and_are_not_copied_again(
    folder: MarketFolder, connection: psycopg.Connection
) -> None:
    market = Unexplained(seed=34, orders=25)
    market.now = START + 2 * DAY_NS
    write(folder, market, 100)
    market.now += DAY_NS
    with JournalWriter(folder) as writer:
        for batch in market.messages(50):
            writer.append(batch)
    number = market_of(connection, keep=True)
    copy_lives(folder, connection, number, order_index=False)
    whole = stored(connection)
    days = {row["told"] // DAY_NS for row in whole}
    assert len(days) == 2
    now = (max(days) + 3) * DAY_NS
    assert drop_lives(connection, days=3, bounded=False, now_ns=now) == 0
    assert stored(connection) == whole  # it is kept
    connection.execute("UPDATE markets SET keep = false")
    assert drop_lives(connection, days=3, bounded=False, now_ns=now) == 1
    assert stored(connection) == [row for row in whole if row["told"] // DAY_NS == max(days)]
    connection.execute("DELETE FROM lifecycle_cursors")
    ago = (time.time_ns() - max(days) * DAY_NS) // DAY_NS
    assert drop_lives(connection, days=0, bounded=False) == 1
    follower = LivesFollower(folder, connection, number, days=ago)
    while follower.step() is not None:
        pass
    follower.close()
    assert stored(connection) == [row for row in whole if row["told"] // DAY_NS == max(days)]


def test_of_simulated_markets_lives_go_with_their_events(
    folder: MarketFolder, connection: psycopg.Connection
) -> None:
    write(folder, Unexplained(seed=35, orders=25), 100)
    number = market_of(connection)
    copy_lives(folder, connection, number, order_index=True)
    whole = stored(connection)
    first = whole[len(whole) // 2]["told_seq"]
    connection.execute("UPDATE markets SET simulated = true")
    connection.execute(
        "INSERT INTO generations (market, from_seq, price_scale, size_scale, order_form, "
        "trade_form) VALUES (%s, %s, 2, 8, 'bigint', 'bigint')",
        (number, first),
    )
    drop_lives(connection, days=100_000, bounded=True)
    assert stored(connection) == [row for row in whole if row["told_seq"] >= first]


def test_a_follower_goes_on_over_another_connection_from_where_the_database_stands(
    folder: MarketFolder, database: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "lives_stride_events", 60)
    monkeypatch.setattr(limits, "journal_run_rows", 1)
    write(folder, Unexplained(seed=32, orders=25), 250)
    lost = connect(database)
    market = market_of(lost)
    follower = LivesFollower(folder, lost, market, days=None)
    while not follower.step():
        pass
    lost.close()
    with pytest.raises(psycopg.OperationalError):
        list(iter(follower.step, None))
    with connect(database) as opened:
        assert not follower.resume(opened, market + 1)
        assert follower.resume(opened, market)
        while follower.step() is not None:
            pass
        assert stored(opened) == by_hand(folder).ended
        follower.close()
        LivesFollower(folder, opened, market, days=None).close()
        opened.execute("UPDATE lifecycle_cursors SET nth = nth + 1")
        assert not follower.resume(opened, market)
