"""Metrics of a tape over windows: the walk and the sums, as every edge asks for them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ordertape import limits
from ordertape._engine import EventBatch, Flow, Rows
from ordertape.analysis.metrics import Metric, chosen
from ordertape.analysis.walk import WARM_UP_S, Leave, Passing, gaps_of, new_flow
from ordertape.analysis.windows import COHORT_S, Windows
from ordertape.errors import SettingRefused, UnknownMarket
from ordertape.tape.folder import MarketFolder
from ordertape.tape.history import history_of
from ordertape.tape.lookup import TapeLookup
from ordertape.times import LAST_NS, NS_PER_SECOND, Time, iso_from_ns, parse_time

__all__ = [
    "Period",
    "Walked",
    "measure",
    "measured",
    "period_of",
    "plain_value",
    "require_step",
    "values_of",
    "walk_flow",
]

AFTER_S: Final = COHORT_S + 1


@dataclass(frozen=True, slots=True)
class Period:
    """Whole seconds since 1970, from ``start`` to before ``end``."""

    start: int
    end: int

    @property
    def seconds(self) -> int:
        return self.end - self.start


def period_of(lookup: TapeLookup, start: Time | None, end: Time | None) -> Period:
    """The whole seconds that hold a time; as far as the tape goes where it is not given.

    Raises UnknownMarket where nothing was recorded, SettingRefused.
    """
    begin = None if start is None else parse_time(start)
    over = None if end is None else parse_time(end)
    last = lookup.last_ts()
    if last is None:
        raise UnknownMarket(f"{lookup.folder.market}: nothing was recorded yet")
    if begin is None:
        seq = lookup.first_seq()
        found = lookup.events(seq, seq)
        begin = int(found[0][0]["ts_recv"]) if found else last
    over = last + 1 if over is None else over
    if over <= begin:
        raise SettingRefused(
            f"expected an end after the start {iso_from_ns(begin)}, found {iso_from_ns(over)}"
        )
    return Period(begin // NS_PER_SECOND, -(-over // NS_PER_SECOND))


class Walked:
    """Is told what a walk brings, as it comes."""

    def rows(self, _rows: Rows, /) -> None:
        """Seconds that are settled."""

    def cohorts(self, _rows: Rows, /) -> None:
        """What came to be known of orders, by the second that opened them."""

    def shocks(self, _rows: Rows, /) -> None:
        """Large market orders that were followed to the end."""

    def ended(self, _rows: Rows, _gap_from: int | None, /) -> None:
        """Orders that ended; cut at a time (ns) where a gap began then."""

    def alive(self, _rows: Rows, /) -> None:
        """Orders that go on at the end."""

    def events(self, _batch: EventBatch, /) -> None:
        """Events, from before the period on."""

    def gaps(self, _gaps: list[tuple[int, int | None]], /) -> None:
        """What the tape knows it is missing (ns)."""


def walk_flow(
    lookup: TapeLookup,
    period: Period,
    walked: Sequence[Walked],
    *,
    leave: Leave = lambda: None,
) -> None:
    """Walks a period of a tape, with a warm-up before it and a while behind it.

    Raises UnknownMarket, TapeCorrupt, and what ``leave`` raises.
    """
    folder, flow = lookup.folder, new_flow()
    begin = max(0, (period.start - WARM_UP_S) * NS_PER_SECOND)
    # What becomes of orders and of large trades is looked at a while longer.
    behind = min((period.end + AFTER_S) * NS_PER_SECOND, LAST_NS)

    def ended(rows: Rows, gap_from: int | None) -> None:
        for one in walked:
            one.ended(rows, gap_from)

    with closing(
        Passing(folder.data, folder.exchange, folder.symbol, begin, [flow], ended)
    ) as passing:
        history = history_of(passing.reader)
        gaps = gaps_of(history, begin, behind)
        if any(first <= begin and (last is None or last > begin) for first, last in gaps):
            passing.walk.gap(begin)
        for part in passing.until(behind, leave):
            for one in walked:
                one.events(part)
            _drain(flow, walked)
        flow.advance(min(behind, passing.known))
        _drain(flow, walked)
        for one in walked:
            one.ended(passing.walk.lives.waiting(), None)
            one.alive(passing.walk.lives.alive())
            one.gaps(gaps)


def _drain(flow: Flow, walked: Sequence[Walked]) -> None:
    rows, cohorts, shocks = flow.drain(), flow.drain_cohorts(), flow.drain_shocks()
    flow.drain_lifetimes()  # whoever wants them from a tape has them exactly
    for one in walked:
        if len(rows):
            one.rows(rows)
        if len(cohorts):
            one.cohorts(cohorts)
        if len(shocks):
            one.shocks(shocks)


class _IntoWindows(Walked):
    def __init__(self, windows: Windows) -> None:
        self.windows = windows

    def rows(self, rows: Rows, /) -> None:
        self.windows.take(rows)

    def cohorts(self, rows: Rows, /) -> None:
        self.windows.take_cohorts(rows)

    def gaps(self, gaps: list[tuple[int, int | None]], /) -> None:
        self.windows.take_gaps(gaps)


def measure(
    lookup: TapeLookup,
    period: Period,
    step: int,
    *,
    leave: Leave = lambda: None,
) -> Windows:
    """The flow of a period in windows of ``step`` seconds, the last one cut at none.

    Raises SettingRefused where those are too many, and what ``walk_flow`` raises.
    """
    count = require_step(period, step)
    windows = Windows(period.start, step, count)
    walk_flow(
        lookup,
        Period(period.start, period.start + count * step),
        [_IntoWindows(windows)],
        leave=leave,
    )
    return windows


def require_step(period: Period, step: int) -> int:
    """How many windows there are.  Raises SettingRefused."""
    if not 1 <= step <= limits.analysis_step_seconds_max:
        raise SettingRefused(
            f"step: expected 1 to {limits.analysis_step_seconds_max} seconds, found {step}"
        )
    count = -(-period.seconds // step)
    if count > limits.analysis_windows_max:
        raise SettingRefused(
            f"expected at most {limits.analysis_windows_max} windows, found {count}: "
            "ask for a longer step or a shorter time"
        )
    return count


def measured(windows: Windows, metrics: Iterable[Metric]) -> dict[str, Any]:
    """Columns: ``begin`` (ns since 1970), ``gap_seconds``, and those of the metrics (float, NaN
    where they are null)."""
    columns: dict[str, Any] = {"begin": windows.begins, "gap_seconds": windows.gap_seconds}
    for metric in metrics:
        columns |= metric.make(windows)
    return columns


def values_of(columns: dict[str, Any], nth: int) -> dict[str, float | None]:
    """The metrics of one window, None where they are null."""
    return {name: plain_value(values[nth]) for name, values in columns.items()}


def plain_value(value: Any) -> Any:
    """A number as JSON has it: None where it is not finite; texts and None as they are."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    return float(value) if np.isfinite(value) else None


def whole(
    data: str | os.PathLike[str],
    exchange: str,
    symbol: str,
    start: Time | None,
    end: Time | None,
    step: int,
    names: Iterable[str] | None,
    leave: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """The columns of a market's metrics."""
    metrics = chosen(names)
    folder = MarketFolder(data, exchange, symbol)
    folder.require()
    lookup = TapeLookup(folder)
    return measured(measure(lookup, period_of(lookup, start, end), step, leave=leave), metrics)
