"""The alerts of a server outlive a database that is away, and are told once across restarts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest

from ordertape import limits
from ordertape.alerts.fired import Alert
from ordertape.alerts.rules import RuleWish
from ordertape.alerts.service import Alerts
from ordertape.alerts.store import AlertQuery, AlertStore, DatabaseStore, MemoryStore
from ordertape.alerts.webhooks import Webhooks
from ordertape.database import schema
from ordertape.database.address import Address
from ordertape.database.dropping import drop
from ordertape.page.markets import PageMarkets
from ordertape.roles.status import is_collected
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter
from ordertape.tape.marks import Mark
from support.processes import wait_for
from support.tape import Market


@asynccontextmanager
async def running(data: Path, store: AlertStore) -> AsyncIterator[tuple[Alerts, list[Alert]]]:
    """A server's alerts, and what its listener was told."""
    told: list[Alert] = []
    with ThreadPoolExecutor(2) as executor:
        pages = PageMarkets(executor, is_collected)
        alerts = Alerts(store, pages, lambda *_market: data, Webhooks({}, None))
        alerts.listen(told.append)
        alerts.begin()
        yield alerts, told
        await alerts.close()
        await pages.close()


async def until(condition: Callable[[], bool], what: str) -> None:
    await asyncio.to_thread(wait_for, condition, what, 20, 0.02)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "alerts_retry_ms", 50)


def silent_tape(data: Path) -> None:
    """A live market from which nothing has come for half a minute."""
    market = Market(orders=40)
    market.now = time.time_ns() - 30 * 10**9
    with JournalWriter(MarketFolder(data, "bitfinex", "A/USD")) as journal:
        for batch in market.messages(50, clear_every=50, step_ns=0):
            journal.append(batch)
        told = {"from": "SYNCING", "to": "LIVE", "reason": "a test"}
        journal.mark(Mark("state", market.next_seq - 1, market.now, told))


def silence(store: AlertStore) -> None:
    said = {"kind": "silence", "exchange": "bitfinex", "symbol": "A/USD", "seconds": 5}
    store.add(RuleWish.model_validate(said))


async def test_what_fired_while_the_database_was_away_is_kept_once_it_is_back(
    tmp_path: Path,
    database: Address,
    connection: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    silent_tape(tmp_path)
    store = DatabaseStore(database)
    silence(store)
    took, save = [], store.save

    def saved(alerts: list[Alert]) -> None:
        if not took:  # the tables go between the rule and its alert
            drop(connection, database.schema, everything=True)
        took.append(len(alerts))
        save(alerts)

    monkeypatch.setattr(store, "save", saved)  # to know when it is asked
    async with running(tmp_path, store) as (_, told):
        await until(lambda: len(took) > 2, "tries without tables")
        schema.create(connection, database.schema)
        count = "SELECT count(*) FROM alerts"
        await until(lambda: connection.execute(count).fetchone() == (1,), "the alert")
        assert [alert.text for alert in told] == [
            "no event for 5 s (STOPPED: nobody collects it now)"
        ]


@pytest.mark.parametrize("kind", ["memory", "database"])
async def test_a_server_that_starts_again_tells_nothing_twice(
    tmp_path: Path, database: Address, connection: psycopg.Connection, kind: str
) -> None:
    silent_tape(tmp_path)
    store = MemoryStore() if kind == "memory" else DatabaseStore(database)
    silence(store)
    async with running(tmp_path, store) as (_, told):
        await until(lambda: len(told) == 1, "an alert")
    assert [alert.id for alert in store.alerts(AlertQuery())] == [told[0].id]
    async with running(tmp_path, store) as (alerts, again):
        await until(lambda: bool(alerts._known), "what was told before")
        ticked = time.time_ns() + 500_000_000
        await until(lambda: time.time_ns() > ticked, "a few ticks")
        assert again == []


async def test_rules_are_those_of_the_store_also_where_its_answer_was_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "alerts_reload_ms", 50)
    silent_tape(tmp_path)
    store = MemoryStore()
    async with running(tmp_path, store) as (alerts, told):
        silence(store)  # nobody is told that it worked
        await until(lambda: len(told) == 1, "its alert")
        (rule,) = store.rules()
        assert store.remove(rule.number)
        await until(lambda: not alerts._watched, "the end of the watch")


async def test_a_rule_for_a_market_that_is_gone_disturbs_no_other(tmp_path: Path) -> None:
    silent_tape(tmp_path)
    store = MemoryStore()
    said = {"kind": "gap", "exchange": "bitfinex", "symbol": "GONE/USD"}
    store.add(RuleWish.model_validate(said))
    silence(store)
    async with running(tmp_path, store) as (_, told):
        await until(lambda: len(told) == 1, "the other's alert")
