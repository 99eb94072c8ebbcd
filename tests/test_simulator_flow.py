from __future__ import annotations

import hashlib

import pytest

from ordertape.simulator.flow import EPOCH_NS, Flow
from ordertape.simulator.markets import MARKETS
from ordertape.simulator.matching import ID_BITS

SECOND = 1_000_000_000
BTC = MARKETS["tBTCUST"]


def _digest(flow: Flow, seconds: int, steps: int) -> str:
    """Of all trades and of the book at every whole second, the flow moved in so many steps each."""
    digest = hashlib.sha256()
    for second in range(seconds):
        for step in range(1, steps + 1):
            for trade in flow.run_until(EPOCH_NS + second * SECOND + step * SECOND // steps):
                digest.update(repr(trade).encode())
        for side in (0, 1):
            digest.update(repr(flow.matching.keys[side]).encode())
    return digest.hexdigest()


def test_the_same_seed_gives_the_same_market_however_it_is_asked() -> None:
    first = _digest(Flow(7, BTC, 300, EPOCH_NS), 10, 1)
    assert first == _digest(Flow(7, BTC, 300, EPOCH_NS), 10, 13)
    assert first != _digest(Flow(8, BTC, 300, EPOCH_NS), 10, 1)


def test_a_seed_gives_the_same_market_on_every_machine() -> None:
    digest = _digest(Flow(7, BTC, 300, EPOCH_NS), 10, 1)
    assert digest == "0fcd57c90e8c045b42c6281a9bb0d43b7fec6ea6fb0a24e5b0bcfb3106de28af"


@pytest.mark.parametrize("symbol", sorted(MARKETS))
def test_a_market_keeps_its_depth_and_its_price_and_is_never_crossed(symbol: str) -> None:
    shape = MARKETS[symbol]
    flow = Flow(5, shape, 1_000, EPOCH_NS)
    for second in range(1, 8):
        flow.run_until(EPOCH_NS + second * SECOND)
        bid, ask = flow.matching.best(0), flow.matching.best(1)
        assert bid is not None
        assert ask is not None
        assert 0 < bid < ask < bid + 30 * shape.tick
        assert shape.start * 9 < bid * 10 < shape.start * 11
        for keys in flow.matching.keys:
            assert 800 <= len(keys) <= 1_500
        assert all(order.size > 0 for order in flow.matching.orders.values())


def test_the_rate_is_what_was_asked_for_in_the_long_run() -> None:
    for rate, seconds in ((20, 1_000), (200, 120), (5_000, 5)):
        flow = Flow(7, BTC, rate, EPOCH_NS)
        before = flow.matching.operations
        flow.run_until(EPOCH_NS + seconds * SECOND)
        measured = (flow.matching.operations - before) / seconds
        assert rate * 0.7 < measured < rate * 1.3


def test_a_market_that_starts_again_uses_new_ids() -> None:
    for rate in (1, 200, 5_000):
        first = Flow(7, BTC, rate, EPOCH_NS)
        trades = first.run_until(EPOCH_NS + 4 * SECOND)
        again = Flow(7, BTC, rate, EPOCH_NS + 4 * SECOND)
        born = max(first.matching.orders)
        fresh = [i for i in range(2) if again.matching.keys[i]]
        assert fresh == [0, 1]
        again.run_until(EPOCH_NS + 5 * SECOND)
        # The oldest orders of a starting book predate it; those born while it runs are new.
        assert max(again.matching.orders) > born
        assert born < 2 ** (ID_BITS - 1)
        assert all(trade.trade_id < 1_800_000_000 + 4 * 500 + 10_000 for trade in trades)


def test_trades_never_go_back_in_time_and_ids_grow() -> None:
    trades = Flow(7, BTC, 3_000, EPOCH_NS).run_until(EPOCH_NS + 5 * SECOND)
    assert len(trades) > 50
    assert [t.time_ns for t in trades] == sorted(t.time_ns for t in trades)
    ids = [t.trade_id for t in trades]
    assert ids == sorted(set(ids))
    assert {t.taker_side for t in trades} == {0, 1}
    assert all(t.size > 0 for t in trades)


def test_prices_are_mostly_on_the_grid_and_sizes_are_mixed() -> None:
    flow = Flow(7, BTC, 1_000, EPOCH_NS)
    flow.run_until(EPOCH_NS + 20 * SECOND)
    orders = [order for order in flow.matching.orders.values() if not order.hidden]
    off_grid = sum(order.price % BTC.tick != 0 for order in orders) / len(orders)
    assert 0.03 < off_grid < 0.3
    odd = sum(order.size % 10_000 != 0 for order in orders) / len(orders)
    assert 0.3 < odd < 0.8
    repeated = len(orders) - len({order.size for order in orders})
    assert 0.2 < repeated / len(orders) < 0.8
