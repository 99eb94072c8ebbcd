"""Rules and alerts are kept: in PostgreSQL, or in memory where nothing persists."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from ordertape import limits
from ordertape.alerts.fired import Alert
from ordertape.alerts.rules import RuleWish
from ordertape.alerts.store import AlertQuery, AlertStore, DatabaseStore, MemoryStore
from ordertape.database import schema
from ordertape.database.address import Address
from ordertape.database.dropping import drop
from ordertape.errors import DatabaseUnavailable, MarketBusy, SettingRefused

START = 1_790_000_000_123_456_789


@pytest.fixture(params=["memory", "database"])
def store(
    request: pytest.FixtureRequest, database: Address, connection: psycopg.Connection
) -> Iterator[AlertStore]:
    found: AlertStore = MemoryStore() if request.param == "memory" else DatabaseStore(database)
    yield found
    found.close()


def wish(kind: str = "gap", symbol: str = "A/USD", **said: Any) -> RuleWish:
    return RuleWish.model_validate({"kind": kind, "exchange": "bitfinex", "symbol": symbol, **said})


def alert(nth: int, rule: int = 1, symbol: str = "A/USD") -> Alert:
    return Alert(
        *(rule, "large_order", "bitfinex", symbol, START + nth, f"order {nth}", f"text {nth}"),
        *(Decimal("64250.123456789"), Decimal("0.1"), "bid", str(nth), nth),
    )


def test_rules_come_back_as_they_were_made(store: AlertStore) -> None:
    made = [store.add(wish()), store.add(wish("spread", spread_bps="2.50", seconds=3))]
    assert store.rules() == made
    assert made[1].spec["spread_bps"] == "2.5"
    assert made[0].created_at.endswith("Z")
    assert store.remove(made[0].number)
    assert not store.remove(made[0].number)
    assert store.rules() == made[1:]


def test_the_same_rule_is_not_made_twice(store: AlertStore) -> None:
    first = store.add(wish("large_order", size="5"))
    with pytest.raises(MarketBusy, match=f"same rule already: {first.number}"):
        store.add(wish("large_order", size="5.0"))
    store.add(wish("large_order", size="5", symbol="B/USD"))


def test_there_are_no_more_rules_than_the_limits_say(
    store: AlertStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "alert_rules_max", 3)
    monkeypatch.setattr(limits, "alert_markets_max", 2)
    store.add(wish(symbol="A/USD"))
    store.add(wish(symbol="B/USD"))
    with pytest.raises(SettingRefused, match="at most 2 markets"):
        store.add(wish(symbol="C/USD"))
    store.add(wish("silence", seconds=5))
    with pytest.raises(SettingRefused, match="at most 3 rules"):
        store.add(wish("silence", seconds=6))


def test_alerts_come_back_newest_first_page_by_page_and_each_once(store: AlertStore) -> None:
    saved = [alert(nth) for nth in range(25)]
    store.save(saved[:15])
    store.save(saved)
    found: list[Alert] = []
    query = AlertQuery(limit=10)
    while page := store.alerts(query):
        found += page
        query = AlertQuery(limit=10, before=(page[-1].ts, page[-1].id))
    # A memory keeps what it is given; the server gives it each alert once.
    assert sorted(set(found), key=lambda each: -each.ts) == saved[::-1]
    if isinstance(store, DatabaseStore):
        assert found == saved[::-1]


def test_alerts_are_found_by_market_rule_and_time(store: AlertStore) -> None:
    store.save([alert(1), alert(2, rule=2), alert(3, symbol="B/USD"), alert(4)])

    def times(**wanted: Any) -> list[int]:
        return [each.ts - START for each in store.alerts(AlertQuery(**wanted))]

    assert times(exchange="bitfinex", symbol="A/USD") == [4, 2, 1]
    assert times(rule=2) == [2]
    assert times(start=START + 2, end=START + 4) == [3, 2]
    assert times(exchange="coinbase") == []


def test_the_database_keeps_the_newest_alerts(
    database: Address, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "alerts_kept", 100)
    store = DatabaseStore(database)
    store.save([alert(nth) for nth in range(1_000)])
    rest = connection.execute("SELECT count(*), min(ts) FROM alerts").fetchone()
    assert rest == (100, START + 900)
    store.close()


def test_a_database_without_its_tables_says_so_and_is_asked_again(
    database: Address, connection: psycopg.Connection
) -> None:
    store = DatabaseStore(database)
    drop(connection, database.schema)
    with pytest.raises(DatabaseUnavailable, match="its tables are not there yet"):
        store.rules()
    schema.create(connection, database.schema)
    assert store.rules() == []
    store.close()


def test_a_connection_that_was_ended_is_made_again(
    database: Address, connection: psycopg.Connection
) -> None:
    store = DatabaseStore(database)
    store.add(wish())
    connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = 'ordertape alerts' AND datname = current_database()"
    )
    with pytest.raises(DatabaseUnavailable):
        store.rules()
    assert len(store.rules()) == 1
    store.close()
