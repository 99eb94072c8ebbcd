"""The flow that the engine counts equals one made by hand, however it is cut into batches."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ordertape._engine import NULL, EventBatch, Flow, Lifecycles, OrderBook
from ordertape.analysis.windows import COHORT_S, Windows
from ordertape.events import EventKind, Flag, Reason, Side
from support.plain_flow import SECOND, PlainFlow
from support.plain_lives import Told
from test_engine_lives import drawn

HOLD_NS = SECOND
START_S = 1_790_000_000
FLOWS = [
    (kind, name)
    for kind, names in Flow.names().items()
    for name in names[: Flow.flows()[kind]]
    if name not in ("gap_ns", "shocks", "hidden", "hidden_volume")
]


def batch_of(told: list[tuple[Told, bool]], first_seq: int = 1, **more: Any) -> EventBatch:
    """Events, each with whether its message ends there."""
    clear = [event.kind == EventKind.CLEAR for event, _ in told]
    seqs, seq = [], first_seq - 1
    for event, _ in told:
        seq += not event.flags & Flag.SNAPSHOT
        seqs.append(seq)

    def column(values: list[int], absent: int) -> list[int]:
        return [absent if c else v for v, c in zip(values, clear, strict=True)]

    nobody = [event.kind in (EventKind.CLEAR, EventKind.TRADE) for event, _ in told]
    return EventBatch.from_arrays(
        kind=[event.kind for event, _ in told],
        side=column([event.side for event, _ in told], 255),
        order_id=[
            None if n else str(event.order_id) for (event, _), n in zip(told, nobody, strict=True)
        ],
        price=column([event.price for event, _ in told], NULL),
        size=column([event.size for event, _ in told], NULL),
        ts_recv=[event.ts for event, _ in told],
        flags=[event.flags | (Flag.LAST if last else 0) for event, last in told],
        reason=[event.reason for event, _ in told],
        seq=seqs,
        price_scale=0,
        size_scale=0,
        codec="int",
        **more,
    )


def flow_of(batches: list[EventBatch], until: int, *, drain: bool = False) -> list[Any]:
    """Rows of a flow over batches, asked for behind each of them or once."""
    book, lives = OrderBook(), Lifecycles(hold_ns=HOLD_NS, evicted_max=1_000)
    flow, told = Flow(hold_ns=HOLD_NS), []
    for batch in batches:
        _, effects = book.apply(batch, effects=True)
        lives.take(batch, effects, book, [flow])
        if drain:
            told.append((flow.drain(), flow.drain_cohorts()))
    flow.advance(until * SECOND + HOLD_NS)
    return [*told, (flow.drain(), flow.drain_cohorts())]


def windows_of(
    told: list[Any], start: int, step: int, count: int, cohort_s: int = COHORT_S
) -> Windows:
    windows = Windows(start, step, count, cohort_s)
    for rows, cohorts in told:
        windows.take(rows)
        windows.take_cohorts(cohorts)
    return windows


def messages(told: list[Told], dice: random.Random) -> list[tuple[Told, bool]]:
    """Some neighbours of one time are one message; a whole book is one."""
    found = []
    for nth, event in enumerate(told):
        following = told[nth + 1] if nth + 1 < len(told) else None
        alone = following is None or following.ts != event.ts or dice.random() < 0.6
        if following is not None and following.flags & Flag.SNAPSHOT:
            alone = False
        elif following is not None and (
            event.flags & Flag.SNAPSHOT or following.kind == EventKind.CLEAR
        ):
            alone = True
        found.append((event, alone))
    return found


@settings(max_examples=12)
@given(seed=st.integers(0, 2**32))
def test_every_sum_is_the_one_made_by_hand_whatever_the_batches(seed: int) -> None:
    dice = random.Random(seed)
    told = messages([replace_price(event) for event in drawn(dice, 250)], dice)
    plain = PlainFlow(HOLD_NS)
    for event, last in told:
        plain.take(event, last)
    first, last_s = told[0][0].ts // SECOND, told[-1][0].ts // SECOND + 70
    borders = sorted({0, len(told), *dice.sample(range(len(told)), 20)})
    # The seqs of a batch go on, and a message is never cut.
    ends = [at for at in borders if at == 0 or told[at - 1][1]]
    seqs = np.cumsum([not event.flags & Flag.SNAPSHOT for event, _ in told]).tolist()
    parts = [
        batch_of(told[begin:end], (seqs[begin - 1] if begin else 0) + 1)
        for begin, end in pairwise(ends)
    ]
    step = dice.choice([10, 37, 1_000])
    count = -(-(last_s - first) // step)
    at_once = windows_of(flow_of([batch_of(told)], first + step * count), first, step, count)
    in_parts = flow_of(parts, first + step * count, drain=True)
    cut = windows_of(in_parts, first, step, count)
    for nth in range(count):
        expected = plain.totals(first + step * nth, first + step * (nth + 1))
        for kind, name in FLOWS:
            value, wanted = at_once[name][nth], float(expected[name])
            if kind == "means":
                assert value == pytest.approx(wanted, rel=1e-12, abs=1e-3), name
            else:
                assert value == wanted, (name, nth)
            assert cut[name][nth] == pytest.approx(value, rel=1e-12), name
        for name, wanted in plain.end(first + step * (nth + 1)).items():
            assert at_once[name][nth] == float(wanted), (name, nth)


def replace_price(event: Told) -> Told:
    """Prices so far apart that every distance is there."""
    return event._replace(price=event.price * 20 + 100_000)


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32))
def test_what_was_effective_is_realised_or_impact_in_every_window(seed: int) -> None:
    dice = random.Random(seed)
    told = messages(drawn(dice, 300), dice)
    first, last = told[0][0].ts // SECOND, told[-1][0].ts // SECOND + 70
    windows = windows_of(flow_of([batch_of(told)], last), first, 1, last - first)
    for tau in ("1s", "5s", "15s", "60s"):
        both = windows[f"realised_{tau}"] + windows[f"impact_{tau}"]
        assert (windows[f"effective_{tau}"] == both).all()
    assert windows["priced"].sum() >= windows["priced_60s"].sum()


def events(*told: tuple[Any, ...]) -> list[tuple[Told, bool]]:
    """(ms, kind, side, id, price, size, flags, reason), a message each."""
    return [
        (Told(kind, side, number, price, size, START_S * SECOND + ms * 1_000_000, *more), True)
        for ms, kind, side, number, price, size, *more in told
    ]


def test_a_trade_told_late_makes_a_fill_of_what_seemed_a_cancel() -> None:
    bid, ask = Side.BID, Side.ASK
    told = events(
        (0, EventKind.OPEN, bid, 1, 99_990, 5),
        (0, EventKind.OPEN, ask, 2, 100_010, 5),
        (0, EventKind.OPEN, ask, 3, 100_020, 5),
        (900, EventKind.DONE, ask, 2, 100_010, 5, 0, Reason.UNKNOWN),
        (1_100, EventKind.MATCH, ask, 2, 100_010, 5, Flag.LATE | Flag.INFERRED),
        (1_200, EventKind.DONE, bid, 1, 99_990, 5, 0, Reason.UNKNOWN),
    )
    windows = windows_of(flow_of([batch_of(told)], START_S + 70), START_S, 1, 3)
    assert windows["cancelled_bid_touch"].tolist() == [0, 1, 0]
    assert windows["cancelled_ask_touch"].tolist() == [0, 0, 0]
    assert windows["completed_ask"].tolist() == [1, 0, 0]
    assert windows["trades_buy"].tolist() == [0, 1, 0]
    # Against the mid before the order went, not the one when the trade was told.
    assert windows["effective"].tolist() == [0, 20 * 5, 0]
    assert windows.cohort("filled").tolist() == [1, 0, 0]
    assert windows.cohort("cancelled").tolist() == [1, 0, 0]
    assert windows.cohort("filled_size").tolist() == [5, 0, 0]


def test_what_leaves_a_window_is_no_cancel_and_what_comes_back_is_not_new() -> None:
    bid = Side.BID
    told = events(
        (0, EventKind.OPEN, bid, 1, 99_990, 5),
        (100, EventKind.EVICT, bid, 1, 99_990, 5),
        (200, EventKind.OPEN, bid, 1, 99_990, 5, Flag.REENTRY),
        (300, EventKind.OPEN, bid, 9, 99_980, 5, Flag.REENTRY),
    )
    windows = windows_of(flow_of([batch_of(told)], START_S + 2), START_S, 1, 1)
    totals = {name: windows[name][0] for _, name in FLOWS}
    assert totals["added_bid_touch"] == 1
    assert totals["evicted_bid"] == 1
    assert totals["reentered_bid"] == 2
    assert sum(v for name, v in totals.items() if name.startswith("cancelled")) == 0
    assert windows["orders_bid"][0] == 2


def test_a_gap_stops_everything_until_the_book_is_whole_again() -> None:
    bid, ask = Side.BID, Side.ASK
    before = events((0, EventKind.OPEN, bid, 1, 99_990, 5), (0, EventKind.OPEN, ask, 2, 100_010, 5))
    after = events(
        (3_000, EventKind.CLEAR, 0, 0, 0, 0),
        (3_000, EventKind.OPEN, bid, 7, 99_990, 5, Flag.SNAPSHOT),
        (3_000, EventKind.OPEN, ask, 8, 100_010, 5, Flag.SNAPSHOT),
        (4_500, EventKind.OPEN, ask, 9, 100_010, 5),
    )
    book, lives = OrderBook(), Lifecycles(hold_ns=HOLD_NS, evicted_max=10)
    flow = Flow(hold_ns=HOLD_NS)
    _, effects = book.apply(batch := batch_of(before), effects=True)
    lives.take(batch, effects, book, [flow])
    flow.advance(START_S * SECOND + 500_000_000)
    flow.gap(START_S * SECOND + 250_000_000)
    _, effects = book.apply(batch := batch_of(after, 3), effects=True)
    lives.take(batch, effects, book, [flow])
    flow.advance((START_S + 6) * SECOND)
    windows = windows_of([(flow.drain(), flow.drain_cohorts())], START_S, 1, 5)
    assert windows.gap_seconds.tolist() == [0.75, 1, 1, 0, 0]
    assert windows.is_known.tolist() == [False, False, False, True, True]
    assert np.isnan(windows["events"][:3]).all()
    # What a whole book brings did not flow.
    assert windows["ofi_1"].tolist()[3:] == [0, -5]
    assert windows["quoted_ns"].tolist()[3:] == [SECOND, SECOND]


def test_lifetimes_fall_into_buckets_of_a_sixteenth_by_fate() -> None:
    bid = Side.BID
    told = events(
        (0, EventKind.OPEN, bid, 1, 100, 5, Flag.SNAPSHOT),
        (0, EventKind.OPEN, bid, 2, 100, 5),
        (0, EventKind.OPEN, bid, 3, 100, 5),
        (100, EventKind.DONE, bid, 1, 100, 5, 0, Reason.CANCELED),
        (100, EventKind.DONE, bid, 2, 100, 5, 0, Reason.CANCELED),
        (200, EventKind.MATCH, bid, 3, 100, 5),
        (200, EventKind.OPEN, bid, 4, 100, 5),
        (500, EventKind.CLEAR, 0, 0, 0, 0),
    )
    book, lives = OrderBook(), Lifecycles(hold_ns=HOLD_NS, evicted_max=10)
    flow = Flow(hold_ns=HOLD_NS)
    _, effects = book.apply(batch := batch_of(told), effects=True)
    lives.take(batch, effects, book, [flow])
    flow.advance((START_S + 1) * SECOND)
    rows = flow.drain_lifetimes()
    names = ("fate", "truncated", "lasted", "count")
    found = set(zip(*(np.asarray(rows.column(name)).tolist() for name in names), strict=True))

    def bucket(ns: int) -> int:
        octave = ns.bit_length() - 5
        return ns >> octave << octave

    assert found == {
        (1, 1, bucket(100_000_000), 1),
        (1, 0, bucket(100_000_000), 1),
        (0, 0, bucket(200_000_000), 1),
        (2, 0, bucket(300_000_000), 1),
    }


def test_a_shock_is_followed_for_half_a_minute() -> None:
    bid, ask = Side.BID, Side.ASK
    told = events(
        (0, EventKind.OPEN, bid, 1, 99_990, 8),
        (0, EventKind.OPEN, ask, 2, 100_010, 8),
        (0, EventKind.OPEN, ask, 3, 100_050, 9),
        (0, EventKind.OPEN, ask, 4, 100_200, 9),  # beyond 10 bp of the mid
        (1_000, EventKind.MATCH, ask, 2, 100_010, 4),
        (1_000, EventKind.MATCH, ask, 2, 100_010, 4),
        (5_000, EventKind.OPEN, ask, 5, 100_020, 6),
        (40_000, EventKind.DONE, bid, 1, 99_990, 8, 0, Reason.CANCELED),
    )
    book, lives = OrderBook(), Lifecycles(hold_ns=HOLD_NS, evicted_max=10)
    flow = Flow(hold_ns=HOLD_NS)
    _, effects = book.apply(batch := batch_of(told), effects=True)
    lives.take(batch, effects, book, [flow])
    rows = flow.drain_shocks()
    assert len(rows) == 1
    assert np.asarray(rows.column("side")).tolist() == [Side.BID]
    assert np.asarray(rows.column("depth")).tolist() == [17, 0]
    assert np.asarray(rows.column("spread")).tolist() == [20]
    depths = np.asarray(rows.column("depths")).reshape(-1, 2)[:, 0].tolist()
    assert depths == [9] * 6 + [15] * 4
    assert np.asarray(rows.column("spreads")).tolist() == [60] * 6 + [30] * 4


def test_what_nobody_asks_for_is_dropped_and_counted() -> None:
    ticks = [
        (Told(EventKind.OPEN, Side.BID, n, 100 + n % 7, 1, (START_S + n * 2) * SECOND), True)
        for n in range(60_000)
    ]
    book, lives = OrderBook(), Lifecycles(hold_ns=HOLD_NS, evicted_max=10)
    flow = Flow(hold_ns=HOLD_NS)
    _, effects = book.apply(batch := batch_of(ticks), effects=True)
    lives.take(batch, effects, book, [flow])
    assert len(flow.drain()) <= 100_000
    assert flow.dropped > 0
