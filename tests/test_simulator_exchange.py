"""A simulated market: the same seed the same log, its book the truth at every sequence."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections import Counter

import pytest

from ordertape._engine import OrderBook
from ordertape.errors import SettingRefused
from ordertape.simulator.exchange import EPOCH_NS, SimulatedMarket
from ordertape.simulator.markets import MARKETS
from ordertape.simulator.occurrences import (
    Changed,
    Ended,
    Occurrence,
    Opened,
    Received,
    Traded,
    log_line,
    to_batch,
)
from ordertape.simulator.presets import PRESETS

SECOND = 1_000_000_000
DIGEST = "cfc3a905a0022ca238e2bd69e0e271be"


def market(
    seed: int = 7, preset: str = "lively", keep: int = 0, rejects_published: bool | None = None
) -> SimulatedMarket:
    return SimulatedMarket(
        *(MARKETS["tBTCUST"], seed, 2_000, EPOCH_NS),
        preset=preset,
        live_orders=800,
        keep=keep,
        rejects_published=rejects_published,
    )


def log_digest() -> str:
    """Of five seconds of each preset."""
    digest = hashlib.blake2b(digest_size=16)
    for preset in sorted(PRESETS):
        found = market(preset=preset)
        digest.update(found.digest().encode())
        for occurrence in found.advance(EPOCH_NS + 5 * SECOND):
            digest.update(log_line(occurrence).encode())
        digest.update(found.digest().encode())
    return digest.hexdigest()


def test_a_seed_gives_the_same_log_in_every_process() -> None:
    code = "import test_simulator_exchange as t; print(t.log_digest())"
    other = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=__file__.rpartition("/")[0],
        env={"PYTHONHASHSEED": "99"},
    )
    assert other.stdout.strip() == log_digest() == DIGEST


def test_another_seed_gives_another_log() -> None:
    logs = [market(seed).advance(EPOCH_NS + SECOND) for seed in (1, 2)]
    assert [log_line(item) for item in logs[0]] != [log_line(item) for item in logs[1]]


def test_it_does_not_matter_in_which_steps_a_market_is_moved_on() -> None:
    whole, pieces = market(), market()
    log: list[Occurrence] = []
    for step in range(1, 41):
        log += pieces.advance(EPOCH_NS + step * 50_000_000)
    assert log == whole.advance(EPOCH_NS + 2 * SECOND)
    assert pieces.due_ns == whole.due_ns > EPOCH_NS + 2 * SECOND


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_a_book_fed_with_the_log_is_the_true_book_order_by_order(preset: str) -> None:
    found = market(preset=preset)
    book = found.book
    last = 0
    for step in range(1, 21):
        log = found.advance(EPOCH_NS + step * SECOND // 4)
        assert [item.sequence for item in log] == list(range(last + 1, last + 1 + len(log)))
        assert [item.time_ns for item in log] == sorted(item.time_ns for item in log)
        last = found.sequence
        batch = to_batch(log, found.price_scale, found.size_scale)
        if batch is None:
            continue
        counters = book.apply(batch)
        assert counters.faults == counters.crossed
        assert not book.crossed
        assert book.digest() == found.digest()
    book.check()
    assert last > 4_000


def test_only_rejected_post_only_orders_cross_and_only_for_no_time() -> None:
    found = market(preset="crypto")
    book, crossed = found.book, 0
    log = found.advance(EPOCH_NS + 3 * SECOND)
    for at, item in enumerate(log):
        batch = to_batch([item], found.price_scale, found.size_scale)
        if batch is not None:
            book.apply(batch)
        if book.crossed:
            crossed += 1
            following = log[at + 1]
            assert isinstance(item, Opened)
            assert isinstance(following, Ended)
            assert (following.order_id, following.time_ns) == (item.order_id, item.time_ns)
    assert crossed > 500


def test_rejects_are_not_published_where_nobody_wants_them() -> None:
    log = market(preset="crypto", rejects_published=False).advance(EPOCH_NS + SECOND)
    never = [item for item in log if isinstance(item, Ended) and item.reason == "canceled"]
    assert sum(not item.rested for item in never) > 100


def test_every_kind_of_occurrence_and_reason_happens() -> None:
    seen: Counter[str] = Counter()
    for item in market().advance(EPOCH_NS + 25 * SECOND):
        seen[type(item).__name__] += 1
        if isinstance(item, Received):
            seen[f"received {item.kind}"] += 1
        elif isinstance(item, Changed):
            seen[f"changed {item.reason}"] += 1
        elif isinstance(item, Ended):
            seen[f"ended {item.reason} {item.rested}"] += 1
        elif isinstance(item, Traded):
            seen["hidden maker"] += item.maker_hidden
            seen["resting taker"] += item.taker_resting
    wanted = [
        *(f"received {kind}" for kind in ("limit", "market", "post_only", "ioc")),
        *(f"changed {reason}" for reason in ("amended", "self_trade", "refreshed", "remainder")),
        *("ended filled True", "ended filled False", "ended canceled True"),
        *("ended canceled False", "ended self_trade True", "hidden maker", "resting taker"),
    ]
    assert {name: seen[name] > 0 for name in wanted} == dict.fromkeys(wanted, True)


def test_the_oracle_tells_the_book_after_every_occurrence_it_keeps() -> None:
    found = market(keep=500)
    book = found.book
    digests = {0: book.digest()}
    for _ in range(11):
        for item in found.advance(found.now_ns + SECOND // 10):
            batch = to_batch([item], found.price_scale, found.size_scale)
            if batch is not None:
                book.apply(batch)
            digests[item.sequence] = book.digest()
    last = found.sequence
    assert last > 1_200
    for sequence in (last, last - 1, last - 499, last - 250, last - 251, last):
        assert found.digest_at(sequence) == digests[sequence]
    assert found.digest_at(last) == found.digest()
    with pytest.raises(LookupError, match=f"to {last}, found 1$"):
        found.digest_at(1)
    with pytest.raises(LookupError, match=f"to {last}, found {last + 1}$"):
        found.digest_at(last + 1)
    with pytest.raises(LookupError, match="keeps no history"):
        market().digest_at(0)


def test_digests_are_those_of_books_made_from_the_venues_ids() -> None:
    def text(order_id: int) -> str:
        return f"00000000-0000-4000-8000-{order_id:012x}"

    found = SimulatedMarket(
        *(MARKETS["BTC-USD"], 7, 500, EPOCH_NS),
        live_orders=200,
        keep=100,
        id_text=text,
        id_codec="uuid",
    )
    found.advance(EPOCH_NS + SECOND)
    book = OrderBook(found.price_scale, found.size_scale, "uuid")
    for order in found.rows():
        book.apply_one(1, order.side, text(order.order_id), order.price, order.size)
    assert book.digest() == found.digest() == found.digest_at(found.sequence)


@pytest.mark.parametrize("live_orders", [100, 1_000, 20_000])
def test_about_as_many_orders_rest_as_were_asked_for(live_orders: int) -> None:
    found = SimulatedMarket(MARKETS["tBTCUST"], 7, 500, EPOCH_NS, live_orders=live_orders)
    found.advance(EPOCH_NS + 10 * SECOND)
    assert 0.6 * live_orders < len(found.matching.orders) < 1.8 * live_orders + 400


@pytest.mark.parametrize("preset", sorted(PRESETS))
@pytest.mark.parametrize("rate", [10, 5_000, 20_000])
def test_about_as_much_happens_as_was_asked_for(preset: str, rate: int) -> None:
    found = SimulatedMarket(MARKETS["tBTCUST"], 7, rate, EPOCH_NS, preset=preset, live_orders=400)
    seconds = max(3, 10_000 // rate)
    found.advance(EPOCH_NS + seconds * SECOND)
    assert 0.6 * rate < found.sequence / seconds < 1.6 * rate


@pytest.mark.parametrize(
    ("rate", "live_orders", "sentence"),
    [
        (0, None, "expected a rate of 1 to 20000, found 0"),
        (20_001, None, "expected a rate of 1 to 20000, found 20001"),
        (10, 99, "expected a number of live orders of 100 to 200000, found 99"),
    ],
)
def test_what_is_beyond_the_limits_is_refused(
    rate: int, live_orders: int | None, sentence: str
) -> None:
    with pytest.raises(SettingRefused, match=sentence):
        SimulatedMarket(MARKETS["tBTCUST"], 7, rate, EPOCH_NS, live_orders=live_orders)


def test_an_auction_in_a_market_gathers_and_trades_at_one_price() -> None:
    found = market()
    found.open_auction()
    log = found.advance(EPOCH_NS + SECOND)
    assert not [item for item in log if isinstance(item, Traded)]
    book = found.book
    price = found.close_auction()
    log = found.advance(found.now_ns)
    trades = [item for item in log if isinstance(item, Traded)]
    assert price is not None
    assert {trade.price for trade in trades} == {price}
    assert all(trade.taker_resting for trade in trades)
    batch = to_batch(log, found.price_scale, found.size_scale)
    assert batch is not None
    counters = book.apply(batch)
    assert counters.faults == counters.crossed
    assert book.digest() == found.digest()
    assert not found.book.crossed
