"""Pages of events by seq, filtered, in either direction."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from typing import Any

import numpy as np
import numpy.typing as npt

from ordertape import limits
from ordertape._engine import NULL, EventBatch, IdCodec
from ordertape.api.work import Leave
from ordertape.broadcast.encode import order_objects
from ordertape.errors import IdRefused
from ordertape.events import EventKind, Side
from ordertape.tape.history import History
from ordertape.tape.lookup import TapeLookup

__all__ = ["Filters", "Page", "read_page"]


_EXACT = Context(prec=200)
"""No bound that fits a URL is rounded."""


@dataclass(frozen=True, slots=True)
class Filters:
    """What an event must be; None: anything."""

    side: Side | None = None
    kind: EventKind | None = None
    order_id: str | None = None
    min_price: Decimal | None = None
    max_price: Decimal | None = None
    min_size: Decimal | None = None

    @property
    def any(self) -> bool:
        return self != Filters()

    def rows(self, batch: EventBatch) -> npt.NDArray[np.intp]:
        """The indexes of the rows that pass."""
        kept = np.ones(len(batch), bool)
        if self.kind is not None:
            kept &= np.asarray(batch.column("kind")) == self.kind
        if self.side is not None:
            kept &= _column(batch, "side", 255) == self.side
        if self.order_id is not None:
            kept &= _is_order(batch, self.order_id)
        if self.min_price is not None:
            kept &= _at_least(batch, "price", batch.price_scale, self.min_price)
        if self.max_price is not None:
            prices = _column(batch, "price", NULL)
            kept &= (prices <= _scaled(self.max_price, batch.price_scale, ROUND_FLOOR)) & (
                prices != NULL
            )
        if self.min_size is not None:
            kept &= _at_least(batch, "size", batch.size_scale, self.min_size)
        return np.flatnonzero(kept)


@dataclass(slots=True)
class Page:
    """Events as JSON objects, and the seq to go on with, None at the end."""

    orders: list[str] = field(default_factory=list)
    next_seq: int | None = None


def read_page(
    lookup: TapeLookup,
    history: History,
    filters: Filters,
    *,
    first: int,
    last: int,
    limit: int,
    descending: bool,
    start: str,
    leave: Leave,
) -> Page:
    """At most ``limit`` events from ``first`` to ``last``; ``start``: how each object begins.

    A page that took too long to look for its events is short and still has a next.
    """
    page, deadline = Page(), time.monotonic() + limits.page_scan_ms_max / 1000
    for low, high in _stretches(first, last, limit, descending):
        batches = lookup.events(low, high)
        for batch in reversed(batches) if descending else batches:
            leave()
            rows = filters.rows(batch) if filters.any else np.arange(len(batch))
            rows = rows[::-1] if descending else rows
            room = limit - len(page.orders)
            taken = rows[:room]
            page.orders += _objects(batch, taken, history, start)
            if len(page.orders) == limit:
                seq = int(np.asarray(batch.column("seq"))[taken[-1]]) + (-1 if descending else 1)
                page.next_seq = seq if first <= seq <= last else None
                return page
        if time.monotonic() > deadline:
            seq = low - 1 if descending else high + 1
            page.next_seq = seq if first <= seq <= last else None
            return page
    return page


def _stretches(first: int, last: int, step: int, descending: bool) -> Iterator[tuple[int, int]]:
    """(low, high) seqs, both with them, one after the other in the page's direction.

    They double: a page that filters little out reads little, one that finds nothing reads fast.
    """
    while first <= last:
        if descending:
            yield max(first, last - step + 1), last
            last -= step
        else:
            yield first, min(last, first + step - 1)
            first += step
        step = min(step * 2, limits.archive_row_group_rows)


def _objects(
    batch: EventBatch, rows: npt.NDArray[np.intp], history: History, start: str
) -> list[str]:
    """Rows of a batch, in their order here, a run of neighbours at a time."""
    found: list[str] = []
    if not len(rows):
        return found
    falling = len(rows) > 1 and rows[0] > rows[1]
    rising = rows[::-1] if falling else rows
    for run in np.split(rising, np.flatnonzero(np.diff(rising) != 1) + 1):
        part = batch[int(run[0]) : int(run[-1]) + 1]
        found += order_objects(part, history.era_at(part.first_seq), start)
    return found[::-1] if falling else found


def _column(batch: EventBatch, name: str, absent: int) -> npt.NDArray[Any]:
    column = batch.column(name)
    return np.full(len(batch), absent) if column is None else np.asarray(column)


def _at_least(batch: EventBatch, name: str, scale: int, least: Decimal) -> npt.NDArray[np.bool_]:
    values = _column(batch, name, NULL)
    passed: npt.NDArray[np.bool_] = (values >= _scaled(least, scale, ROUND_CEILING)) & (
        values != NULL
    )
    return passed


def _scaled(number: Decimal, scale: int, rounding: str) -> int:
    """A bound at a scale, cut to what an int64 holds."""
    scaled = int(number.scaleb(scale, _EXACT).to_integral_value(rounding))
    return max(-(2**63) + 1, min(2**63 - 1, scaled))


def _is_order(batch: EventBatch, order_id: str) -> npt.NDArray[np.bool_]:
    column = batch.column("order_id")
    if column is None:
        return np.zeros(len(batch), bool)
    # In a codec of its own: asking for an id must not add it to the market's dictionary.
    codec = IdCodec(batch.codec.spec)
    try:
        key = codec.encode(order_id)
    except IdRefused:
        return np.zeros(len(batch), bool)
    if codec.terms or batch.codec.spec == "auto":
        return np.array([found == order_id for found in batch.id_texts()], bool)
    wanted = np.frombuffer(key, np.uint64)
    keys = np.asarray(column).view(np.uint64)
    same: npt.NDArray[np.bool_] = (keys[:, 0] == wanted[0]) & (keys[:, 1] == wanted[1])
    return same
