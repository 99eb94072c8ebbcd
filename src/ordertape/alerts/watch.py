"""Rules of one market, held against everything that happens to its book.

Belongs to the thread that moves the market on; whoever wants other rules calls ``become`` there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np

from ordertape import limits
from ordertape._engine import NULL, Effects, EventBatch, Rows
from ordertape.alerts.fired import Alert, Gate
from ordertape.alerts.rules import OF_ORDERS, Rule
from ordertape.alerts.threshold import Threshold
from ordertape.events import EventKind, Flag, Reason, Side
from ordertape.numbers import plain
from ordertape.page.scene import Scene, Watcher
from ordertape.tape.marks import Mark
from ordertape.times import NS_PER_MILLISECOND, NS_PER_SECOND

__all__ = ["RuleWatch"]

TOLD = 1
"""How an order ended of which the venue told it."""
PULLED = (Reason.CANCELED, Reason.UNKNOWN)
"""Taken away unfilled: of a venue that tells no reasons, without a trade that explains it."""
NOT_NEW = Flag.SNAPSHOT | Flag.REENTRY


@dataclass(slots=True)
class _Held:
    """A rule and where it stands."""

    rule: Rule
    gate: Gate
    threshold: Threshold | None = None
    measured_at: int = 0
    measured_of: int = 0
    """How many orders rested then."""
    since: int | None = None
    """When its condition began to hold (ns); None: it does not."""
    told: bool = False
    """For that stretch."""
    measured: Threshold = field(default_factory=Threshold)


class RuleWatch(Watcher):
    """``fired`` is called in the same thread."""

    def __init__(self, fired: Callable[[Alert], None]) -> None:
        self._fired = fired
        self._held: dict[int, _Held] = {}
        self._scene: Scene | None = None

    def become(self, rules: Iterable[Rule]) -> None:
        """From now on these; those that stay keep where they stand."""
        wanted = {rule.number: rule for rule in rules}
        self._held = {
            number: self._held.get(number) or self._begun(rule) for number, rule in wanted.items()
        }

    def _begun(self, rule: Rule) -> _Held:
        threshold = Threshold.of(rule.spec) if rule.kind in OF_ORDERS else None
        return _Held(rule, Gate(rule), threshold)

    # What a scene tells ---------------------------------------------------------------------------

    def begin(self, scene: Scene) -> None:
        """Another book: what was being measured begins anew."""
        self._scene = scene
        for held in self._held.values():
            held.since, held.told, held.measured_at = None, False, 0

    def failed(self, _reason: str) -> None:
        self._scene = None

    def applied(self, batch: EventBatch, _effects: Effects, ended: Rows) -> None:
        new = self._new(batch)
        gone = _pulled(ended)
        scales = batch.price_scale, batch.size_scale
        scales_of_ended = ended.price_scale, ended.size_scale  # the book's
        for held in self._held.values():
            if held.threshold is None:
                continue
            if held.rule.kind == "large_order":
                if len(new):
                    self._large_orders(held, batch, new, scales)
            elif len(gone):
                self._pulled(held, ended, gone, scales_of_ended)

    def mark(self, mark: Mark) -> None:
        if mark.kind != "gap":
            return
        for held in self._held.values():
            if held.rule.kind == "gap":
                begun = int(mark.fields["from_ns"])
                text = f"events were lost: {mark.fields['reason']}"
                self._fire(held, str(begun), begun, text)

    def tick(self, now: int) -> None:
        """Conditions as of a time (ns)."""
        scene = self._scene
        if scene is None:
            return
        state, _ = scene.standing()
        for held in self._held.values():
            match held.rule.kind:
                case "spread":
                    self._hold(held, now, _spread(scene) if state == "LIVE" else None)
                case "imbalance":
                    levels = int(held.rule.spec["levels"])
                    found = _imbalance(scene, levels) if state == "LIVE" else None
                    self._hold(held, now, found)
                case "silence":
                    self._silence(held, now, scene)

    # Orders ---------------------------------------------------------------------------------------

    def _new(self, batch: EventBatch) -> list[int]:
        kinds, flags = np.asarray(batch.column("kind")), batch.column("flags")
        new = kinds == EventKind.OPEN
        if flags is not None:
            new &= (np.asarray(flags) & NOT_NEW) == 0
        found: list[int] = np.flatnonzero(new).tolist()
        return found

    def _large_orders(
        self, held: _Held, batch: EventBatch, new: list[int], scales: tuple[int, int]
    ) -> None:
        def column(name: str) -> Any:
            return np.asarray(batch.column(name))[new]

        prices, sizes = column("price"), column("size")
        for nth in self._measured(held).large(prices, sizes, scales):
            side, order_id = _side(column("side")[nth]), str(batch[new[nth]]["order_id"])
            price, size = _exact(prices[nth], scales[0]), _exact(sizes[nth], scales[1])
            text = f"new large {side} of {plain(size)} at {plain(price)}"
            when = int(column("ts_recv")[nth])
            self._fire(held, order_id, when, text, price, size, side, order_id)

    def _pulled(self, held: _Held, ended: Rows, gone: list[int], scales: tuple[int, int]) -> None:
        def column(name: str) -> Any:
            return np.asarray(ended.column(name))[gone]

        prices, sizes = column("price"), column("size")
        found = self._measured(held).large(prices, sizes, scales)
        if not found:
            return
        sides, times, texts = column("side"), column("ended"), ended.id_texts()
        touches = np.where(sides == Side.BID, column("bid"), column("ask"))
        lived = (times - column("opened")) / NS_PER_SECOND
        most = held.rule.number_of("distance_bps")
        for nth in found:
            away = _bps_away(int(prices[nth]), int(touches[nth]), int(sides[nth]))
            if most is not None and (away is None or away > most):
                continue
            side, order_id = _side(sides[nth]), str(texts[gone[nth]])
            price, size = _exact(prices[nth], scales[0]), _exact(sizes[nth], scales[1])
            where = "" if away is None else f", {plain(away)} bps from the best"
            text = (
                f"large {side} of {plain(size)} at {plain(price)} pulled{where}, "
                f"after {lived[nth]:.1f} s"
            )
            self._fire(held, order_id, int(times[nth]), text, price, size, side, order_id)

    def _measured(self, held: _Held) -> Threshold:
        """A quantile is measured again once a while, and where the book has grown by half."""
        assert self._scene is not None
        assert held.threshold is not None
        followed = self._scene.followed
        now, resting = followed.book.ts_recv, len(followed.lives)
        old = now - held.measured_at > limits.alert_quantile_ms * NS_PER_MILLISECOND
        if old or resting > 1.5 * held.measured_of:
            held.measured = held.threshold.measured(followed)
            held.measured_at, held.measured_of = now, resting
        return held.measured

    # Conditions -----------------------------------------------------------------------------------

    def _hold(self, held: _Held, now: int, found: tuple[Decimal, Decimal] | None) -> None:
        """``found``: how much there is, and where."""
        rule = held.rule
        name = "spread_bps" if rule.kind == "spread" else rule.kind
        least = rule.number_of(name) or Decimal(0)
        if found is None or abs(found[0]) < least:
            held.since, held.told = None, False
            return
        if held.since is None:
            held.since = now
        seconds = int(rule.spec["seconds"])
        if held.told or now - held.since < seconds * NS_PER_SECOND or held.gate.cooling(now):
            return
        held.told = True
        amount, price = found
        lasted = f" for {seconds} s" if seconds else ""
        side = None
        if rule.kind == "spread":
            text = f"spread of {plain(round(amount, 2))} bps{lasted} ({plain(least)} or more)"
        else:
            side = "bid" if amount > 0 else "ask"
            text = (
                f"imbalance of {plain(round(amount, 3))}{lasted} on {rule.spec['levels']} prices "
                f"a side ({plain(least)} or more)"
            )
        self._fire(held, str(held.since), now, text, price, None, side)

    def _silence(self, held: _Held, now: int, scene: Scene) -> None:
        seconds = int(held.rule.spec["seconds"])
        newest = scene.followed.book.ts_recv
        meant = scene.history.state in ("", "STOPPED")
        if meant or now - newest < seconds * NS_PER_SECOND:
            return
        if not held.gate.cooling(now):
            state, reason = scene.standing()
            why = f"{state}: {reason}" if scene.uncollected else state
            self._fire(held, str(scene.followed.seq), now, f"no event for {seconds} s ({why})")

    def _fire(
        self,
        held: _Held,
        subject: str,
        ts: int,
        text: str,
        price: Decimal | None = None,
        size: Decimal | None = None,
        side: str | None = None,
        order_id: str | None = None,
    ) -> None:
        left_out = held.gate.passes(subject, ts)
        if left_out is None:
            return
        rule = held.rule
        self._fired(
            Alert(
                *(rule.number, rule.kind, rule.exchange, rule.symbol, ts, subject, text),
                *(price, size, side, order_id, left_out),
            )
        )


def _side(code: Any) -> str:
    return Side(int(code)).name.lower()


def _exact(units: Any, scale: int) -> Decimal:
    """Units of a scale as they are written."""
    return Decimal(int(units)).scaleb(-scale)


def _pulled(ended: Rows) -> list[int]:
    """Those that the venue told to be gone, with something left and no fill as the reason."""
    if not len(ended):
        return []
    reasons = np.asarray(ended.column("reason"))
    told = np.asarray(ended.column("ending")) == TOLD
    found: list[int] = np.flatnonzero(told & np.isin(reasons, PULLED)).tolist()
    return found


def _bps_away(price: int, touch: int, side: int) -> Decimal | None:
    """From the best price of its side behind its end, 0 where it stood better, None without one."""
    if NULL in (price, touch) or price <= 0:
        return None
    behind = touch - price if side == Side.BID else price - touch
    return round(Decimal(max(0, behind)) * 10_000 / price, 2)


def _middle(scene: Scene) -> tuple[Decimal, Decimal, Decimal] | None:
    """(best bid, best ask, between them)."""
    bid, ask = scene.followed.book.best()
    if bid is None or ask is None or bid + ask <= 0:
        return None
    return bid, ask, (bid + ask) / 2


def _spread(scene: Scene) -> tuple[Decimal, Decimal] | None:
    """(bps of the middle, the middle)."""
    if (found := _middle(scene)) is None:
        return None
    bid, ask, middle = found
    return (ask - bid) * 10_000 / middle, middle


def _imbalance(scene: Scene, levels: int) -> tuple[Decimal, Decimal] | None:
    """(−1 to 1, the middle)."""
    found = _middle(scene)
    bids, asks = (sum(size for _, size, _ in side) for side in scene.followed.book.depth(levels))
    if found is None or bids + asks <= 0:
        return None
    return Decimal(bids - asks) / Decimal(bids + asks), found[2]
