"""The flow of a market as plain as can be: lists of what happened, looked through once for each
number that is asked for, in fractions."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, field
from fractions import Fraction

from ordertape.events import EventKind, Flag, Reason
from support.plain_lives import Told

__all__ = ["PlainFlow"]

SECOND = 1_000_000_000
BORDERS = (("touch", 0), ("2bp", 2), ("5bp", 5), ("10bp", 10), ("25bp", 25), ("50bp", 50))
SIDES = ("bid", "ask")
TAKERS = ("buy", "sell", "unknown")


@dataclass
class Order:
    side: int
    price: int
    size: int
    opened: int
    seen: bool


@dataclass
class State:
    """Behind a message."""

    ts: int
    levels: tuple[dict[int, int], dict[int, int]]
    orders: tuple[int, int]

    def best(self, side: int) -> int | None:
        prices = self.levels[side]
        return None if not prices else (min(prices) if side else max(prices))

    @property
    def mids(self) -> int | None:
        bid, ask = self.best(0), self.best(1)
        return None if bid is None or ask is None else bid + ask

    def top(self, side: int) -> list[tuple[int, int]]:
        prices = sorted(self.levels[side], reverse=side == 0)[:10]
        return [(price, self.levels[side][price]) for price in prices]


@dataclass
class PlainFlow:
    """``take`` each event, then ask for ``totals`` of a time (seconds)."""

    hold_ns: int
    states: list[State] = field(default_factory=list)
    noted: list[tuple[int, str, Fraction]] = field(default_factory=list)
    """(ns, name, by how much)."""
    changed: list[tuple[int, int, int]] = field(default_factory=list)
    trades: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    held: list[dict[str, int]] = field(default_factory=list)
    resting: dict[int, Order] = field(default_factory=dict)
    counts: list[tuple[int, int, int]] = field(default_factory=list)
    """(ns, bids, asks) behind each event."""
    last_order: tuple[int, int] | None = None
    order_mids: int | None = None

    def note(self, ts: int, name: str, by: int | Fraction = 1) -> None:
        self.noted.append((ts, name, Fraction(by)))

    def state(self) -> State | None:
        return self.states[-1] if self.states else None

    def place(self, side: int, price: int) -> str:
        best = None if self.state() is None else self.states[-1].best(side)
        behind = 0 if best is None else (price - best if side else best - price)
        for name, bp in BORDERS:
            if behind <= 0 or (bp and behind * 10_000 <= bp * best):
                return f"{SIDES[side]}_{name}"
        return f"{SIDES[side]}_beyond"

    def take(self, event: Told, last: bool) -> None:
        ts, kind = event.ts, event.kind
        if kind == EventKind.CLEAR:
            self.resting = {}
            self.last_order = None
        state = bool(event.flags & Flag.SNAPSHOT)
        if not state:
            self.note(ts, "events")
            if event.flags & Flag.LATE:
                self.late(event)
            else:
                getattr(self, EventKind(kind).name.lower())(event)
        else:
            self.resting[event.order_id] = Order(event.side, event.price, event.size, ts, False)
        sides = [order.side for order in self.resting.values()]
        self.counts.append((ts, sides.count(0), sides.count(1)))
        if last:
            if not state:
                self.note(ts, "messages")
            self.complete(ts, fresh=state or kind == EventKind.CLEAR)

    def complete(self, ts: int, fresh: bool) -> None:
        levels: tuple[dict[int, int], dict[int, int]] = ({}, {})
        for order in self.resting.values():
            side = levels[order.side]
            side[order.price] = side.get(order.price, 0) + order.size
        sides = [order.side for order in self.resting.values()]
        state = State(ts, levels, (sides.count(0), sides.count(1)))
        if not fresh:
            self.flow(ts, state)
        self.states.append(state)

    def flow(self, ts: int, new: State) -> None:
        old = self.state() or State(ts, ({}, {}), (0, 0))
        for side, sign in ((0, 1), (1, -1)):
            before, after = old.top(side), new.top(side)
            for level in range(10):
                worst = (-math.inf, 0)
                (old_price, old_size), (price, size) = (
                    ((p if side == 0 else -p), s)
                    for p, s in (
                        top[level] if level < len(top) else (math.inf if side else -math.inf, 0)
                        for top in (before, after)
                    )
                )
                assert worst[1] == 0
                e = (size if price >= old_price else 0) - (old_size if price <= old_price else 0)
                self.note(ts, f"ofi_{level + 1}", sign * e)

    # Kinds ----------------------------------------------------------------------

    def touched(self, ts: int, side: int, price: int) -> None:
        self.changed.append((ts // SECOND, side, price))

    def clear(self, _event: Told) -> None:
        pass

    def open(self, event: Told) -> None:
        if event.flags & Flag.REENTRY:
            self.note(event.ts, f"reentered_{SIDES[event.side]}")
        else:
            place = self.place(event.side, event.price)
            self.note(event.ts, f"added_{place}")
            self.note(event.ts, f"added_size_{place}", event.size)
        seen = not event.flags & Flag.REENTRY
        self.resting[event.order_id] = Order(event.side, event.price, event.size, event.ts, seen)
        self.touched(event.ts, event.side, event.price)

    def evict(self, event: Told) -> None:
        order = self.resting.pop(event.order_id)
        self.note(event.ts, f"evicted_{SIDES[order.side]}")
        self.touched(event.ts, order.side, order.price)

    def change(self, event: Told) -> None:
        order = self.resting[event.order_id]
        if (order.price, order.size) != (event.price, event.size):
            self.touched(event.ts, order.side, order.price)
            self.touched(event.ts, order.side, event.price)
        if event.reason == Reason.TRADED_AS_TAKER:
            pass
        elif event.price == order.price and event.size <= order.size:
            if event.size < order.size:
                self.hold(event, order, order.size - event.size, "reduced", wait=True)
        else:
            self.note(event.ts, f"amended_{SIDES[order.side]}")
            self.note(event.ts, f"amended_size_{SIDES[order.side]}", event.size)
        order.price, order.size = event.price, event.size

    def match(self, event: Told) -> None:
        order = self.resting[event.order_id]
        mids = None if self.state() is None else self.states[-1].mids
        self.trade(event, mids, late=False)
        order.size -= event.size
        self.touched(event.ts, order.side, order.price)
        if order.size == 0:
            del self.resting[event.order_id]
            self.note(event.ts, f"completed_{SIDES[order.side]}")

    def done(self, event: Told) -> None:
        order = self.resting.pop(event.order_id, None)
        if order is not None:
            self.touched(event.ts, order.side, order.price)
            wait = event.reason == Reason.UNKNOWN
            self.hold(event, order, order.size, "cancelled", wait=wait)

    def hold(self, event: Told, order: Order, size: int, name: str, *, wait: bool) -> None:
        mids = None if self.state() is None else self.states[-1].mids
        self.held.append(
            {
                "id": event.order_id,
                "ts": event.ts,
                "left": size,
                "wait": wait,
                "mids": -1 if mids is None else mids,
                "name": name,
                "place": self.place(order.side, order.price),
            }
        )

    def late(self, event: Told) -> None:
        self.note(event.ts, "late")
        left, mids = event.size, None
        for held in self.held:
            waits = held["wait"] and held["ts"] + self.hold_ns > event.ts
            if held["id"] == event.order_id and waits and held["left"] and left:
                explained = min(held["left"], left)
                held["left"] -= explained
                left -= explained
                mids = mids or held["mids"]
        self.trade(event, None if mids in (None, -1) else mids, late=True)

    def trade(self, event: Told, mids: int | None, *, late: bool) -> None:
        taker = 1 - event.side
        key = (taker, event.ts)
        if key != self.last_order:
            self.note(event.ts, f"market_orders_{TAKERS[taker]}")
            self.last_order, self.order_mids = key, mids
        if not late:
            mids = self.order_mids
        self.note(event.ts, f"trades_{TAKERS[taker]}")
        self.note(event.ts, f"volume_{TAKERS[taker]}", event.size)
        self.note(event.ts, f"notional_{TAKERS[taker]}", event.price * event.size)
        if mids is not None:
            sign = 1 if taker == 0 else -1
            self.note(event.ts, "priced")
            self.note(event.ts, "priced_volume", event.size)
            self.note(event.ts, "effective", sign * (2 * event.price - mids) * event.size)
            self.note(event.ts, "weight", mids * event.size)
            self.trades.append((event.ts, sign, event.price, event.size, mids))

    # What there was ----------------------------------------------------------------------

    def mids_at(self, ts: int) -> int | None:
        place = bisect_right(self.states, ts, key=lambda state: state.ts) - 1
        return self.states[place].mids if place >= 0 else None

    def totals(self, start: int, end: int) -> dict[str, Fraction]:
        """Everything between two seconds."""
        begin, over = start * SECOND, end * SECOND
        found: dict[str, Fraction] = defaultdict(Fraction)
        for ts, name, by in self.noted:
            if begin <= ts < over:
                found[name] += by
        for held in self.held:
            if begin <= held["ts"] < over:
                if held["left"]:
                    found[f"{held['name']}_{held['place']}"] += 1
                    found[f"{held['name']}_size_{held['place']}"] += held["left"]
                elif held["name"] == "cancelled":
                    found[f"completed_{str(held['place'])[:3]}"] += 1
        found["levels_changed"] += len(
            {(s, side, price) for s, side, price in self.changed if start <= s < end}
        )
        for tau in (1, 5, 15, 60):
            for ts, sign, price, size, mids in self.trades:
                if not begin <= ts + tau * SECOND < over:
                    continue
                later = self.mids_at(ts + tau * SECOND)
                if later is not None:
                    found[f"priced_{tau}s"] += 1
                    found[f"effective_{tau}s"] += sign * (2 * price - mids) * size
                    found[f"realised_{tau}s"] += sign * (2 * price - later) * size
                    found[f"impact_{tau}s"] += sign * (later - mids) * size
                    found[f"weight_{tau}s"] += mids * size
        self.lasting(begin, over, found)
        return found

    def lasting(self, begin: int, over: int, found: dict[str, Fraction]) -> None:
        borders = [*(state.ts for state in self.states[1:]), over]
        for state, until in zip(self.states, borders, strict=True):
            lasted = min(until, over) - max(state.ts, begin)
            bid, ask = state.best(0), state.best(1)
            if lasted > 0 and bid is not None and ask is not None:
                q_bid, q_ask = state.levels[0][bid], state.levels[1][ask]
                share = Fraction(q_bid, q_bid + q_ask)
                found["quoted_ns"] += lasted
                found["spread_ns"] += lasted * (ask - bid)
                found["mids_ns"] += lasted * (ask + bid)
                found["relative_spread_ns"] += lasted * Fraction(2 * (ask - bid), ask + bid)
                found["imbalance_ns"] += lasted * share
                found["weighted_mid_ns"] += lasted * (share * ask + (1 - share) * bid)
        borders = [*(ts for ts, *_ in self.counts[1:]), over]
        for (ts, bids, asks), until in zip(self.counts, borders, strict=True):
            lasted = min(until, over) - max(ts, begin)
            if lasted > 0:
                found["order_ns_bid"] += lasted * bids
                found["order_ns_ask"] += lasted * asks

    def end(self, at: int) -> dict[str, Fraction]:
        """How it stood at the end of a second."""
        place = bisect_right(self.states, at * SECOND - 1, key=lambda state: state.ts) - 1
        state = self.states[place]
        found: dict[str, Fraction] = {}
        for side, name in enumerate(SIDES):
            found[f"levels_{name}"] = Fraction(len(state.levels[side]))
            found[f"orders_{name}"] = Fraction(state.orders[side])
            top = state.top(side)
            found[f"best_{name}"] = Fraction(top[0][1] if top else 0)
            found[f"top_{name}"] = Fraction(sum(size for _, size in top))
            for bp in (5, 10, 25, 50, 100):
                total = 0
                for price, size in state.levels[side].items():
                    far = 2 * price - (state.mids or 0)
                    within = abs(far) * 10_000 <= bp * (state.mids or 0) or far * (1 - 2 * side) > 0
                    total += size if state.mids and within else 0
                found[f"depth_{name}_{bp}bp"] = Fraction(total)
        return found
