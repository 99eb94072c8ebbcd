"""Pieces of a picture's past, made from the tape: 512 columns each, that caches may keep.

A tile is what a page that looked at the market then would have drawn: the same engine, the same
codes.  What it costs is the tape's own reading: about a microsecond an event.
"""

from __future__ import annotations

import gzip
import hashlib
import struct
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from ordertape import limits
from ordertape._engine import NULL, Heat, OrderBook
from ordertape.page.codec import GAP_CODE
from ordertape.page.codes import Codes, codes_for
from ordertape.page.followed import HeatedBook
from ordertape.page.heat import BUCKET_NS, HEAT_ROWS
from ordertape.page.passage import Passage

__all__ = [
    "TILE_COLUMNS",
    "Spans",
    "Tile",
    "TileWish",
    "Touched",
    "draw_tile",
    "make_tile",
    "pack_tile",
]

TILE_COLUMNS: Final = 512
_HEADER: Final = struct.Struct("<BBHIqqQffq")

Prices = npt.NDArray[np.int64]
Spans = list[tuple[int, int | None]]


@dataclass(frozen=True, slots=True)
class TileWish:
    """``group`` and ``min_size`` in price and size units at ``scales``, the market's."""

    level: int
    index: int
    group: int
    min_size: int = 0
    scales: tuple[int, int] = (0, 0)

    @property
    def width(self) -> int:
        """ns a column."""
        return BUCKET_NS[self.level]

    @property
    def begin(self) -> int:
        """ns since 1970."""
        return self.index * TILE_COLUMNS * self.width

    @property
    def end(self) -> int:
        return self.begin + TILE_COLUMNS * self.width


@dataclass(frozen=True, slots=True)
class Tile:
    """``prices``: bid, ask and last a column, NULL where there is none; ``codes``: a line of rows
    a column, the lowest row first."""

    wish: TileWish
    group: int
    base_row: int
    codes_of: Codes
    prices: Prices
    codes: npt.NDArray[np.uint8]


@dataclass(slots=True)
class Touched:
    """Buckets in which something happened."""

    buckets: list[int]
    prices: list[tuple[int, int, int]]
    rows: list[npt.NDArray[np.int64]]
    sizes: list[npt.NDArray[np.int64]]

    def drain(self, heat: Heat, level: int) -> None:
        found = heat.drain(level)
        row, size = (np.array(found.column(name)) for name in ("row", "size"))
        names = ("bucket", "bid", "ask", "last", "end")
        begin = 0
        for bucket, bid, ask, last, end in zip(
            *(np.asarray(found.column(name)).tolist() for name in names), strict=True
        ):
            self.buckets.append(bucket)
            self.prices.append((bid, ask, last))
            self.rows.append(row[begin:end])
            self.sizes.append(size[begin:end])
            begin = end

    def extend(self, later: Touched) -> None:
        self.buckets += later.buckets
        self.prices += later.prices
        self.rows += later.rows
        self.sizes += later.sizes


def make_tile(
    data: Path,
    exchange: str,
    symbol: str,
    wish: TileWish,
    *,
    gaps: Spans,
    until: int,
    leave: Callable[[], None] = lambda: None,
) -> Tile:
    """``gaps``: (from, to or None) in ns; ``until``: up to where the tape is known (ns).

    Raises UnknownMarket, TapeCorrupt, and what ``leave`` raises.
    """
    end = min(wish.end, until)
    if end <= wish.begin:
        nothing = Touched([], [], [], [])
        return draw_tile(wish, wish.group, Codes(1), {}, nothing, (NULL, NULL, NULL), [(0, None)])
    touched = Touched([], [], [], [])
    with closing(Passage(data, exchange, symbol, wish.begin, wish.scales)) as passage:
        followed = HeatedBook(passage.book, wish.group, wish.min_size, wish.level)
        heat, sizes = followed.heat, _sizes(passage.book)
        resting, prices, first = _resting(heat), heat.prices, passage.next_ts()
        followed.follow(passage.until(end), leave)
        heat.advance(end)
        touched.drain(heat, wish.level)
    unknown: Spans = [*gaps, (end // wish.width * wish.width, None)]
    if not len(sizes):
        unknown.append((0, end if first is None else first))
        sizes = _sizes(passage.book)
    return draw_tile(wish, heat.group, codes_for(sizes), resting, touched, prices, unknown)


def pack_tile(tile: Tile) -> tuple[bytes, str]:
    """(gzipped body, its ETag)."""
    head = _HEADER.pack(
        1,
        tile.wish.level,
        TILE_COLUMNS,
        tile.codes.shape[1],
        tile.base_row,
        tile.group,
        tile.wish.begin // 1000,
        tile.codes_of.offset,
        tile.codes_of.steps_per_octave,
        tile.codes_of.unit,
    )
    body = head + tile.prices.astype("<i8").tobytes() + tile.codes.tobytes()
    etag = hashlib.blake2b(body, digest_size=12).hexdigest()
    return gzip.compress(body, compresslevel=1, mtime=0), f'"{etag}"'


def _sizes(book: OrderBook) -> npt.NDArray[np.int64]:
    return np.asarray(book.snapshot().column("size"))


def _resting(heat: Heat) -> dict[int, int]:
    rows = heat.resting()
    found = (np.asarray(rows.column(name)).tolist() for name in ("row", "size"))
    return dict(zip(*found, strict=True))


def draw_tile(
    wish: TileWish,
    group: int,
    codes_of: Codes,
    resting: dict[int, int],
    touched: Touched,
    before: tuple[int, int, int],
    unknown: Spans,
) -> Tile:
    """``resting``, ``before``: sizes by row, and prices, as the tile begins; ``unknown``: (from, to
    or None) in ns of what nothing is known of."""
    base, rows = _window(group, [before, *touched.prices])
    prices = np.full((3, TILE_COLUMNS), NULL, np.int64)
    codes = np.zeros((TILE_COLUMNS, rows), np.uint8)
    shown = np.zeros(rows, np.uint8)
    first = wish.begin // wish.width
    _put(shown, base, codes_of, np.array([*resting], np.int64), np.array([*resting.values()]))
    drawn = 0
    for bucket, told, row, size in zip(
        touched.buckets, touched.prices, touched.rows, touched.sizes, strict=True
    ):
        column = min(max(bucket - first, 0), TILE_COLUMNS)
        codes[drawn:column] = shown
        prices[:, drawn:column] = np.array(before)[:, None]
        _put(shown, base, codes_of, row, size)
        before, drawn = told, column
    codes[drawn:] = shown
    prices[:, drawn:] = np.array(before)[:, None]
    for begin, end in unknown:
        hidden = _columns_within(wish, begin, end)
        codes[hidden], prices[:, hidden] = GAP_CODE, NULL
    return Tile(wish, group, base, codes_of, prices, codes)


def _put(
    shown: npt.NDArray[np.uint8],
    base: int,
    codes_of: Codes,
    rows: npt.NDArray[np.int64],
    sizes: npt.NDArray[np.int64],
) -> None:
    index = rows - base
    inside = (index >= 0) & (index < len(shown))
    shown[index[inside]] = codes_of.of(sizes[inside].astype(np.int64))


def _window(group: int, prices: list[tuple[int, int, int]]) -> tuple[int, int]:
    """(lowest row, rows): what the touch crossed and half a picture around it."""
    touch = [price // group for bid, ask, _ in prices for price in (bid, ask) if price != NULL]
    touch = touch or [last // group for _, _, last in prices if last != NULL]
    if not touch:
        return 0, 1
    low, high = min(touch) - HEAT_ROWS // 2, max(touch) + HEAT_ROWS // 2
    spare = high - low + 1 - limits.tile_rows_max
    if spare > 0:
        low, high = low + spare // 2, high - (spare - spare // 2)
    return low, high - low + 1


def _columns_within(wish: TileWish, begin: int, end: int | None) -> slice:
    """The columns that lie whole within a time (ns); what is known of a part is drawn."""
    first = max(0, -((wish.begin - begin) // wish.width))
    last = TILE_COLUMNS if end is None else (end - wish.begin) // wish.width
    return slice(min(first, TILE_COLUMNS), max(0, min(last, TILE_COLUMNS)))
