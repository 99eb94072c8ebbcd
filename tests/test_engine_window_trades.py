"""The window resolver: which trade explains which order that shrank or ended."""

from __future__ import annotations

from decimal import Decimal

from ordertape.events import Reason
from support.window import (
    CHANGE,
    DONE,
    EVICT,
    HORIZON_NS,
    INFERRED,
    LATE,
    MATCH,
    OPEN,
    TRADE,
    Bench,
    Row,
    fill,
)


def test_a_trade_before_the_end_it_explains_is_its_match() -> None:
    bench = Bench()
    bench.put(1, 100, 5)
    bench.commit()
    assert bench.trade(77, -5, 100)  # the taker sold, so that a bid was resting
    bench.remove(1)
    assert bench.commit() == [
        Row(MATCH, "1", 100, 5, 0, INFERRED),
        Row(DONE, "1", 100, 0, Reason.FILLED, INFERRED),
    ]
    assert bench.window.waiting_trades == 0


def test_a_match_names_its_trade_and_its_taker() -> None:
    bench = Bench()
    bench.put(1, 100, -5)
    bench.commit()
    bench.window.trade(77, "2", "100", bench.now, 5, 6)
    bench.window.put(1, "100", "-3", bench.now, 7, 8)
    batch = bench.window.commit(bench.next_seq, bench.now)
    assert batch is not None
    row = batch[0]
    assert (row["trade_id"], row["side"], row["taker_side"], row["size"]) == ("77", 1, 0, 2)
    assert (row["ts_event"], row["venue_seq"], len(batch)) == (5, 6, 1)


def test_a_trade_smaller_than_what_went_explains_its_part() -> None:
    bench = Bench()
    bench.put(1, 100, 5)
    bench.put(2, 100, 5)
    bench.commit()
    bench.trade(77, -2, 100, at=50)
    bench.put(1, 100, 1, at=50)
    assert bench.commit() == [
        Row(MATCH, "1", 100, 2, 0, INFERRED),
        Row(CHANGE, "1", 100, 1, Reason.AMENDED),
    ]
    # Later than what of order 1 is unexplained, so that it can't be that.
    bench.trade(78, -2, 100, at=60)
    bench.remove(2, at=60)
    assert bench.commit() == [
        Row(MATCH, "2", 100, 2, 0, INFERRED),
        Row(DONE, "2", 100, 3, Reason.UNKNOWN),
    ]


def test_a_trade_is_shared_out_by_place() -> None:
    bench = Bench()
    for order_id in (1, 2, 3):
        bench.put(order_id, 100, 5)
    bench.commit()
    bench.trade(77, -7, 100)
    bench.put(2, 100, 3)
    bench.remove(1)
    assert bench.commit() == [
        Row(MATCH, "2", 100, 2, 0, INFERRED),
        Row(MATCH, "1", 100, 5, 0, INFERRED),
        Row(DONE, "1", 100, 0, Reason.FILLED, INFERRED),
    ]


def test_a_trade_after_the_end_it_explains_is_a_late_match() -> None:
    bench = Bench()
    bench.put(1, 100, 5)
    bench.commit()
    bench.remove(1)
    assert [row.kind for row in bench.commit()] == [DONE]
    bench.trade(77, -3, 100)
    assert bench.commit() == [Row(MATCH, "1", 100, 3, 0, INFERRED | LATE)]
    bench.trade(78, -3, 100)
    assert bench.commit() == [Row(MATCH, "1", 100, 2, 0, INFERRED | LATE)]
    assert bench.window.counters["late_matched"] == 2
    assert bench.commit(HORIZON_NS - 1) == []
    assert bench.commit(1) == [Row(TRADE, None, 100, 1)]


def test_what_ended_before_the_horizon_is_no_longer_waited_for() -> None:
    bench = Bench()
    bench.put(1, 100, 5)
    bench.commit()
    bench.remove(1)
    bench.commit()
    bench.now += HORIZON_NS + 1
    bench.trade(77, -3, 100)
    assert bench.commit(1) == []
    assert bench.commit(HORIZON_NS + 1) == [Row(TRADE, None, 100, 3)]


def test_a_trade_that_nothing_explains_is_a_trade_after_the_horizon() -> None:
    bench = Bench()
    bench.trade(77, 2.5, 100)
    assert bench.window.waiting_trades == 1
    assert bench.commit(HORIZON_NS) == []
    assert bench.commit(1) == [Row(TRADE, None, 100, Decimal("2.5"))]
    assert bench.window.counters["unmatched_trades"] == 1


def test_a_trade_at_another_price_or_side_or_later_explains_nothing() -> None:
    for amount, price, at in ((-5, 101, None), (5, 100, None), (-5, 100, 60)):
        bench = Bench()
        bench.put(1, 100, 5, 40)
        bench.commit()
        bench.trade(77, amount, price, at)
        bench.remove(1, 50)
        assert [row.kind for row in bench.commit()] == [DONE]


def test_an_eviction_is_never_a_fill() -> None:
    bench = Bench()
    fill(bench)
    bench.trade(77, -10, 96)
    bench.put(6, 100, 10)
    bench.remove(5)
    assert [row.kind for row in bench.commit()] == [OPEN, EVICT]


def test_an_order_whose_price_rounds_to_the_trades_is_its_maker() -> None:
    bench = Bench()
    bench.put(1, "41643.95858045", 5)
    bench.put(2, "41643.4", 5)
    bench.commit()
    bench.trade(77, -5, 41644)
    bench.remove(2)
    bench.remove(1)
    rows = bench.commit()
    assert [(row.kind, row.order_id) for row in rows] == [(DONE, "2"), (MATCH, "1"), (DONE, "1")]
    assert rows[1].price == Decimal("41643.95858045")


def test_a_trade_told_twice_is_one_trade() -> None:
    bench = Bench()
    assert bench.trade(77, 1, 100)
    assert not bench.trade(77, 1, 100)
    bench.window.known_trade(78)
    assert not bench.trade(78, 1, 100)
    assert bench.window.waiting_trades == 1
    assert bench.window.counters["known_trades"] == 2


def test_a_trade_of_nothing_is_known_and_no_event() -> None:
    bench = Bench()
    assert bench.trade(77, 0, 100)
    assert not bench.trade(77, 0, 100)
    assert bench.commit(2 * HORIZON_NS) == []


def test_waiting_trades_are_bounded_and_the_oldest_go_first() -> None:
    bench = Bench(trades_max=3)
    for trade_id in range(10):
        bench.trade(trade_id, 1 + trade_id, 100)
    assert [row.size for row in bench.commit()] == [1, 2, 3, 4, 5, 6, 7]
    assert bench.window.waiting_trades == 3
    # Only as many ids are remembered.
    assert not bench.trade(9, 1, 100)
    assert bench.trade(0, 1, 100)
