"""The columns of a picture, one a bucket: whole ones, and what changed since the one before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ordertape._engine import NULL, Heat, Rows
from ordertape.page.codec import HeatDelta, HeatKey
from ordertape.page.codes import Codes

__all__ = ["BUCKET_NS", "HEAT_ROWS", "Column", "HeatColumns"]

HEAT_ROWS = 1024
"""Rows of a picture's window; the touch stays in its middle half."""
KEY_COLUMNS = 50
"""Between two whole columns: a page that missed one is right again after 5 s at most."""
BUCKET_NS = (100_000_000, 1_000_000_000, 5_000_000_000, 60_000_000_000)


@dataclass(frozen=True, slots=True)
class Column:
    """One finished bucket; ``begin`` is ns of our clock."""

    begin: int
    content: HeatKey | HeatDelta

    @property
    def is_key(self) -> bool:
        return isinstance(self.content, HeatKey)


class HeatColumns:
    """Follows a heat on one level of detail from a moment on (ns)."""

    def __init__(self, heat: Heat, codes: Codes, now: int, level: int = 0) -> None:
        self.heat, self.codes, self.level = heat, codes, level
        self._sizes: dict[int, int] = _as_dict(heat.resting())
        self._prices = heat.prices
        self._bucket = now // BUCKET_NS[level] - 1
        self._base = 0
        self._shown = np.zeros(HEAT_ROWS, np.uint8)
        self._draw_anew()
        self._since_key = KEY_COLUMNS
        self._began = False

    def key(self) -> HeatKey:
        """The newest finished column, whole."""
        bid, ask, last = self._prices
        return HeatKey(self._base, self.level, bid, ask, last, self._shown.tobytes())

    @property
    def key_begin(self) -> int:
        """When the newest finished column began (ns); before the first, the one that goes on: that
        comes again when it is finished."""
        return (self._bucket + (not self._began)) * BUCKET_NS[self.level]

    def columns(self, ts: int) -> Iterator[Column]:
        """Every bucket that ended by a time (ns) since it was last asked, the quiet ones too."""
        width = BUCKET_NS[self.level]
        self.heat.advance(ts)
        ended = ts // width - 1
        for bucket, prices, rows, sizes in _buckets(self.heat.drain(self.level)):
            yield from self._quiet(bucket - 1)
            if bucket > self._bucket:
                yield self._column(bucket, prices, rows, sizes)
            else:
                self._keep(prices, rows, sizes)
        yield from self._quiet(ended)

    def _quiet(self, until: int) -> Iterator[Column]:
        nothing: list[int] = []
        for bucket in range(self._bucket + 1, until + 1):
            yield self._column(bucket, self._prices, nothing, nothing)

    def _keep(self, prices: tuple[int, int, int], rows: list[int], sizes: list[int]) -> None:
        self._prices = prices
        for row, size in zip(rows, sizes, strict=True):
            if size:
                self._sizes[row] = size
            else:
                self._sizes.pop(row, None)

    def _column(
        self, bucket: int, prices: tuple[int, int, int], rows: list[int], sizes: list[int]
    ) -> Column:
        self._keep(prices, rows, sizes)
        self._bucket, self._began = bucket, True
        begin = bucket * BUCKET_NS[self.level]
        if self._since_key >= KEY_COLUMNS or self._left_the_middle():
            self._draw_anew()
            return Column(begin, self.key())
        self._since_key += 1
        index = np.asarray(rows, np.int64) - self._base
        inside = (index >= 0) & (index < HEAT_ROWS)
        index, coded = index[inside], self.codes.of(np.asarray(sizes, np.int64)[inside])
        changed = self._shown[index] != coded
        index, coded = index[changed], coded[changed]
        self._shown[index] = coded
        order = np.argsort(index)
        pairs = zip(index[order].tolist(), coded[order].tolist(), strict=True)
        return Column(begin, HeatDelta(*prices, tuple(pairs)))

    def _middle(self) -> int | None:
        """The row of the touch, None where there is no price yet."""
        bid, ask, last = self._prices
        known = [price for price in (bid, ask) if price != NULL] or [last]
        return None if known[0] == NULL else known[0] // self.heat.group

    def _left_the_middle(self) -> bool:
        middle = self._middle()
        quarter = HEAT_ROWS // 4
        return middle is not None and not quarter <= middle - self._base < 3 * quarter

    def _draw_anew(self) -> None:
        self._since_key = 0
        if (middle := self._middle()) is not None and self._left_the_middle():
            self._base = middle - HEAT_ROWS // 2
        rows = np.fromiter(self._sizes.keys(), np.int64, len(self._sizes)) - self._base
        sizes = np.fromiter(self._sizes.values(), np.int64, len(self._sizes))
        inside = (rows >= 0) & (rows < HEAT_ROWS)
        self._shown = np.zeros(HEAT_ROWS, np.uint8)
        self._shown[rows[inside]] = self.codes.of(sizes[inside])


def _as_dict(rows: Rows) -> dict[int, int]:
    return dict(zip(_list(rows, "row"), _list(rows, "size"), strict=True))


def _list(rows: Rows, name: str) -> list[int]:
    values: list[int] = np.asarray(rows.column(name)).tolist()
    return values


def _buckets(rows: Rows) -> Iterator[tuple[int, tuple[int, int, int], list[int], list[int]]]:
    """(bucket, (bid, ask, last), rows, sizes) of each."""
    row, size, begin = _list(rows, "row"), _list(rows, "size"), 0
    names = ("bucket", "bid", "ask", "last", "end")
    for bucket, bid, ask, last, end in zip(*(_list(rows, name) for name in names), strict=True):
        yield bucket, (bid, ask, last), row[begin:end], size[begin:end]
        begin = end
