"""Contract, REST: `GET /snapshot/{exchange}/{symbol}`, live and as it stood."""

from __future__ import annotations

import re
from decimal import Decimal
from itertools import groupby, pairwise

import pytest

from ordertape.events import Side
from ordertape.models import iso_from_ns
from ordertape.tape.rebuild import rebuild
from support.contract import ENVELOPE, OLD, STATISTICS
from support.served import ERA, EXACT, LIVE, NINE_DIGITS, Served
from support.tape import naive_book


@pytest.mark.contract("GET /snapshot/{exchange}/{symbol}")
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
    assert set(figures) == STATISTICS
    assert (figures["bid_count"], figures["ask_count"]) == (len(bids), len(asks))
    assert figures["total_orders"] == len(bids) + len(asks)
    assert (figures["best_bid"], figures["best_ask"]) == (bids[0], asks[0])
    assert figures["spread"] == asks[0] - bids[0]
    assert figures["mid_price"] == (asks[0] + bids[0]) / 2
    assert figures["total_bid_volume"] == sum(Decimal(order["size"]) for order in book["bids"])
    shallow = server.answer(f"/snapshot/bitfinex/{LIVE}", depth=3)
    assert (len(shallow["bids"]), len(shallow["asks"])) == (3, 3)


def test_n_of_a_live_book_means_the_tapes_book_before_event_n_plus_1(server: Served) -> None:
    live = server.answer(f"/snapshot/bitfinex/{LIVE}", depth=0)
    book = server.book_at(live["sequence"])
    for side, name in ((Side.BID, "bids"), (Side.ASK, "asks")):
        shown = [(o["order_id"], Decimal(o["price"]), Decimal(o["size"])) for o in live[name]]
        assert shown == book.orders(side)


def test_at_shows_a_collected_market_as_it_stood(server: Served) -> None:
    (row,) = server.answer(f"/orders/bitfinex/{LIVE}", limit=1, order="desc")["orders"]
    at = row["metadata"]["ts_recv_ns"]
    past = server.answer(f"/snapshot/bitfinex/{LIVE}", depth=0, at=iso_from_ns(at))
    book = rebuild(server.data, "bitfinex", LIVE, at=at)
    assert past["sequence"] == book.seq >= row["sequence"]
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
    lost = server.batches[ERA - 1].last_ts_recv
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


def test_in_a_price_the_front_of_the_queue_comes_first(server: Served) -> None:
    at = server.batches[700].last_ts_recv
    book = naive_book(server.batches, at)
    answer = server.answer(f"/snapshot/{OLD}", depth=0, at=iso_from_ns(at))
    for side in ("bids", "asks"):
        for price, orders in groupby(answer[side], lambda order: order["price"]):
            queue = [order_id for order_id, _ in book.queue(Decimal(price))]
            assert [order["order_id"] for order in orders] == queue


def test_depth_is_100_where_none_is_given_and_0_is_all(server: Served) -> None:
    book = server.answer(f"/snapshot/bitfinex/{LIVE}")
    assert (len(book["bids"]), len(book["asks"])) == (100, 100)
    whole = server.answer(f"/snapshot/bitfinex/{LIVE}", depth=0)
    assert len(whole["bids"]) == whole["statistics"]["bid_count"] > 100


@pytest.mark.parametrize(
    ("parameters", "named"), [({"depth": "x"}, "depth"), ({"at": "then"}, "at")], ids=str
)
def test_a_parameter_that_can_not_be_used_is_named(
    server: Served, parameters: dict[str, str], named: str
) -> None:
    assert named in server.refused(f"/snapshot/{OLD}", 422, **parameters)


def test_at_is_inclusive_to_the_ninth_digit(server: Served) -> None:
    at = iso_from_ns(NINE_DIGITS)
    assert server.answer(f"/snapshot/bitfinex/{EXACT}", at=at)["sequence"] == 5
    server.refused(f"/snapshot/bitfinex/{EXACT}", 404, at=iso_from_ns(NINE_DIGITS - 1))


def test_numbers_of_a_book_have_no_exponent_and_no_trailing_zeros(server: Served) -> None:
    text = server.get(f"/snapshot/bitfinex/{EXACT}").text
    shown = re.findall(r'"price":([^,]*),"size":([^}]*)}', text)
    assert shown == [
        *(("0.00000001", "90071992547.40993001"), ("1200", "5"), ("90071992547.40993", "100")),
    ]
    assert '"total_bid_volume":90071992547.40993001' in text
    assert '"mid_price":600.000000005' in text
    assert '"spread":1199.99999999' in text


def test_an_empty_book_has_no_best_prices(server: Served) -> None:
    first = server.batches[0].last_ts_recv
    answer = server.answer(f"/snapshot/{OLD}", at=iso_from_ns(first))
    assert (answer["bids"], answer["asks"]) == ([], [])
    named = ("best_bid", "best_ask", "spread", "mid_price")
    assert [answer["statistics"][name] for name in named] == [None] * 4
