"""What fits are made of, gathered on a walk: orders, seconds, market orders, shocks."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ordertape import limits
from ordertape._engine import NULL, EventBatch, Flow, Rows
from ordertape.analysis.measure import Period, Walked
from ordertape.analysis.windows import Floats, dimensions, wide_of
from ordertape.errors import SettingRefused
from ordertape.events import NO_SIDE, EventKind
from ordertape.times import NS_PER_SECOND

__all__ = ["Lives", "MarketOrders", "Seconds", "Shocks"]

Longs = npt.NDArray[np.int64]
_LIFE: Final = (
    *("side", "ending", "reason", "flags", "opened", "ended", "filled", "fills", "size_first"),
    *("price_first", "bid_first", "ask_first", "ahead_first"),
)
LEFT_TRUNCATED: Final = 1
CUT: Final = 2


class Lives(Walked):
    """Orders that were opened in a period, and seen then: ``columns`` of their lives."""

    def __init__(self, period: Period) -> None:
        self.period = period
        self._parts: list[dict[str, Longs]] = []
        self._count = 0

    def ended(self, rows: Rows, gap_from: int | None, /) -> None:
        self._take(rows, gap_from)

    def alive(self, rows: Rows, /) -> None:
        self._take(rows, None)

    def _take(self, rows: Rows, gap_from: int | None) -> None:
        opened, flags = (np.asarray(rows.column(name)) for name in ("opened", "flags"))
        begin, end = (s * NS_PER_SECOND for s in (self.period.start, self.period.end))
        wanted = (opened >= begin) & (opened < end) & (flags & LEFT_TRUNCATED == 0)
        part = {name: np.array(rows.column(name), np.int64)[wanted] for name in _LIFE}
        if gap_from is not None:
            cut = part["ending"] == CUT
            known = np.maximum(part["opened"], np.minimum(part["ended"], gap_from))
            part["ended"] = np.where(cut, known, part["ended"])
        self._parts.append(part)
        self._count += int(wanted.sum())
        if self._count > limits.analysis_lives_max:
            raise SettingRefused(
                f"expected at most {limits.analysis_lives_max} orders in a fit's time, found more: "
                "ask for a shorter time"
            )

    @property
    def columns(self) -> dict[str, Longs]:
        return {
            name: np.concatenate([np.empty(0, np.int64), *(part[name] for part in self._parts)])
            for name in _LIFE
        }


class Seconds(Walked):
    """Every second of a period: counts and sums of the flow by their names, as floats in units of
    the venue's numbers; NaN where nothing is known."""

    def __init__(self, period: Period, names: tuple[str, ...]) -> None:
        self.period = period
        self._values = {name: np.full(period.seconds, np.nan) for name in names}
        self._places = {
            name: (kind, place)
            for kind, listed in Flow.names().items()
            for place, name in enumerate(listed)
            if name in names or name == "gap_ns"
        }

    def __getitem__(self, name: str) -> Floats:
        return self._values[name]

    def rows(self, rows: Rows, /) -> None:
        second, seconds = (np.asarray(rows.column(name)) for name in ("second", "seconds"))
        place = np.repeat(second - self.period.start, seconds)
        # A row of several seconds stands for as many alike.
        place = place + np.arange(len(place)) - np.repeat(np.cumsum(seconds) - seconds, seconds)
        inside = (place >= 0) & (place < self.period.seconds)
        counts = np.asarray(rows.column("counts")).reshape(len(second), -1)
        sums = np.asarray(rows.column("sums")).reshape(len(second), -1, 2)
        in_gap = counts[:, self._places["gap_ns"][1]] > 0
        for name in self._values:
            kind, column = self._places[name]
            if kind == "counts":
                told = counts[:, column]
                values = np.where(told == NULL, np.nan, told.astype(float))
                of_price = name in ("bid", "ask")
                values /= 10 ** (rows.price_scale * of_price)
            else:
                of_price, of_size = dimensions(name)
                values = _rounded(sums[:, column])
                values /= 10 ** (rows.price_scale * of_price + rows.size_scale * of_size)
            values = np.where(in_gap, np.nan, values)
            self._values[name][place[inside]] = np.repeat(values, seconds)[inside]

    def gaps(self, gaps: list[tuple[int, int | None]], /) -> None:
        start, end = self.period.start, self.period.end
        for from_ns, to_ns in gaps:
            first = max(0, from_ns // NS_PER_SECOND - start)
            last = end if to_ns is None else min(end, -(-to_ns // NS_PER_SECOND))
            for values in self._values.values():
                values[first : max(first, last - start)] = np.nan


class MarketOrders(Walked):
    """When market orders came in a period (ns, our clock), and the taker's side: trades in a row of
    one taker are one, or where the venue tells none, those of one side and one time."""

    def __init__(self, period: Period) -> None:
        self.period = period
        self._parts: list[tuple[Longs, Longs]] = []
        self._count = 0
        self._last: tuple[Any, ...] | None = None

    def events(self, batch: EventBatch, /) -> None:
        kind = np.asarray(batch.column("kind"))
        traded = np.flatnonzero((kind == EventKind.MATCH) | (kind == EventKind.TRADE))
        if not len(traded):
            return
        ts = np.asarray(batch.column("ts_recv"))[traded]
        taker, told = _taker_of(batch, traded), _column(batch, "ts_event", traded)
        when = ts if told is None else np.where(told == NULL, ts, told)
        ids = batch.column("taker_order_id")
        keys = None if ids is None else np.asarray(ids)[traded].reshape(len(traded), 16)
        new = np.ones(len(traded), bool)
        same = (taker[1:] == taker[:-1]) & (when[1:] == when[:-1])
        if keys is not None:
            known = ~(keys == 0xFF).all(axis=1)
            both, equal = known[1:] & known[:-1], (keys[1:] == keys[:-1]).all(axis=1)
            same = np.where(both, equal & (taker[1:] == taker[:-1]), same)
        new[1:] = ~same
        first = (int(taker[0]), None if keys is None else keys[0].tobytes(), int(when[0]))
        new[0] = not self._goes_on(first)
        self._last = (
            int(taker[-1]),
            None if keys is None else keys[-1].tobytes(),
            int(when[-1]),
        )
        begin, end = (s * NS_PER_SECOND for s in (self.period.start, self.period.end))
        wanted = new & (ts >= begin) & (ts < end) & (taker != NO_SIDE)
        self._parts.append((ts[wanted], taker[wanted].astype(np.int64)))
        self._count += int(wanted.sum())
        if self._count > limits.analysis_trades_max:
            raise SettingRefused(
                f"expected at most {limits.analysis_trades_max} market orders in a fit's time, "
                "found more: ask for a shorter time"
            )

    def _goes_on(self, first: tuple[int, bytes | None, int]) -> bool:
        if self._last is None or self._last[0] != first[0]:
            return False
        nobody = b"\xff" * 16
        if first[1] not in (None, nobody) and self._last[1] not in (None, nobody):
            return bool(first[1] == self._last[1])
        return bool(first[2] == self._last[2])

    @property
    def times(self) -> Longs:
        return np.concatenate([np.empty(0, np.int64), *(times for times, _ in self._parts)])

    @property
    def sides(self) -> Longs:
        """0 where the taker bought, 1 where it sold."""
        return np.concatenate([np.empty(0, np.int64), *(sides for _, sides in self._parts)])


class Shocks(Walked):
    """Market orders of a period that took at least half of the best level: what rested and how wide
    the spread was, over what it was before."""

    def __init__(self, period: Period) -> None:
        self.period = period
        delays = len(Flow.shock_delays())
        self._depths: list[Floats] = [np.empty((0, delays))]
        self._spreads: list[Floats] = [np.empty((0, delays))]

    def shocks(self, rows: Rows, /) -> None:
        ts = np.asarray(rows.column("ts"))
        begin, end = (s * NS_PER_SECOND for s in (self.period.start, self.period.end))
        before = wide_of(rows.column("depth")).astype(float)
        spread = np.asarray(rows.column("spread")).astype(float)
        wanted = (ts >= begin) & (ts < end) & (before > 0) & (spread > 0)
        depths = wide_of(rows.column("depths")).astype(float).reshape(len(ts), -1)
        told = np.asarray(rows.column("spreads")).reshape(len(ts), -1)
        unknown = told == NULL
        depths = np.where(unknown, np.nan, depths)[wanted] / before[wanted, None]
        spreads = np.where(unknown, np.nan, told.astype(float))[wanted] / spread[wanted, None]
        self._depths.append(depths)
        self._spreads.append(spreads)

    @property
    def depths(self) -> Floats:
        return np.concatenate(self._depths)

    @property
    def spreads(self) -> Floats:
        return np.concatenate(self._spreads)


def _column(batch: EventBatch, name: str, rows: npt.NDArray[np.intp]) -> Longs | None:
    told = batch.column(name)
    return None if told is None else np.asarray(told)[rows]


def _taker_of(batch: EventBatch, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.uint8]:
    """The taker's side; the other one than the resting order's where it is not told."""
    side = np.asarray(batch.column("side"))[rows]
    opposite = np.where(side == NO_SIDE, NO_SIDE, 1 - np.minimum(side, 1))
    told = batch.column("taker_side")
    if told is None:
        return opposite.astype(np.uint8)
    taker = np.asarray(told)[rows]
    return np.where(taker == NO_SIDE, opposite, taker).astype(np.uint8)


def _rounded(halves: Longs) -> Floats:
    """The floats next to 128-bit numbers: exact ones where 64 bits hold them, below 0, too."""
    low, high = halves[:, 0], halves[:, 1]
    narrow = high == np.where(low < 0, -1, 0)
    return np.where(narrow, low.astype(float), high * 2.0**64 + low.astype(np.uint64))
