"""Contract, REST: `GET /statistics/{exchange}/{symbol}` and `GET /gaps/{exchange}/{symbol}`."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from ordertape.events import EventKind
from ordertape.models import iso_from_ns
from support.contract import BOTH_DATABASES, ENVELOPE, OLD, STATISTICS
from support.processes import wait_for
from support.served import ERA, LIVE, Served

pytestmark = BOTH_DATABASES

FIELDS = {
    *("total_orders", "unique_orders", "first_order", "last_order", "snapshots", "by_event_type"),
    *("by_side", "traded_volume", "events_per_second", "gaps", "live"),
}


@pytest.mark.contract("GET /statistics/{exchange}/{symbol}")
def test_statistics_add_up(server: Served, rows: list[dict[str, Any]]) -> None:
    answer = server.answer(f"/statistics/{OLD}")
    assert answer["total_orders"] == len(rows)
    assert answer["unique_orders"] == len({r["order_id"] for r in rows if r["order_id"]})
    assert answer["first_order"] == iso_from_ns(rows[0]["ts_recv"])
    assert answer["last_order"] == iso_from_ns(rows[-1]["ts_recv"])
    kinds = [EventKind(row["kind"]).name.lower() for row in rows]
    assert answer["by_event_type"] == {kind: kinds.count(kind) for kind in answer["by_event_type"]}
    sides = [row["side"] for row in rows]
    assert answer["by_side"] == {"bid": sides.count(0), "ask": sides.count(1)}
    assert answer["traded_volume"] == sum(
        row["size"] for row in rows if row["kind"] in (EventKind.MATCH, EventKind.TRADE)
    )
    assert answer["events_per_second"]["mean"] > 0
    assert answer["gaps"]["count"] == 1
    assert answer["live"] is None
    assert set(answer) >= ENVELOPE | FIELDS
    assert set(answer["gaps"]) == {"count", "seconds"}
    assert answer["gaps"]["seconds"] > 0


def test_statistics_of_a_live_market_have_its_books_figures(server: Served) -> None:
    answer = server.answer(f"/statistics/bitfinex/{LIVE}")
    assert set(answer["live"]) == STATISTICS
    assert answer["live"]["total_orders"] > 0

    def now() -> Decimal:
        return server.answer(f"/statistics/bitfinex/{LIVE}")["events_per_second"]["now"]

    wait_for(lambda: now() > 0, "a whole second of a stream that has just begun", pause=0.05)


@pytest.mark.contract("GET /gaps/{exchange}/{symbol}")
def test_gaps_are_told_with_their_reason_and_what_healed_them(server: Served) -> None:
    lost, clear = server.batches[ERA - 1].last_ts_recv, server.batches[ERA]
    answer = server.answer(f"/gaps/{OLD}")
    assert set(answer) >= ENVELOPE | {"gaps"}
    (gap,) = answer["gaps"]
    assert gap == {
        "from": iso_from_ns(lost),
        "to": iso_from_ns(clear.last_ts_recv),
        "reason": "a test",
        "healed_by": clear.first_seq,
    }
    assert server.answer(f"/gaps/{OLD}", end_time=iso_from_ns(lost))["gaps"] == []
    after = iso_from_ns(clear.last_ts_recv)
    assert server.answer(f"/gaps/{OLD}", start_time=after)["gaps"] == []


def test_start_is_inclusive_and_end_exclusive(server: Served, rows: list[dict[str, Any]]) -> None:
    first, last = rows[500]["ts_recv"], rows[900]["ts_recv"]
    inside = [row for row in rows if first <= row["ts_recv"] < last]
    answer = server.answer(
        f"/statistics/{OLD}", start_time=iso_from_ns(first), end_time=iso_from_ns(last)
    )
    assert answer["total_orders"] == len(inside)
    assert answer["first_order"] == iso_from_ns(first)
    assert answer["last_order"] == iso_from_ns(inside[-1]["ts_recv"])


def test_a_market_never_collected_is_404(server: Served) -> None:
    server.refused("/statistics/bitfinex/ZEC/USD", 404)
    server.refused("/gaps/bitfinex/ZEC/USD", 404)


def test_times_the_wrong_way_round_are_422(server: Served) -> None:
    times = {"start_time": "2026-01-02", "end_time": "2026-01-01"}
    for route in ("statistics", "gaps"):
        assert "end_time" in server.refused(f"/{route}/{OLD}", 422, **times)
