"""Contract, REST: `GET /orders/{exchange}/{symbol}`, parameter by parameter, field by field."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from ordertape.events import EventKind
from ordertape.models import L3EventType, L3Order, iso_from_ns
from ordertape.numbers import plain
from support.contract import BOTH_DATABASES, ENVELOPE, ISO, METADATA, OLD, ORDER, pages, sequences
from support.processes import wait_for
from support.served import EXACT, FINISHED, LIVE, NINE_DIGITS, Served, exact

pytestmark = BOTH_DATABASES

EXACTLY = f"bitfinex/{EXACT}"
PARAMETERS = {
    *("start_time", "end_time", "limit", "cursor", "order", "side", "event_type", "order_id"),
    *("min_price", "max_price", "min_size"),
}


# Pages --------------------------------------------------------------------------------------------


def test_pages_hold_every_event_once_across_archive_and_journal(
    server: Served, rows: list[dict[str, Any]]
) -> None:
    everything = [row["seq"] for row in rows]
    assert sequences(server, limit=997) == everything
    assert sequences(server, limit=1_000, order="desc") == everything[::-1]
    assert sequences(server, limit=10_000) == everything


@pytest.mark.contract("GET /orders/{exchange}/{symbol}")
def test_an_order_has_the_fields_of_the_contract_and_exact_numbers(
    server: Served, rows: list[dict[str, Any]]
) -> None:
    answer = server.answer(f"/orders/{OLD}", limit=10_000)
    named = {"exchange", "symbol", "start_time", "end_time", "count", "orders", "next_cursor"}
    assert set(answer) == named | ENVELOPE
    era = 0
    for order, row in zip(answer["orders"], rows, strict=False):
        era += row["kind"] == EventKind.CLEAR
        expected = L3Order.from_row("bitfinex", FINISHED, row, era)
        assert set(order) == ORDER
        assert set(order["metadata"]) <= METADATA
        assert order == exact(expected.model_dump_json())
        assert ISO.fullmatch(order["timestamp"])


def test_numbers_are_plain_json_with_every_digit(
    server: Served, rows: list[dict[str, Any]]
) -> None:
    text = server.get(f"/orders/{OLD}", limit=100).text
    shown = re.findall(r'"size":([^,]*),', text)
    assert shown == ["null" if row["size"] is None else plain(row["size"]) for row in rows[:100]]


def test_time_is_ours_its_start_with_and_its_end_without(
    server: Served, rows: list[dict[str, Any]]
) -> None:
    first, last = rows[500]["ts_recv"], rows[2_000]["ts_recv"]
    inside = [row["seq"] for row in rows if first <= row["ts_recv"] < last]
    times = {"start_time": iso_from_ns(first), "end_time": iso_from_ns(last)}
    assert sequences(server, limit=700, **times) == inside
    assert sequences(server, limit=700, order="desc", **times) == inside[::-1]
    offset = {"start_time": times["start_time"].replace("Z", "+00:00")}
    assert server.answer(f"/orders/{OLD}", limit=1, **offset)["start_time"] == times["start_time"]


@pytest.mark.parametrize(
    "parameters",
    [
        {"side": "bid"},
        {"side": "ask", "event_type": "open"},
        {"event_type": "match"},
        {"event_type": "clear"},
        {"min_price": "99.95"},
        {"max_price": "99.95", "min_size": "50.5"},
        {"min_price": "99.955", "max_price": "100.055"},
        {"min_size": "1e1"},
    ],
    ids=str,
)
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_filters(
    server: Served, rows: list[dict[str, Any]], parameters: dict[str, str], order: str
) -> None:
    def passes(row: dict[str, Any]) -> bool:
        name = EventKind(row["kind"]).name.lower()
        side = None if row["side"] is None else ("bid", "ask")[row["side"]]
        price, size = row["price"], row["size"]
        least, most = parameters.get("min_price"), parameters.get("max_price")
        return (
            parameters.get("event_type", name) == name
            and ("side" not in parameters or side == parameters["side"])
            and (least is None or (price is not None and price >= Decimal(least)))
            and (most is None or (price is not None and price <= Decimal(most)))
            and (
                "min_size" not in parameters
                or (size is not None and size >= Decimal(parameters["min_size"]))
            )
        )

    expected = [row["seq"] for row in rows if passes(row)]
    assert expected
    found = sequences(server, limit=900, order=order, **parameters)
    assert found == (expected if order == "asc" else expected[::-1])


def test_the_life_of_one_order(server: Served, rows: list[dict[str, Any]]) -> None:
    wanted = rows[1_500]["order_id"]
    expected = [row["seq"] for row in rows if row["order_id"] == wanted]
    assert sequences(server, order_id=wanted) == expected
    assert sequences(server, order_id="no such order") == []
    assert sequences(server, order_id="1") == []


def test_offset_answers_422_and_names_cursor(server: Served) -> None:
    assert "cursor" in server.refused(f"/orders/{OLD}", 422, offset=10)


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 10_001}, "limit"),
        ({"order": "up"}, "order"),
        ({"side": "buy"}, "side"),
        ({"event_type": "fill"}, "event_type"),
        ({"start_time": "yesterday"}, "start_time"),
        ({"start_time": "2026-01-02", "end_time": "2026-01-01"}, "end_time"),
        ({"min_price": "many"}, "min_price"),
        ({"min_price": "NaN"}, "min_price"),
        ({"cursor": "%%%"}, "cursor"),
        ({"cursor": "AAAA"}, "cursor"),
    ],
    ids=str,
)
def test_a_parameter_that_can_not_be_used_is_named(
    server: Served, parameters: dict[str, Any], named: str
) -> None:
    assert named in server.refused(f"/orders/{OLD}", 422, **parameters)


def test_a_cursor_is_good_for_its_own_query_alone(server: Served) -> None:
    cursor = server.answer(f"/orders/{OLD}", limit=5)["next_cursor"]
    assert server.answer(f"/orders/{OLD}", limit=3, cursor=cursor)["orders"][0]["sequence"] == 6
    assert "other parameters" in server.refused(f"/orders/{OLD}", 422, cursor=cursor, side="bid")


def test_orders_of_a_live_market_go_up_to_what_is_written(server: Served) -> None:
    page = server.answer(f"/orders/bitfinex/{LIVE}", limit=10_000)
    assert page["state"] == "LIVE"
    seqs = [order["sequence"] for order in page["orders"]]
    assert seqs == list(range(1, len(seqs) + 1))
    assert seqs[-1] > 50
    newest = server.answer(f"/orders/bitfinex/{LIVE}", limit=1, order="desc")["orders"][0]
    assert newest["sequence"] >= seqs[-1]
    assert newest["metadata"]["era"] == page["era"]


def test_the_limit_is_1_to_10000_and_1000_where_none_is_given(server: Served) -> None:
    assert server.answer(f"/orders/{OLD}")["count"] == 1_000
    assert server.answer(f"/orders/{OLD}", limit=1)["count"] == 1
    assert server.answer(f"/orders/{OLD}", limit=10_000)["count"] > 1_000


def test_without_times_they_are_null_and_next_cursor_is_null_at_the_end(server: Served) -> None:
    page = server.answer(f"/orders/{OLD}", limit=10_000)
    assert (page["start_time"], page["end_time"], page["next_cursor"]) == (None, None, None)


def test_no_parameter_of_the_contract_is_unknown_to_the_schema(server: Served) -> None:
    schema = exact(server.client.get(f"{server.address}/openapi.json").text)
    (path,) = [name for name in schema["paths"] if "/orders/" in name]
    named = {parameter["name"] for parameter in schema["paths"][path]["get"]["parameters"]}
    assert named >= PARAMETERS | {"exchange", "symbol"}


# What an event says -------------------------------------------------------------------------------


def events(server: Served, kind: L3EventType) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.answer(f"/orders/{OLD}", event_type=kind, limit=10_000)[
        "orders"
    ]
    assert found
    return found


@pytest.mark.parametrize("kind", list(L3EventType))
def test_event_type_is_the_kind_in_lower_case(server: Served, kind: L3EventType) -> None:
    assert {order["event_type"] for order in events(server, kind)} == {kind.value}


def test_of_a_clear_id_side_price_and_size_are_null(server: Served) -> None:
    for order in events(server, L3EventType.CLEAR):
        assert [order[name] for name in ("order_id", "side", "price", "size")] == [None] * 4


def test_a_match_carries_the_makers_id_side_and_price(server: Served) -> None:
    (order, *_) = events(server, L3EventType.MATCH)
    life = server.answer(f"/orders/{OLD}", order_id=order["order_id"])["orders"]
    before = [o for o in life if o["sequence"] < order["sequence"]][-1]
    assert (order["side"], order["price"]) == (before["side"], before["price"])
    assert {"trade_id", "taker_order_id", "taker_side"} <= set(order["metadata"])
    assert order["metadata"]["taker_side"] != order["side"]


def test_done_carries_the_price_where_it_rested_and_a_reason(server: Served) -> None:
    (order, *_) = events(server, L3EventType.DONE)
    life = server.answer(f"/orders/{OLD}", order_id=order["order_id"])["orders"]
    before = [o for o in life if o["sequence"] < order["sequence"]][-1]
    assert order["price"] == before["price"]
    assert order["metadata"]["reason"] in ("filled", "canceled")


def test_a_trade_has_no_id_and_the_resting_side(server: Served) -> None:
    for order in events(server, L3EventType.TRADE):
        assert order["order_id"] is None
        assert order["side"] in ("bid", "ask")


def test_a_change_says_what_was_before(server: Served) -> None:
    (order,) = server.answer(f"/orders/{EXACTLY}", event_type="change")["orders"]
    assert (order["metadata"]["old_price"], order["metadata"]["old_size"]) == (1200, Decimal("5.5"))


def test_orders_that_stand_in_a_snapshot_after_a_clear_are_no_events(
    server: Served, rows: list[dict[str, Any]]
) -> None:
    first, second = (order["sequence"] for order in events(server, L3EventType.CLEAR))
    assert (first, second) == tuple(r["seq"] for r in rows if r["kind"] == EventKind.CLEAR)
    everything = sequences(server, limit=10_000)
    assert everything == list(range(1, len(everything) + 1))


def test_sequence_is_ours_and_the_venues_own_is_metadata(
    server: Served, rows: list[dict[str, Any]]
) -> None:
    for order, row in zip(server.answer(f"/orders/{OLD}", limit=200)["orders"], rows, strict=False):
        assert order["sequence"] == row["seq"]
        assert order["metadata"].get("venue_seq") == row["venue_seq"]


# Numbers and times --------------------------------------------------------------------------------


def test_numbers_have_no_exponent_and_no_trailing_zeros(server: Served) -> None:
    text = server.get(f"/orders/{EXACTLY}").text
    assert re.findall(r'"price":([^,]*),', text) == [
        *("null", "0.00000001", "1200", "90071992547.40993", "1200"),
    ]
    assert re.findall(r'"size":([^,]*),', text) == [
        *("null", "90071992547.40993001", "5.5", "100", "5"),
    ]


@pytest.mark.parametrize(
    ("parameters", "found"),
    [
        ({"min_size": "90071992547.40993001"}, [2]),
        ({"min_size": "90071992547.40993002"}, []),
        ({"max_price": "0.00000001"}, [2]),
        ({"max_price": "0.000000009"}, []),
        ({"min_price": "90071992547.40993"}, [4]),
        ({"min_price": "90071992547.409930000001"}, []),
    ],
    ids=str,
)
def test_filters_are_exact_to_the_last_digit(
    server: Served, parameters: dict[str, str], found: list[int]
) -> None:
    assert sequences(server, EXACTLY, **parameters) == found


def test_times_have_up_to_nine_digits_and_show_the_venues_clock(server: Served) -> None:
    ours, venues = iso_from_ns(NINE_DIGITS), iso_from_ns(NINE_DIGITS - 1)
    assert ours.endswith(".123456789Z")
    shown = server.answer(f"/orders/{EXACTLY}")["orders"]
    assert [order["timestamp"] for order in shown] == [ours, ours, ours, venues, ours]
    assert shown[3]["metadata"]["ts_event_ns"] == NINE_DIGITS - 1
    assert shown[3]["metadata"]["ts_recv_ns"] == NINE_DIGITS


def test_the_ninth_digit_counts_start_inclusive_end_exclusive_by_our_clock(
    server: Served,
) -> None:
    at, behind = iso_from_ns(NINE_DIGITS), iso_from_ns(NINE_DIGITS + 1)
    assert sequences(server, EXACTLY, start_time=at) == [1, 2, 3, 4, 5]
    assert sequences(server, EXACTLY, start_time=behind) == []
    assert sequences(server, EXACTLY, end_time=at) == []
    assert sequences(server, EXACTLY, end_time=behind) == [1, 2, 3, 4, 5]


def test_naive_input_is_utc(server: Served) -> None:
    moment = datetime.fromtimestamp(NINE_DIGITS // 10**9, UTC)
    naive = moment.replace(tzinfo=None).isoformat()
    page = server.answer(f"/orders/{EXACTLY}", start_time=naive)
    assert page["start_time"] == f"{naive}Z"
    assert page["count"] == 5


def test_sequence_goes_on_by_one_across_eras_and_restarts(server: Served) -> None:
    market = f"bitfinex/{LIVE}"
    before = server.answer(f"/status/{market}")
    server.kill_collector()

    def goes_on() -> bool:
        status = server.answer(f"/status/{market}")
        return bool(status["era"] > before["era"] and status["state"] == "LIVE")

    wait_for(goes_on, "another era", pause=0.05)
    clear = server.answer(f"/orders/{market}", event_type="clear", order="desc")["orders"][0]
    assert clear["sequence"] > before["sequence"]
    wait_for(
        lambda: server.answer(f"/status/{market}")["sequence"] > clear["sequence"], "more events"
    )
    found: list[int] = []
    for page in pages(server, market, order="desc"):
        found += [order["sequence"] for order in page["orders"]]
        if found[-1] < min(clear["sequence"] - 100, before["sequence"]):
            break
    assert found[0] > clear["sequence"] > before["sequence"] > found[-1]
    assert found == list(range(found[0], found[-1] - 1, -1))
