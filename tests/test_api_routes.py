"""The table of routes, row by row, over real HTTP, in front of a collector that really collects."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from typing import Any

import httpx
import pytest

from ordertape import EventBatch
from ordertape.events import EventKind, Flag
from ordertape.models import L3Order, L3StreamStatus, iso_from_ns
from ordertape.numbers import plain
from ordertape.tape.rebuild import rebuild
from support.served import FINISHED, LIVE, Served, exact, sentence
from support.tape import naive_book

FORMS = ("BTC/USDT", "BTC-USDT", "tBTCUST", "BTC%2FUSDT", "btc/usdt")
ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z")
ENVELOPE = {"state", "era", "age_ms", "simulated"}
OLD = f"bitfinex/{FINISHED}"


@pytest.fixture(scope="module")
def server(served: Served) -> Served:
    served.begin()
    return served


@pytest.fixture(scope="module")
def rows(server: Served) -> list[dict[str, Any]]:
    """Every event of the finished tape, as the engine shows it."""
    everything = EventBatch.concat(server.batches)
    found = (everything[at] for at in range(len(everything)))
    return [row for row in found if not row["flags"] & Flag.SNAPSHOT]


# POST /start, POST /stop --------------------------------------------------------------------------


def test_start_answers_a_status_and_a_running_stream_stays_as_it_is(server: Served) -> None:
    wish = {
        "symbol": "tBTCUST",
        "exchanges": ["bitfinex"],
        "persist": True,
        "snapshot_interval_seconds": 60,
    }
    before = server.get(f"/status/bitfinex/{LIVE}").json()
    answer = server.post("/start", wish)
    assert answer.status_code == 200
    status = answer.json()
    assert (status["symbol"], status["exchanges"]) == ("BTC/USDT", ["bitfinex"])
    assert status["is_active"] is True
    assert status["started_at"] == before["started_at"]
    assert status["orders_received"] >= before["orders_received"]
    assert set(L3StreamStatus.model_fields) <= set(status)


@pytest.mark.parametrize("interval", [9, 3601, 0, "x"])
def test_the_interval_is_10_to_3600(server: Served, interval: object) -> None:
    wish = {"symbol": LIVE, "exchanges": ["bitfinex"], "snapshot_interval_seconds": interval}
    assert "snapshot_interval_seconds" in sentence(server.post("/start", wish), 422)


def test_one_bad_exchange_starts_none_and_is_named(server: Served) -> None:
    wish = {"symbol": "XRP/USDT", "exchanges": ["bitfinex", "nowhere"]}
    assert "nowhere" in sentence(server.post("/start", wish), 404)
    server.refused("/status/bitfinex/XRP/USDT", 404)


def test_a_body_that_can_not_be_used_is_told_in_a_sentence(server: Served) -> None:
    assert "symbol" in sentence(server.post("/start", {"exchanges": ["bitfinex"]}), 422)
    assert "exchanges" in sentence(server.post("/start", {"symbol": LIVE, "exchanges": []}), 422)
    assert "whatever" in sentence(
        server.post("/start", {"symbol": LIVE, "exchanges": ["bitfinex"], "whatever": 1}), 422
    )


def test_stop_of_a_market_never_collected_is_404(server: Served) -> None:
    assert "XRP/USDT" in sentence(server.post("/stop/bitfinex/XRP/USDT"), 404)


# GET /status, /streams, /venues -------------------------------------------------------------------


@pytest.mark.parametrize("symbol", FORMS)
def test_any_usual_form_of_a_symbol_is_the_same_market(server: Served, symbol: str) -> None:
    status = server.answer(f"/status/bitfinex/{symbol}")
    assert (status["symbol"], status["exchanges"]) == ("BTC/USDT", ["bitfinex"])
    assert set(status) >= ENVELOPE


def test_usdt_is_never_usd(server: Served) -> None:
    server.refused("/status/bitfinex/BTC/USD", 404)


def test_status_is_200_for_a_market_ever_collected_and_else_404(server: Served) -> None:
    status = server.answer(f"/status/{OLD}")
    assert status["is_active"] is False
    assert status["state"] == "STOPPED"
    assert "ZEC" in server.refused("/status/bitfinex/ZEC/USD", 404)
    assert "nowhere" in server.refused("/status/nowhere/BTC/USD", 404)


def test_streams_are_listed(server: Served) -> None:
    listed = server.answer("/streams")["streams"]
    assert {stream["symbol"] for stream in listed} >= {LIVE, FINISHED}
    assert all(set(stream) >= ENVELOPE for stream in listed)


def test_venues_tell_what_they_can_prove(server: Served) -> None:
    (row,) = server.answer("/venues")["venues"]
    assert row["exchange"] == "bitfinex"
    assert "no price" in row["checksum"]


# GET /orders --------------------------------------------------------------------------------------


def pages(server: Served, **parameters: Any) -> Iterator[dict[str, Any]]:
    """Every page of a query."""
    cursor = None
    while True:
        page = server.answer(
            f"/orders/{OLD}", **parameters, **({} if cursor is None else {"cursor": cursor})
        )
        assert page["count"] == len(page["orders"])
        yield page
        cursor = page["next_cursor"]
        if cursor is None:
            return
        assert re.fullmatch(r"[A-Za-z0-9_-]+", cursor)


def sequences(server: Served, **parameters: Any) -> list[int]:
    return [order["sequence"] for page in pages(server, **parameters) for order in page["orders"]]


def test_pages_hold_every_event_once_across_archive_and_journal(
    server: Served, rows: list[dict[str, Any]]
) -> None:
    everything = [row["seq"] for row in rows]
    assert sequences(server, limit=997) == everything
    assert sequences(server, limit=1_000, order="desc") == everything[::-1]
    assert sequences(server, limit=10_000) == everything


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
    first, last = rows[1_000]["ts_recv"], rows[4_000]["ts_recv"]
    inside = [row["seq"] for row in rows if first <= row["ts_recv"] < last]
    times = {"start_time": iso_from_ns(first), "end_time": iso_from_ns(last)}
    assert sequences(server, limit=700, **times) == inside
    assert sequences(server, limit=700, order="desc", **times) == inside[::-1]
    naive = {name: given.removesuffix("Z") for name, given in times.items()}
    assert sequences(server, limit=10_000, **naive) == inside
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
    found = sequences(server, limit=300, order=order, **parameters)
    assert found == (expected if order == "asc" else expected[::-1])


def test_the_life_of_one_order(server: Served, rows: list[dict[str, Any]]) -> None:
    wanted = rows[3_000]["order_id"]
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


# GET /snapshot ------------------------------------------------------------------------------------


def test_the_live_book_best_first_and_as_deep_as_asked(server: Served) -> None:
    book = server.answer(f"/snapshot/bitfinex/{LIVE}", depth=0)
    named = {"exchange", "symbol", "sequence", "timestamp", "statistics", "bids", "asks"}
    assert set(book) == named | ENVELOPE
    assert book["state"] == "LIVE"
    assert book["age_ms"] < 5_000
    bids, asks = ([Decimal(o["price"]) for o in book[side]] for side in ("bids", "asks"))
    assert all(a >= b for a, b in pairwise(bids))
    assert all(a <= b for a, b in pairwise(asks))
    figures = book["statistics"]
    assert (figures["bid_count"], figures["ask_count"]) == (len(bids), len(asks))
    assert figures["total_orders"] == len(bids) + len(asks)
    assert (figures["best_bid"], figures["best_ask"]) == (bids[0], asks[0])
    assert figures["spread"] == asks[0] - bids[0]
    assert figures["total_bid_volume"] == sum(Decimal(order["size"]) for order in book["bids"])
    assert len(server.answer(f"/snapshot/bitfinex/{LIVE}")["bids"]) == 100
    shallow = server.answer(f"/snapshot/bitfinex/{LIVE}", depth=3)
    assert (len(shallow["bids"]), len(shallow["asks"])) == (3, 3)
    server.refused(f"/snapshot/bitfinex/{LIVE}", 422, depth=-1)


def test_the_live_book_is_the_tapes_at_its_sequence(server: Served) -> None:
    live = server.answer(f"/snapshot/bitfinex/{LIVE}", depth=0)
    (row,) = server.answer(f"/orders/bitfinex/{LIVE}", limit=1, order="desc")["orders"]
    at = row["metadata"]["ts_recv_ns"]
    past = server.answer(f"/snapshot/bitfinex/{LIVE}", depth=0, at=iso_from_ns(at))
    book = rebuild(server.data, "bitfinex", LIVE, at=at)
    assert past["sequence"] == book.seq
    assert past["sequence"] >= live["sequence"]
    assert [order["order_id"] for order in past["bids"]] == [o[0] for o in book.orders(0)]


@pytest.mark.parametrize("part", [0.1, 0.4, 0.7, 1.0])
def test_a_past_book_is_rebuilt_at_the_last_complete_message(server: Served, part: float) -> None:
    batches = server.batches
    at = batches[int(part * (len(batches) - 1))].last_ts_recv
    expected = naive_book(batches, at)
    answer = server.answer(f"/snapshot/{OLD}", depth=0, at=iso_from_ns(at))
    assert answer["sequence"] == expected.seq
    for side, orders in ((0, answer["bids"]), (1, answer["asks"])):
        shown = [(o["order_id"], Decimal(o["price"]), Decimal(o["size"])) for o in orders]
        assert shown == expected.orders(side)
    before = server.answer(f"/snapshot/{OLD}", depth=0, at=iso_from_ns(at - 1))
    assert before["sequence"] < expected.seq


def test_inside_a_gap_it_is_the_last_book_with_the_gap(server: Served) -> None:
    lost = server.batches[2_499].last_ts_recv
    answer = server.answer(f"/snapshot/{OLD}", at=iso_from_ns(lost + 1))
    assert answer["sequence"] == naive_book(server.batches, lost).seq
    assert answer["gap"]["reason"] == "a test"
    assert answer["era"] == 1
    assert "gap" not in server.answer(f"/snapshot/{OLD}", at=iso_from_ns(lost - 1))


def test_before_the_first_event_there_is_no_book(server: Served) -> None:
    assert "nothing was recorded" in server.refused(f"/snapshot/{OLD}", 404, at="2001-01-01")


def test_the_last_book_of_a_market_that_is_not_collected(server: Served) -> None:
    answer = server.answer(f"/snapshot/{OLD}", depth=0)
    assert answer["sequence"] == server.batches[-1].last_seq
    assert (answer["state"], answer["era"]) == ("STOPPED", 2)


# GET /statistics, /gaps ---------------------------------------------------------------------------


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
    assert set(answer) >= ENVELOPE | {"snapshots"}


def test_statistics_of_a_period(server: Served, rows: list[dict[str, Any]]) -> None:
    first, last = rows[500]["ts_recv"], rows[5_000]["ts_recv"]
    answer = server.answer(
        f"/statistics/{OLD}", start_time=iso_from_ns(first), end_time=iso_from_ns(last)
    )
    assert answer["total_orders"] == sum(first <= row["ts_recv"] < last for row in rows)


def test_statistics_of_a_live_market_have_its_books_figures(server: Served) -> None:
    answer = server.answer(f"/statistics/bitfinex/{LIVE}")
    assert answer["live"]["total_orders"] > 0
    assert answer["events_per_second"]["now"] > 0


def test_gaps_are_told_with_their_reason_and_what_healed_them(server: Served) -> None:
    lost, clear = server.batches[2_499].last_ts_recv, server.batches[2_500]
    (gap,) = server.answer(f"/gaps/{OLD}")["gaps"]
    assert gap == {
        "from": iso_from_ns(lost),
        "to": iso_from_ns(clear.last_ts_recv),
        "reason": "a test",
        "healed_by": clear.first_seq,
    }
    assert server.answer(f"/gaps/{OLD}", end_time=iso_from_ns(lost))["gaps"] == []
    after = iso_from_ns(clear.last_ts_recv)
    assert server.answer(f"/gaps/{OLD}", start_time=after)["gaps"] == []


# The page and the documents -----------------------------------------------------------------------


def test_the_first_page_shows_streams_state_and_best_prices(server: Served) -> None:
    page = httpx.get(server.address)
    assert page.headers["content-type"].startswith("text/html")
    assert LIVE in page.text
    assert "LIVE" in page.text
    best = server.answer(f"/snapshot/bitfinex/{LIVE}", depth=1)["statistics"]["best_bid"]
    assert str(best)[:3] in page.text
    assert 'href="docs"' in page.text


def test_docs_need_no_internet(server: Served) -> None:
    page = httpx.get(f"{server.address}/docs").text
    for address in re.findall(r'(?:src|href)="([^"]+)"', page):
        assert address.startswith("/"), address
        assert httpx.get(server.address + address).status_code == 200
    assert "//cdn" not in page


def test_the_schema_names_every_route(server: Served) -> None:
    paths = httpx.get(f"{server.address}/openapi.json").json()["paths"]
    last = {path.rpartition("/level3")[2].partition("/{")[0] for path in paths}
    names = {"start", "stop", "status", "streams", "venues"}
    names |= {"orders", "snapshot", "statistics", "gaps"}
    assert last == {f"/{name}" for name in names}


def test_an_unknown_route_is_refused_in_the_same_form(server: Served) -> None:
    sentence(server.get("/nothing"), 404)
    sentence(server.get("/start"), 405)
