"""Heat and lifecycles as plain as can be: every total of every row after every event, by hand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ordertape.events import EventKind, Flag, Reason, Side

__all__ = ["Life", "PlainHeat", "PlainLives", "Told"]

BUCKET_NS = (100_000_000, 1_000_000_000, 5_000_000_000, 60_000_000_000)


class Told(NamedTuple):
    """One event at one scale."""

    kind: int
    side: int
    order_id: int
    price: int
    size: int
    ts: int
    flags: int = 0
    reason: int = 0


@dataclass(slots=True)
class Life:
    side: int
    price_first: int
    price: int
    size_first: int
    size: int
    opened: int
    truncated: bool
    filled: int = 0
    fills: int = 0
    amendments: int = 0
    ended: int | None = None
    ending: int = 0
    reason: int = 0


class PlainHeat:
    """Keeps the total of each row after each event, and looks up maxima when asked."""

    def __init__(self, group: int, min_size: int) -> None:
        self.group, self.min_size = group, min_size
        self.told: list[tuple[int, dict[int, int]]] = []

    def take(self, ts: int, orders: Iterable[tuple[int, int, int]]) -> None:
        totals: dict[int, int] = defaultdict(int)
        for side, price, size in orders:
            if size >= self.min_size:
                row = -(-price // self.group) if side == Side.ASK else price // self.group
                totals[row] += size
        self.told.append((ts, dict(totals)))

    def column(self, level: int, bucket: int) -> dict[int, int]:
        """row → the largest total within a bucket, what it began with included; no zeroes."""
        begins, ends = bucket * BUCKET_NS[level], (bucket + 1) * BUCKET_NS[level]
        most: dict[int, int] = defaultdict(int)
        before: dict[int, int] = {}
        for ts, totals in self.told:
            if ts < begins:
                before = totals
            elif ts < ends:
                for row, total in totals.items():
                    most[row] = max(most[row], total)
        for row, total in before.items():
            most[row] = max(most[row], total)
        return {row: total for row, total in most.items() if total}


@dataclass(slots=True)
class PlainLives:
    """``ended``: (order_id, life) in the order of their ends."""

    alive: dict[int, Life] = field(default_factory=dict)
    ended: list[tuple[int, Life]] = field(default_factory=list)
    last_ended: dict[int, Life] = field(default_factory=dict)

    def orders(self) -> list[tuple[int, int, int]]:
        return [(life.side, life.price, life.size) for life in self.alive.values()]

    def take(self, told: Told) -> None:
        life = self.alive.get(told.order_id)
        if told.kind == EventKind.CLEAR:
            for order_id in list(self.alive):
                self._end(order_id, told.ts, 2, Reason.NONE)
        elif told.flags & Flag.LATE:
            self._late(told, life)
        elif told.kind == EventKind.OPEN and life is None:
            truncated = bool(told.flags & Flag.SNAPSHOT)
            place: tuple[Any, ...] = (told.price, told.price, told.size, told.size)
            self.alive[told.order_id] = Life(told.side, *place, told.ts, truncated)
        elif life is None:
            return
        elif told.kind == EventKind.CHANGE:
            if told.reason == Reason.TRADED_AS_TAKER:
                life.filled += max(0, life.size - told.size)
                life.fills += 1
            else:
                life.amendments += 1
            life.side, life.price, life.size = told.side, told.price, told.size
        elif told.kind == EventKind.MATCH:
            life.filled, life.fills = life.filled + told.size, life.fills + 1
            life.size -= told.size
            if life.size == 0:
                self._end(told.order_id, told.ts, 1, Reason.FILLED)
        elif told.kind == EventKind.DONE:
            self._end(told.order_id, told.ts, 1, told.reason)

    def _late(self, told: Told, life: Life | None) -> None:
        if life is not None:
            life.amendments = max(0, life.amendments - 1)
        else:
            life = self.last_ended[told.order_id]
            life.size = max(0, life.size - told.size)
            if life.size == 0:
                life.reason = Reason.FILLED
        life.filled, life.fills = life.filled + told.size, life.fills + 1

    def _end(self, order_id: int, ts: int, ending: int, reason: int) -> None:
        life = self.alive.pop(order_id)
        life.ended, life.ending, life.reason = ts, ending, reason
        self.ended.append((order_id, life))
        self.last_ended[order_id] = life
