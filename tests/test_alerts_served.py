"""Alerts on a server: a rule over REST, the alert on every page, kept, and at its webhook."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter
from support.guarded import Guarded, guarded
from support.hooks import Hook, hook
from support.processes import wait_for
from support.served import FINISHED, LIVE, Served, exact
from support.tape import Market

API = "/api/v1/orderbook-heatmap"
MARKET = {"exchange": "bitfinex", "symbol": "A/USD"}


@dataclass
class Growing:
    """A server without a database in front of a tape that this test writes, and its webhook."""

    server: Guarded
    market: Market
    journal: JournalWriter
    heard: Hook

    def append(self, messages: int) -> None:
        for batch in self.market.messages(messages, step_ns=2_000_000):
            self.journal.append(batch)

    def made(self, **said: Any) -> dict[str, Any]:
        answer = self.server.post(f"{API}/alerts/rules", json={**MARKET, **said})
        assert answer.status_code == 201, answer.text
        return exact(answer.text)

    def asked(self, path: str, status: int = 200) -> Any:
        answer = self.server.get(f"{API}/{path}")
        assert answer.status_code == status, answer.text
        return exact(answer.text)

    @contextmanager
    def page(self) -> Iterator[Any]:
        with self.server.socket(f"{API}/page/ws") as socket:
            # Whatever is answered was said by a session that listens.
            socket.send("{}")
            assert json.loads(socket.recv(timeout=60))["op"] == "refused"
            yield socket


@pytest.fixture
def growing(tmp_path: Path) -> Iterator[Growing]:
    market = Market(orders=40)
    market.now = time.time_ns() - 10 * 10**9
    with JournalWriter(MarketFolder(tmp_path, "bitfinex", "A/USD")) as journal, hook() as heard:
        for batch in market.messages(100, clear_every=100, step_ns=2_000_000):
            journal.append(batch)
        given = {"webhooks": f"ops={heard.address}", "webhook_secret": "hidden too"}
        with guarded(tmp_path, **given) as server:
            yield Growing(server, market, journal, heard)


def test_an_alert_reaches_pages_store_and_webhook(growing: Growing) -> None:
    rule = growing.made(kind="large_order", size="0.00000001", per_minute=5, webhook="ops")
    assert rule["kept"] == "memory"
    assert "end with the server" in rule["detail"]
    with growing.page() as socket:
        # Until the market's book has begun, orders are new to nobody.
        while not growing.asked("alerts")["alerts"]:
            growing.append(5)
        told = json.loads(socket.recv(timeout=60))
    hooked = json.loads(growing.heard.next().body)
    assert {"op": "alert", **hooked} == told
    assert told["rule_id"] == rule["id"]
    growing.append(50)
    wait_for(lambda: growing.asked("alerts?limit=1000")["count"] == 5, "the limit of a minute")
    kept = {alert["id"] for alert in growing.asked("alerts")["alerts"]}
    assert hooked["id"] in kept
    assert "hidden" not in growing.server.get(f"{API}/alerts/rules").text


def test_a_rule_that_is_deleted_fires_no_more(growing: Growing) -> None:
    rule = growing.made(kind="gap")
    assert [found["id"] for found in growing.asked("alerts/rules")["rules"]] == [rule["id"]]
    answer = growing.server.ask("DELETE", f"{API}/alerts/rules/{rule['id']}")
    assert answer.json() == {"message": f"rule {rule['id']} is deleted; its alerts stay"}
    assert growing.asked("alerts/rules")["rules"] == []
    again = growing.server.ask("DELETE", f"{API}/alerts/rules/{rule['id']}")
    assert (again.status_code, again.json()) == (
        404,
        {"detail": f"there is no rule {rule['id']}"},
    )


@pytest.mark.parametrize(
    ("said", "status", "why"),
    [
        ({"kind": "gap", "symbol": "NO/PE"}, 404, "bitfinex NO/PE"),
        ({"kind": "gap", "size": 3}, 422, "the body: a rule gap has no size"),
        ({"kind": "silence"}, 422, "the body: a rule silence needs seconds"),
        ({"kind": "gap", "webhook": "mail"}, 422, r"expected a name of ORDERTAPE_WEBHOOKS \(ops\)"),
    ],
)
def test_what_no_rule_can_be_is_answered_in_a_sentence(
    growing: Growing, said: dict[str, Any], status: int, why: str
) -> None:
    answer = growing.server.post(f"{API}/alerts/rules", json={**MARKET, **said})
    assert answer.status_code == status
    assert re.search(why, answer.json()["detail"]), answer.text


def test_a_cursor_of_nobody_is_refused(growing: Growing) -> None:
    assert "next_cursor of ours" in growing.asked("alerts?cursor=tea", 422)["detail"]


# With a database ----------------------------------------------------------------------------------


def large(served: Served, status: int = 200, **asked: Any) -> dict[str, Any]:
    where = f"{served.address}{API}/large-orders/bitfinex/{FINISHED}"
    answer = served.client.get(where, params=asked)
    assert answer.status_code == status, answer.text
    return exact(answer.text)


def test_large_orders_are_those_that_rest(served: Served) -> None:
    resting = {
        order["order_id"]: order["size"] * order["price"]
        for side in ("bids", "asks")
        for order in served.answer(f"/snapshot/bitfinex/{FINISHED}", depth=0)[side]
    }
    least = sorted(resting.values())[len(resting) // 2]
    found = large(served, notional=str(least))["orders"]
    meant = {order for order, notional in resting.items() if notional >= least}
    assert {order["order_id"] for order in found} == meant
    sizes = [order["size"] for order in found]
    assert sizes == sorted(sizes, reverse=True)
    assert large(served, size=str(sizes[0]))["orders"][0] == found[0]
    assert large(served, quantile="0.5", limit=2)["count"] == 2


def test_what_is_large_is_said_in_one_way(served: Served) -> None:
    assert "one of size, notional and quantile" in large(served, 422, size=1, notional=1)["detail"]


def test_alerts_are_kept_in_the_database(served: Served) -> None:
    served.begin()
    wish = {"kind": "imbalance", "exchange": "bitfinex", "symbol": LIVE, "imbalance": "0.000001"}
    rules = f"{served.address}{API}/alerts/rules"

    def made() -> bool:  # its tables may not be there yet
        return served.client.post(rules, json=wish).status_code in (201, 409)

    wait_for(made, "a rule in the database", pause=0.2)
    same = served.client.post(rules, json=wish)
    assert (same.status_code, "same rule already" in same.text) == (409, True)
    (rule,) = exact(served.client.get(rules).text)["rules"]
    assert rule["imbalance"] == Decimal("0.000001")

    def kept() -> list[dict[str, Any]]:
        answer = served.client.get(f"{served.address}{API}/alerts", params={"rule": rule["id"]})
        return list(exact(answer.text)["alerts"])

    wait_for(lambda: kept() != [], "an alert", pause=0.1)
    assert kept()[0]["text"].startswith("imbalance of ")
    assert served.client.delete(f"{rules}/{rule['id']}").status_code == 200
