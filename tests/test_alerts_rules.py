"""Rules fire for what they say, once, and not too often."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from ordertape._engine import BatchBuilder, IdCodec, OrderBook
from ordertape.alerts.fired import Alert, Gate
from ordertape.alerts.rules import Rule, RuleWish
from ordertape.alerts.threshold import Threshold
from ordertape.alerts.watch import RuleWatch
from ordertape.events import EventKind, Flag, Reason, Side
from ordertape.page.scene import Scene, Spot
from ordertape.tape.history import History
from ordertape.tape.marks import Mark, gap_mark
from support.tape import START

SECOND = 10**9
NINE_DIGITS = 1_790_000_000_123_456_789
GOLDEN = Path(__file__).resolve().parent / "golden" / "page"
HERE = {"exchange": "bitfinex", "symbol": "A/USD"}


def rule(kind: str, number: int = 1, **said: Any) -> Rule:
    wish = RuleWish.model_validate({"kind": kind, **HERE, **said})
    return Rule(number, wish.exchange, wish.symbol, wish.kind, wish.spec(), "")


class Watched:
    """A market in which this test does everything, and the alerts of its rules."""

    def __init__(self, *rules: Rule) -> None:
        self.codec = IdCodec("int")
        self.builder = BatchBuilder(self.codec, 2, 3, IdCodec("int"))
        self.now, self.next_seq = START, 1
        self.alerts: list[Alert] = []
        self.scene = Scene(
            Spot("bitfinex", "A/USD", "live"), OrderBook(codec=self.codec), History()
        )
        self.state("LIVE")
        self.watch = RuleWatch(self.alerts.append)
        self.watch.become(rules)
        self.watch.begin(self.scene)
        self.scene.watchers.append(self.watch)
        for nth in range(1, 21):  # around 100.00, a size of 1 each
            self.open(nth, Side.BID, 10_000 - nth, 1)
            self.open(100 + nth, Side.ASK, 10_000 + nth, 1)

    def do(
        self,
        kind: EventKind,
        order: int,
        side: Side,
        price: int,
        size: int,
        *,
        flags: int = 0,
        reason: int = 0,
    ) -> None:
        self.now += 1_000_000
        texts = str(order), f"{price // 100}.{price % 100:02d}", f"{size}.000"
        self.builder.add(kind, side, *texts, self.now, None, flags, reason)
        batch = self.builder.finish(self.next_seq)
        self.next_seq = batch.last_seq + 1
        self.scene.take(batch)

    def open(self, order: int, side: Side, price: int, size: int, flags: int = 0) -> None:
        self.do(EventKind.OPEN, order, side, price, size, flags=flags)

    def pull(self, order: int, side: Side, price: int) -> None:
        self.do(EventKind.DONE, order, side, price, 0, reason=Reason.CANCELED)

    def state(self, name: str) -> None:
        self.scene.mark(Mark("state", 0, self.now, {"from": "", "to": name, "reason": "a test"}))

    def wait(self, seconds: float) -> None:
        for _ in range(round(seconds * 10)):
            self.now += SECOND // 10
            self.scene.tick(self.now)

    @property
    def texts(self) -> list[str]:
        return [alert.text for alert in self.alerts]


# What is asked for --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"kind": "gap", "size": 3}, "a rule gap has no size"),
        ({"kind": "large_order", "seconds": 3}, "a rule large_order has no seconds"),
        ({"kind": "large_order", "size": 3, "notional": 4}, "has one of size, notional, quantile"),
        ({"kind": "spread"}, "a rule spread needs spread_bps"),
        ({"kind": "imbalance"}, "a rule imbalance needs imbalance"),
        ({"kind": "silence"}, "a rule silence needs seconds"),
        ({"kind": "silence", "seconds": 0}, "needs seconds of 1 or more"),
        ({"kind": "large_order", "size": 0}, "greater than 0"),
        ({"kind": "large_order", "size": "NaN"}, "finite"),
        ({"kind": "large_order", "quantile": 1}, "less than 1"),
        ({"kind": "tea"}, "'large_order', 'large_pulled'"),
        ({"kind": "gap", "webhook": "http://else.where"}, "match pattern"),
        ({"kind": "gap", "colour": "red"}, "not permitted"),
    ],
)
def test_what_no_rule_can_be_is_refused(said: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        RuleWish.model_validate({**HERE, **said})


def test_a_rule_says_everything_that_it_means() -> None:
    spec = {"cooldown_seconds": 0, "distance_bps": "5", "per_minute": 10, "quantile": "0.995"}
    assert rule("pulled_at_touch").spec == spec
    shown = rule("spread", spread_bps="2.50").as_json()
    assert (shown["spread_bps"], shown["seconds"]) == (Decimal("2.5"), 0)


# What fires ---------------------------------------------------------------------------------------


def test_a_large_order_fires_when_it_is_new_and_once() -> None:
    watched = Watched(rule("large_order", size=50))
    watched.open(900, Side.BID, 9_900, 50, Flag.SNAPSHOT | Flag.LAST)
    watched.open(901, Side.BID, 9_900, 49)
    watched.open(902, Side.ASK, 10_100, 50)
    assert watched.texts == ["new large ask of 50 at 101"]
    (alert,) = watched.alerts
    assert (alert.order_id, alert.price, alert.size) == ("902", Decimal(101), Decimal(50))
    watched.pull(902, Side.ASK, 10_100)
    watched.open(902, Side.ASK, 10_100, 50)
    assert len(watched.alerts) == 1


@pytest.mark.parametrize(("notional", "found"), [("4950", 1), ("4950.01", 0)])
def test_size_times_price_is_compared_exactly(notional: str, found: int) -> None:
    watched = Watched(rule("large_order", notional=notional))
    watched.open(900, Side.BID, 9_900, 50)
    assert len(watched.alerts) == found


def test_products_beyond_64_bits_are_compared() -> None:
    prices, sizes = np.array([2**62, 2**62 - 1]), np.array([2**62, 2**62])
    threshold = Threshold(notional=Decimal(2**124))
    assert threshold.large(prices, sizes, (0, 0)) == [0]


def test_a_quantile_is_one_of_what_rests() -> None:
    watched = Watched()
    watched.watch.become([rule("large_order", quantile="0.95")])
    for nth in range(900, 905):
        watched.open(nth, Side.BID, 9_900, 10)
    assert len(watched.alerts) == 5  # as all 40 others are, of a size of 1
    watched.wait(61)
    watched.open(910, Side.BID, 9_900, 9)
    watched.open(911, Side.BID, 9_900, 10)
    assert watched.texts[5:] == ["new large bid of 10 at 99"]


def test_what_is_pulled_fires_and_what_is_filled_does_not() -> None:
    watched = Watched(rule("large_pulled", size=50))
    for order in (900, 901, 902):
        watched.open(order, Side.BID, 9_800, 60)
    watched.do(EventKind.MATCH, 900, Side.BID, 9_800, 60)
    watched.do(EventKind.DONE, 900, Side.BID, 9_800, 0, reason=Reason.FILLED)
    watched.do(EventKind.MATCH, 901, Side.BID, 9_800, 20)
    watched.pull(901, Side.BID, 9_800)
    watched.pull(902, Side.BID, 9_800)
    assert [(alert.order_id, alert.size) for alert in watched.alerts] == [("902", Decimal(60))]


def test_near_the_touch_is_measured_in_bps_of_the_price() -> None:
    watched = Watched(rule("pulled_at_touch", size=50, distance_bps=20))
    near, far = 9_980, 9_970  # the best bid is 99.99
    for order, price in ((900, near), (901, far)):
        watched.open(order, Side.BID, price, 60)
        watched.pull(order, Side.BID, price)
    assert watched.texts == ["large bid of 60 at 99.8 pulled, 19.04 bps from the best, after 0.0 s"]


def test_a_wide_spread_fires_once_until_it_was_narrow_again() -> None:
    watched = Watched(rule("spread", spread_bps=10, seconds=1, cooldown_seconds=0))
    watched.wait(2)
    assert watched.texts == []  # 2 bps
    for nth in range(1, 11):
        watched.pull(nth, Side.BID, 10_000 - nth)
    watched.wait(0.9)
    assert watched.texts == []
    watched.wait(5)
    assert watched.texts == ["spread of 12.01 bps for 1 s (10 or more)"]
    watched.open(900, Side.BID, 9_999, 1)
    watched.wait(1)
    watched.pull(900, Side.BID, 9_999)
    watched.wait(2)
    assert len(watched.alerts) == 2


def test_a_condition_that_goes_on_waits_for_the_cooldown() -> None:
    watched = Watched(rule("imbalance", imbalance="0.5", levels=5, cooldown_seconds=30))
    for _ in range(2):
        watched.open(900, Side.BID, 9_999, 100)
        watched.wait(1)
        watched.pull(900, Side.BID, 9_999)
        watched.wait(1)
    watched.open(901, Side.BID, 9_999, 100)
    watched.wait(25)
    assert len(watched.alerts) == 1
    watched.wait(5)
    assert [alert.side for alert in watched.alerts] == ["bid", "bid"]
    assert [alert.left_out for alert in watched.alerts] == [0, 0]


def test_a_market_that_is_not_live_has_neither_spread_nor_imbalance() -> None:
    watched = Watched(rule("spread", spread_bps="0.1"), rule("imbalance", 2, imbalance="0.000001"))
    watched.open(900, Side.BID, 9_000, 5)
    watched.state("STALE")
    watched.wait(2)
    assert watched.texts == []
    watched.state("LIVE")
    watched.wait(0.2)
    assert len(watched.texts) == 1  # the order is not on the ten best prices


def test_silence_fires_once_and_not_where_the_stream_was_stopped() -> None:
    watched = Watched(rule("silence", seconds=5, cooldown_seconds=0))
    watched.wait(20)
    assert watched.texts == ["no event for 5 s (LIVE)"]
    watched.open(900, Side.BID, 9_000, 5)
    watched.state("STOPPED")
    watched.wait(20)
    assert len(watched.alerts) == 1


def test_a_gap_fires_when_it_is_noticed_and_not_again_when_it_is_healed() -> None:
    watched = Watched(rule("gap"))
    noticed = watched.now
    watched.scene.mark(gap_mark(40, noticed, None, "the connection ended", era=1))
    watched.scene.mark(gap_mark(41, noticed, noticed + 5, "the connection ended", era=2))
    assert watched.texts == ["events were lost: the connection ended"]


def test_too_many_are_counted_and_told_with_the_next() -> None:
    gate = Gate(rule("large_order", size=1, per_minute=2))
    found = [gate.passes(str(nth), START + nth * SECOND) for nth in range(5)]
    assert found == [0, 0, None, None, None]
    assert gate.passes("later", START + 61 * SECOND) == 3


def test_rules_come_and_go_and_those_that_stay_remember() -> None:
    gap, large = rule("gap"), rule("large_order", 2, size=50)
    watched = Watched(gap)
    watched.scene.mark(gap_mark(40, START, None, "a", era=1))
    watched.watch.become([gap, large])
    watched.scene.mark(gap_mark(40, START, None, "a", era=1))
    watched.open(900, Side.BID, 9_000, 50)
    assert [alert.rule for alert in watched.alerts] == [1, 2]
    watched.watch.become([])
    watched.open(901, Side.BID, 9_000, 50)
    assert len(watched.alerts) == 2


def test_an_alert_has_the_same_name_whenever_it_is_made() -> None:
    said = (START, "902", "text")
    first, again = (Alert(1, "gap", "bitfinex", "A/USD", *said) for _ in range(2))
    assert first.id == again.id != Alert(2, "gap", "bitfinex", "A/USD", *said).id


def test_the_frame_of_an_alert_is_the_text_that_the_page_reads() -> None:
    alert = Alert(
        *(7, "pulled_at_touch", "bitfinex", "BTC/USD", NINE_DIGITS, "902"),
        "large bid of 12.5 at 64250.5 pulled, 0.31 bps from the best, after 8.2 s",
        *(Decimal("64250.50"), Decimal("12.5"), "bid", "902", 3),
    )
    assert json.dumps(alert.as_frame()) == (GOLDEN / "alert.txt").read_text("utf-8").strip()
