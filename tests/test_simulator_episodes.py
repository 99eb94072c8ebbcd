"""Labelled episodes: who did it, from when to when, and what it looks like on the log."""

from __future__ import annotations

from itertools import pairwise
from statistics import median

import pytest

from ordertape.errors import SettingRefused
from ordertape.simulator.episodes import EPISODE_KINDS, Episode
from ordertape.simulator.exchange import EPOCH_NS, SimulatedMarket
from ordertape.simulator.markets import MARKETS
from ordertape.simulator.occurrences import Changed, Ended, Occurrence, Opened, Received, Traded

SECOND = 1_000_000_000
MS = 1_000_000


def run(
    kind: str, side: int = 0, seed: int = 3, **parameters: int
) -> tuple[Episode, list[Occurrence], SimulatedMarket]:
    """An episode in a market, and everything that happened until it was over."""
    market = SimulatedMarket(MARKETS["tBTCUST"], seed, 400, EPOCH_NS, live_orders=600)
    log = market.advance(EPOCH_NS + SECOND)
    label = market.begin_episode(kind, side, **parameters)
    log = []
    for _ in range(90):
        log += market.advance(market.now_ns + SECOND)
        if label.end_ns is not None:
            break
    return label, log, market


def of(label: Episode, log: list[Occurrence]) -> list[Occurrence]:
    """The occurrences of the episode's own orders."""
    ids = set(label.order_ids)
    return [item for item in log if getattr(item, "order_id", None) in ids]


@pytest.mark.parametrize("kind", EPISODE_KINDS)
@pytest.mark.parametrize("side", [0, 1])
def test_a_label_holds_the_times_and_the_ids_of_its_owners_orders(kind: str, side: int) -> None:
    label, log, market = run(kind, side)
    assert (label.kind, label.side, label.start_ns) == (kind, side, EPOCH_NS + SECOND)
    assert market.episodes == [label]
    assert label.end_ns is not None
    received = [
        item.order_id for item in log if isinstance(item, Received) and item.owner == label.owner
    ]
    assert received == label.order_ids != []
    times = [item.time_ns for item in of(label, log)]
    assert label.start_ns == min(times)
    assert max(times) <= label.end_ns
    assert not set(label.order_ids) & set(market.matching.orders), "nothing of it is left"


def test_what_a_detector_may_not_accuse_is_labelled_so() -> None:
    assert {kind for kind in EPISODE_KINDS if not run(kind)[0].manipulative} == {
        *("cancel_all", "requotes", "twap", "large_order")
    }


def test_a_spoofer_cancels_a_large_order_after_a_trade_on_the_other_side() -> None:
    label, log, market = run("spoofing", 0, size=3_000, life=2_000)
    own = of(label, log)
    shown = next(item for item in own if isinstance(item, Opened))
    assert (shown.side, shown.size) == (0, 30 * market.shape.program)
    end = next(i for i in own if isinstance(i, Ended) and i.order_id == shown.order_id)
    assert end.reason == "canceled"
    assert end.left >= 0.9 * shown.size
    assert 1_900 * MS <= end.time_ns - shown.time_ns <= 2_100 * MS
    trades = [
        item
        for item in log
        if isinstance(item, Traded) and {item.maker_id, item.taker_id} & set(label.order_ids[1:])
    ]
    assert {trade.side for trade in trades} == {1}
    assert shown.time_ns < trades[0].time_ns < end.time_ns


def test_layers_stand_on_successive_levels_and_go_together() -> None:
    label, log, _ = run("layering", 1, layers=5, seed=4)
    opened = [item for item in of(label, log) if isinstance(item, Opened)]
    assert len({item.price for item in opened}) >= 3
    assert len({item.size for item in opened}) == 1
    ends = [
        item.time_ns
        for item in of(label, log)
        if isinstance(item, Ended) and item.reason == "canceled" and item.rested
    ]
    assert len(opened) == 5
    assert len(ends) >= 4, "at most one of them was met"
    assert max(ends) - min(ends) < SECOND // 4


def test_a_spoofer_withdraws_so_soon_after_its_trade_as_it_is_told() -> None:
    label, log, _ = run("spoofing", 0, size=3_000, life=4_000, after=100)
    shown, true_one = label.order_ids
    traded = [i.time_ns for i in log if isinstance(i, Traded) and i.maker_id == true_one]
    end = next(i for i in of(label, log) if isinstance(i, Ended) and i.order_id == shown)
    assert 90 * MS <= end.time_ns - traded[-1] <= 110 * MS


def test_layers_stand_so_far_apart_and_go_so_soon_after_the_trade_as_told() -> None:
    label, log, market = run("layering", 1, layers=4, step=3, life=2_000, after=50, seed=4)
    own = of(label, log)
    opened = [item for item in own if isinstance(item, Opened)]
    distances = [(b.price - a.price) / market.shape.tick for a, b in pairwise(opened)]
    assert median(distances) == 3
    traded = [i.time_ns for i in log if isinstance(i, Traded) and i.taker_id in label.order_ids]
    gone = [i.time_ns for i in own if isinstance(i, Ended) and i.reason == "canceled"]
    assert 45 * MS <= gone[0] - traded[-1] <= 55 * MS


def test_stuffing_is_many_short_orders_of_one_size_on_few_prices() -> None:
    label, log, _ = run("quote_stuffing", rate=1_000, seconds=2)
    own = of(label, log)
    born = {item.order_id: item.time_ns for item in own if isinstance(item, Received)}
    lives = [item.time_ns - born[item.order_id] for item in own if isinstance(item, Ended)]
    assert label.end_ns is not None
    assert len(born) / ((label.end_ns - label.start_ns) / SECOND) > 400
    assert median(lives) < 50 * MS
    assert len({item.size for item in own if isinstance(item, Opened)}) == 1


def test_a_native_iceberg_trades_more_than_it_ever_showed() -> None:
    label, log, _ = run("native_iceberg", peaks=6, vary=20)
    (order_id,) = label.order_ids
    traded = sum(i.size for i in log if isinstance(i, Traded) and i.maker_id == order_id)
    shown = [
        item.new_size if isinstance(item, Changed) else item.size
        for item in of(label, log)
        if isinstance(item, Opened) or (isinstance(item, Changed) and item.reason == "refreshed")
    ]
    assert len(shown) >= 3
    assert len(set(shown)) > 1, "its peaks vary"
    assert traded > 2 * max(shown)


def test_a_synthetic_iceberg_is_a_chain_of_equal_orders_each_after_the_last_was_filled() -> None:
    label, log, _ = run("synthetic_iceberg", tranches=6, delay=60)
    own = of(label, log)
    assert len({item.size for item in own if isinstance(item, Received)}) == 1
    filled = {i.order_id: i.time_ns for i in own if isinstance(i, Ended) and i.reason == "filled"}
    assert len(filled) >= 4
    begun = {item.order_id: item.time_ns for item in own if isinstance(item, Received)}
    pairs = list(zip(label.order_ids, label.order_ids[1:], strict=False))
    assert all(begun[after] > filled[before] for before, after in pairs if before in filled)


def test_pieces_of_a_synthetic_iceberg_may_differ_and_stay_at_their_price() -> None:
    label, log, _ = run("synthetic_iceberg", tranches=8, vary=40, stay=50, pace=200)
    pieces = [item for item in of(label, log) if isinstance(item, Opened)]
    assert len({piece.size for piece in pieces}) > 4
    assert len({piece.price for piece in pieces}) == 1


def test_slices_are_met_at_any_time_of_their_turns() -> None:
    label, log, _ = run("twap", slices=12, every=500, vary=1)
    own = of(label, log)
    opened = {item.order_id: item.time_ns for item in own if isinstance(item, Opened)}
    waits = [
        item.time_ns - opened[item.order_id]
        for item in own
        if isinstance(item, Ended) and item.reason == "filled"
    ]
    assert len({wait // (50 * MS) for wait in waits}) > 2
    assert all(wait < 500 * MS for wait in waits)


def test_momentum_ignition_moves_the_price_its_way() -> None:
    moves = []
    for seed in range(5):
        label, log, _ = run("momentum_ignition", 0, seed=seed, steps=10, size=600)
        prices = [
            item.price
            for item in log
            if isinstance(item, Traded) and item.taker_id in label.order_ids and item.side == 1
        ]
        moves.append(prices[-1] - prices[0])
    assert median(moves) > 0


def test_a_restart_of_the_venue_empties_the_book_and_everybody_comes_back() -> None:
    market = SimulatedMarket(MARKETS["tBTCUST"], 3, 400, EPOCH_NS, live_orders=600, keep=5_000)
    market.advance(EPOCH_NS + SECOND)
    before = len(market.matching.orders)
    label = market.venue_restart()
    assert len(market.book) == 0
    assert (label.manipulative, label.end_ns) == (False, label.start_ns)
    assert len(label.order_ids) == before
    log = market.advance(market.now_ns)
    assert sum(isinstance(item, Ended) and item.reason == "canceled" for item in log) == before
    market.advance(market.now_ns + 30 * SECOND)
    assert len(market.book) > before / 2
    assert market.digest_at(market.sequence) == market.digest()


def test_a_kind_or_a_parameter_that_does_not_exist_is_refused() -> None:
    market = SimulatedMarket(MARKETS["tBTCUST"], 3, 400, EPOCH_NS, live_orders=100)
    with pytest.raises(SettingRefused, match=r"expected an episode of cancel_all, .* found 'wash'"):
        market.begin_episode("wash")
    with pytest.raises(SettingRefused, match=r"expected parameters of size, .* found 'colour'"):
        market.begin_episode("spoofing", colour=1)
    assert market.episodes == []


def test_makers_believe_in_an_imbalance_that_is_only_shown() -> None:
    """What makes spoofing work: while large bids are shown, the price is believed to rise."""
    shares = []
    for side in (0, 1):
        down = up = 0
        for seed in range(4):
            market = SimulatedMarket(MARKETS["tBTCUST"], seed, 2_000, EPOCH_NS, live_orders=600)
            before = list(market.agents.makers.moves)
            for _ in range(10):
                market.begin_episode("spoofing", side, size=6_000, distance=1, fill=0)
                market.advance(market.now_ns + 3 * SECOND // 2)
            down += market.agents.makers.moves[0] - before[0]
            up += market.agents.makers.moves[1] - before[1]
        shares.append(up / (up + down))
    # Where the price stands pulls as well, equally in both.
    assert shares[0] > shares[1] + 0.2


def test_takers_learn_what_an_imbalance_is_worth() -> None:
    market = SimulatedMarket(MARKETS["tBTCUST"], 3, 5_000, EPOCH_NS, live_orders=600)
    assert market.agents.takers.belief < 0.5
    market.advance(EPOCH_NS + 20 * SECOND)
    belief = market.agents.takers.belief
    assert 0 < belief <= 1, "the makers follow the imbalance, so it pays"
