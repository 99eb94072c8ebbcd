"""Order-flow statistics: by hand on a small tape, on a real one, and of simulated sessions."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest

import ordertape as ot
from ordertape._engine import EventBatch
from ordertape.simulator.statistics import figures
from ordertape.simulator.statistics_check import (
    CHECKED,
    check_session,
    check_tape,
    session,
    tick_of,
)
from ordertape.simulator.statistics_gates import GATES, gates_of
from ordertape.simulator.statistics_hawkes import branching_ratio
from ordertape.simulator.statistics_walk import ADD, AMEND, CANCEL, TRADE, observe

OPEN, CHANGE, MATCH, DONE = 1, 2, 3, 4
FILLED, CANCELED, AMENDED = 1, 2, 4
BID, ASK = 0, 1
MS = 1_000_000

ROWS = [  # ms, kind, side, id, price, size, reason
    (0, OPEN, BID, 1, 100, 5, 0),
    (0, OPEN, ASK, 2, 103, 5, 0),
    (10, OPEN, BID, 3, 100, 7, 0),
    (20, OPEN, BID, 4, 102, 5, 0),
    (50, DONE, BID, 4, 102, 5, CANCELED),
    (55, OPEN, BID, 5, 101, 5, 0),
    (60, OPEN, ASK, 6, 101, 1, 0),
    (60, DONE, ASK, 6, 101, 1, CANCELED),
    (70, DONE, BID, 3, 100, 7, CANCELED),
    (80, MATCH, ASK, 2, 103, 2, 0),
    (80, MATCH, ASK, 2, 103, 3, 0),
    (80, DONE, ASK, 2, 103, 0, FILLED),
    (90, OPEN, ASK, 7, 104, 5, 0),
    (95, CHANGE, BID, 1, 99, 5, AMENDED),
    (2_000, OPEN, BID, 8, 90, 1, 0),
]


def batch(rows: Sequence[tuple[int, ...]] = ROWS) -> EventBatch:
    time_ms, kind, side, order_id, price, size, reason = zip(*rows, strict=True)
    return EventBatch.from_arrays(
        kind=kind,
        side=side,
        order_id=[str(number) for number in order_id],
        price=price,
        size=size,
        reason=reason,
        ts_event=[ms * MS for ms in time_ms],
        taker_order_id=["77" if k == MATCH else None for k in kind],
        price_scale=0,
        size_scale=0,
        codec="int",
    )


def test_a_small_tape_is_seen_as_it_is_counted_by_hand() -> None:
    seen = observe([batch()], Decimal(1))
    # The first moment only starts the clock.
    assert list(zip(seen.kind, seen.side, strict=True)) == [
        (ADD, BID),
        (ADD, BID),
        (CANCEL, BID),
        (ADD, BID),
        (CANCEL, BID),
        (TRADE, BID),
        (ADD, ASK),
        (AMEND, BID),
        (ADD, BID),
    ]
    assert (seen.crossing_adds, seen.fills, seen.replaced, seen.size_cuts) == (1, 2, 1, 0)
    assert seen.add_distance == [0, -2, -1, 11]
    assert seen.canceled_life == [30 * MS, 60 * MS]
    assert seen.cancel_distance == [0, 1]
    assert seen.cancel_rank == [1.0]
    assert seen.requote_ns == [-1, -1, 5 * MS, -1, -1]
    assert seen.requote_ticks == [0, 0, 1, 0, 0]
    assert seen.spread_ns == {3: (10 + 5 + 1_910) * MS, 1: 30 * MS, 2: 25 * MS}
    found = figures(seen)
    assert found["cancel/add(rest)"] == 2 / 5
    assert found["flash_share_adds"] == 1 / 6
    assert found["fills/aggr"] == 2
    assert found["requote10ms"] == 1 / 5
    assert found["requote_same_px"] == 0
    assert found["requote_1-10t"] == 1
    assert math.isnan(found["hawkes_n"])


def test_a_cancel_and_an_add_of_one_moment_are_an_amendment_where_the_tape_means_that() -> None:
    rows = [
        *ROWS[:3],
        (30, DONE, BID, 3, 100, 7, CANCELED),
        (30, OPEN, BID, 9, 99, 7, 0),
        (40, DONE, BID, 9, 99, 7, CANCELED),
    ]
    apart = observe([batch(rows)], Decimal(1))
    joined = observe([batch(rows)], Decimal(1), joined=True)
    assert apart.kind == [ADD, CANCEL, ADD, CANCEL]
    assert joined.kind == [ADD, AMEND, CANCEL]
    assert joined.canceled_life == [20 * MS, 10 * MS]


def test_the_tick_is_what_prices_have_in_common_at_any_scale() -> None:
    assert tick_of([batch()]) == 1
    rows = [(0, OPEN, BID, 1, 585_25, 1, 0), (1, OPEN, BID, 2, 585_50, 1, 0)]
    assert tick_of([batch(rows)]) == 25
    assert tick_of([]) == 1


@pytest.mark.parametrize("ratio", [0.3, 0.8])
def test_the_branching_ratio_of_a_known_process_is_found(ratio: float) -> None:
    draws = random.Random(5)
    waiting = [draws.uniform(0, 300) for _ in range(round(300 * 20 * (1 - ratio)))]
    times = []
    while waiting:
        time_s = waiting.pop()
        times.append(time_s)
        # A geometric number of children would do as well: only the mean matters.
        waiting += [
            child
            for _ in range(3)
            if draws.random() < ratio / 3 and (child := time_s + draws.expovariate(30)) < 300
        ]
    assert branching_ratio(sorted(times), 300) == pytest.approx(ratio, abs=0.07)


def test_a_real_session_passes_its_own_bands(shared: Path) -> None:
    """The same code on LOBSTER's hour of AAPL gives the values that its bands stand around."""
    folder = shared / "data" / "lobster_aapl_2012"
    name = "AAPL_2012-06-21"
    reader = ot.read_lobster(
        folder / f"{name}_34200000_37800000_message_50.csv.gz",
        orderbook=folder / f"{name}_first999_orderbook_10.csv",
    )
    verdict = check_tape(reader, "equity", Decimal("0.01"))
    assert verdict.accepted
    assert (verdict.hard, verdict.share) == ((23, 23), 1.0)
    for gate, band, value in verdict.rows:
        if gate.name != "live_orders":  # the file begins with ten levels, its source had fifty
            assert value == pytest.approx(band.real, rel=0.035, abs=0.003), gate.name


def test_every_gate_has_a_statistic_and_the_counts_are_those_of_the_source() -> None:
    found = figures(observe([batch()], Decimal(1)))
    assert {gate.name for gate in GATES} <= set(found)
    for preset, soft in (("crypto", 37), ("equity", 38)):
        gates = gates_of(preset)
        assert sum(gate.hard for gate, _ in gates) == 23
        assert sum(not gate.hard for gate, _ in gates) == soft
        assert all(band.low <= band.real <= band.high for _, band in gates)


@pytest.mark.parametrize("preset", sorted(CHECKED))
def test_a_preset_is_like_its_market(preset: str) -> None:
    """One short session: most of what a real one shows.  The figures are those of three sessions
    of ten minutes, in docs/simulator.md."""
    verdict = check_session(preset, 7, 4)
    passed, count = verdict.hard
    assert passed >= count - 7
    assert verdict.share >= 0.70


def test_a_session_without_clusters_is_refused() -> None:
    """The control: the same orders at even times."""
    batches = list(session("crypto", 7, 1))
    count, done = sum(len(part) for part in batches[1:]), 0
    even = [batches[0]]
    for part in batches[1:]:
        kind, side, price, size, reason = map(
            part.column, ("kind", "side", "price", "size", "reason")
        )
        assert kind is not None
        assert side is not None
        assert price is not None
        assert size is not None
        assert reason is not None
        even.append(
            EventBatch.from_arrays(
                kind=kind,
                side=side,
                price=price,
                size=size,
                reason=reason,
                order_id=part.id_texts(),
                ts_event=[(done + at) * 160_000_000_000 // count for at in range(len(part))],
                price_scale=part.price_scale,
                size_scale=part.size_scale,
                codec="int",
            )
        )
        done += len(part)
    verdict = check_tape(even, "crypto", Decimal(1))
    assert not verdict.accepted
    assert verdict.hard[0] < 16


@pytest.mark.parametrize("preset", sorted(CHECKED))
def test_the_document_tells_every_band_and_what_seed_7_gives(preset: str) -> None:
    text = (Path(__file__).parent.parent / "docs" / "simulator.md").read_text()
    section = text.partition(f"### `{preset}`")[2].partition("\n#")[0]
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in section.splitlines()
        if " to " in line
    ]
    verdict = check_session(preset, 7, 10)
    assert len(rows) == len(verdict.rows)
    for (hard, name, span, real, found, *_), (gate, band, value) in zip(
        rows, verdict.rows, strict=True
    ):
        low, high, middle, first = (
            float(text.replace(",", "")) for text in (*span.split(" to "), real, found.split()[0])
        )
        told = (bool(hard), name, low, high, middle)
        assert told[:2] == (gate.hard, gate.text)
        assert told[2:] == pytest.approx(band, rel=0.006)
        assert first == pytest.approx(value, rel=0.006), name
        assert found.endswith("✗") == (gate not in verdict.passed), name
