"""What all detectors promise: the same findings however a tape is cut or scaled, gaps, bounds."""

from __future__ import annotations

import time
from typing import Any

import pytest

from ordertape._engine import Detectors, EventBatch, IdCodec, Lifecycles, OrderBook
from ordertape.events import EventKind
from ordertape.simulator.exchange import EPOCH_NS, SimulatedMarket
from ordertape.simulator.markets import MARKETS
from ordertape.simulator.occurrences import to_batch
from support.detecting import Hand, found

SECOND = 1_000_000_000
KINDS = {
    *("spoof-like", "layering", "quote stuffing"),
    *("native iceberg", "synthetic iceberg", "momentum ignition"),
}


def busy() -> Hand:
    """An iceberg, a chain, a layering and a spoof-like order, one behind the other."""
    hand = Hand()
    hand.usual(60)
    name = hand.add(0, 10_000, 5)
    for _ in range(2):
        hand.meet(name, 5, told=False)
        hand.add(0, 10_000, 5, name)
        hand.wait(40)
    hand.cancel(name)
    for nth in range(6):
        name = hand.add(1, 10_001, 33)
        hand.wait(200 + nth * 113 % 300)
        hand.meet(name, 33)
        hand.wait(60)
    hand.wait(400)
    hand.usual(3)
    shown = []
    for level in range(5):
        shown.append(hand.add(0, 9_999 - level, 60))
        hand.wait(15)
    hand.wait(900)
    hand.meet(hand.add(0, 10_000, 3), 3, "seller")
    hand.wait(100)
    hand.cancel(*shown)
    hand.usual(4)
    large = hand.add(1, 10_004, 400)
    hand.wait(600)
    small = hand.add(0, 10_000, 45)
    hand.wait(600)
    hand.meet(small, 45, "buyer")
    hand.wait(50)
    hand.cancel(large)
    hand.usual(2)
    return hand


def strip(told: list[dict[str, Any]], price: int = 1, size: int = 1) -> list[dict[str, Any]]:
    """Without the scales, prices and sizes at those of the first."""
    out = []
    for one in told:
        one = {name: value for name, value in one.items() if not name.endswith("_scale")}
        for name in ("price_low", "price_high"):
            one[name] = one[name] / price
        for name in ("size", "filled"):
            one[name] = one[name] / size
        out.append(one)
    return out


def test_how_a_tape_is_cut_into_batches_changes_nothing() -> None:
    hand = busy()
    whole = found(hand)
    assert {one["kind"] for one in whole} == KINDS - {"quote stuffing", "momentum ignition"}
    assert [one["told_seq"] for one in whole] == sorted(one["told_seq"] for one in whole)
    for split in (1, 7, 1_000):
        assert found(hand, split=split) == whole


def test_finer_scales_change_no_finding() -> None:
    hand = busy()
    usual, fine = found(hand), found(hand, scales=(5, 8))
    assert strip(fine, 10**3, 10**7) == strip(usual)


def test_scales_that_grow_in_the_middle_change_no_finding() -> None:
    hand = busy()
    half = len(hand.rows) // 2
    usual, grown = found(hand, split=half), found(hand, split=half, then=(5, 8))
    assert [(one["kind"], one["phase"]) for one in grown] == [
        (one["kind"], one["phase"]) for one in usual
    ]
    for before, after in zip(usual, grown, strict=True):
        factor = 10 ** (after["size_scale"] - before["size_scale"])
        assert after["size"] == before["size"] * factor
        assert after["score"] == pytest.approx(before["score"], abs=1e-9)


def test_a_gap_drops_what_is_open_and_keeps_what_is_usual() -> None:
    hand = Hand()
    hand.usual(60)
    large = hand.add(0, 9_997, 400)
    hand.wait(700)
    small = hand.add(1, 10_001, 45)
    hand.wait(700)
    hand.meet(small, 45, "t")
    hand.wait(60)
    at = len(hand.rows)
    hand.cancel(large)
    hand.usual(1)
    assert [one["kind"] for one in found(hand)] == ["spoof-like"]
    assert found(hand, gap_at=at) == []
    # The next one is measured against what was usual before the gap.
    large = hand.add(0, 9_997, 400)
    hand.wait(700)
    small = hand.add(1, 10_001, 45)
    hand.wait(700)
    hand.meet(small, 45, "t")
    hand.wait(60)
    hand.cancel(large)
    hand.usual(1)
    assert [one["kind"] for one in found(hand, gap_at=at)] == ["spoof-like"]


def test_a_book_that_is_cleared_drops_what_is_open() -> None:
    hand = Hand()
    hand.usual(30)
    name = hand.add(0, 10_000, 5)
    hand.meet(name, 5, told=False)
    hand.write(EventKind.CLEAR, 255, None, -(2**63), -(2**63))
    hand.add(0, 10_000, 5, name)
    assert found(hand) == []


def flood(count: int) -> Hand:
    """Large orders, fills, refreshes and chains without end."""
    hand = Hand()
    hand.usual(10)
    for nth in range(count):
        side = nth % 2
        name = hand.add(side, 10_001 if side else 10_000, 50 + nth % 3)
        hand.wait(0.3)
        if nth % 3:
            hand.meet(name, 50 + nth % 3, told=False)
            hand.add(side, 10_001 if side else 10_000, 50, name)
        hand.add(side, 10_003 if side else 9_998, 900 + nth % 7)
    return hand


def test_a_flood_costs_the_same_for_each_event() -> None:
    times = []
    for count in (4_000, 16_000):
        hand = flood(count)
        codec, detectors = IdCodec(), Detectors()
        batch = hand.batch(0, len(hand.rows), codec, (2, 1))
        book, lives = OrderBook(codec=codec), Lifecycles(hold_ns=SECOND, evicted_max=10)
        _, effects = book.apply(batch, effects=True)
        began = time.perf_counter()
        lives.take(batch, effects, book, [detectors])
        times.append((time.perf_counter() - began) / len(batch))
        told = detectors.drain(codec)
        assert max(len(one["order_ids"]) for one in told) <= 200
        assert len(told) <= 65_536
    assert times[1] < 8 * times[0], "four times the orders"


def tape() -> list[EventBatch]:
    """A simulated market with an episode of each kind."""
    market = SimulatedMarket(MARKETS["tBTCUST"], 3, 250, EPOCH_NS, preset="crypto", live_orders=900)
    codec = IdCodec("int")
    batches = [market.book.snapshot()]
    codec = batches[0].codec
    for at, kind in enumerate(
        ("native_iceberg", "layering", "quote_stuffing", "synthetic_iceberg", "spoofing")
    ):
        until = EPOCH_NS + (60 + 20 * at) * SECOND
        for log in (market.advance(until), []):
            batch = to_batch(log, market.price_scale, market.size_scale, codec=codec)
            if batch is not None:
                batches.append(batch)
        market.begin_episode(kind, at % 2)
    last = to_batch(
        market.advance(market.now_ns + 30 * SECOND),
        *(market.price_scale, market.size_scale),
        codec=codec,
    )
    return [*batches, *([] if last is None else [last])]


def test_a_simulated_market_says_the_same_in_any_pieces() -> None:
    batches = tape()
    told: list[list[dict[str, Any]]] = []
    for piece in (100_000, 333):
        codec = batches[0].codec
        book, lives, detectors = (
            OrderBook(codec=codec),
            Lifecycles(hold_ns=0, evicted_max=9),
            Detectors(),
        )
        mine: list[dict[str, Any]] = []
        for batch in batches:
            for start in range(0, len(batch), piece):
                part = batch[start : start + piece]
                _, effects = book.apply(part, effects=True)
                lives.take(part, effects, book, [detectors])
                mine += detectors.drain(codec)
        told.append(mine)
    assert told[0] == told[1]
    assert {"native iceberg", "quote stuffing"} <= {one["kind"] for one in told[0]} <= KINDS


def test_parameters_are_named_and_checked() -> None:
    usual = Detectors.parameters()
    assert usual["spoof_threshold"] == 0.5 or usual["spoof_threshold"] > 0
    Detectors(**usual)
    with pytest.raises(
        ValueError, match=r"expected parameters of iceberg_refresh_ms, .*\"nonsense\""
    ):
        Detectors(nonsense=1)
    for wrong in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=r"spoof_median: expected a number from 0 on, found"):
            Detectors(spoof_median=wrong)
