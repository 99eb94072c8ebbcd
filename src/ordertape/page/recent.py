"""The newest minutes of markets as tiles: made in one pass over the tape, then kept going.

A page that opens asks for several tiles of the same minutes at once, and the next page asks for the
same ones a little later.  Each alone would read most of those minutes again.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from ordertape import limits
from ordertape.page.codes import Codes, codes_for
from ordertape.page.followed import HeatedBook
from ordertape.page.heat import BUCKET_NS
from ordertape.page.passage import Passage
from ordertape.page.tiles import TILE_COLUMNS, Spans, Tile, TileWish, Touched, draw_tile

__all__ = ["RecentTiles"]

LEVELS: Final = 2
"""Of detail: the coarser ones reach further back than is kept."""
PIECE_NS: Final = BUCKET_NS[0] * TILE_COLUMNS
"""Where a tile of any level begins, one of the finest does."""
REACH_NS: Final = BUCKET_NS[LEVELS - 1] * TILE_COLUMNS

Leave = Callable[[], None]
Ints = npt.NDArray[np.int64]


class _Key(NamedTuple):
    data: Path
    exchange: str
    symbol: str
    group: int
    min_size: int
    scales: tuple[int, int]


@dataclass(slots=True)
class _Piece:
    """What rested as a tile of the finest level began, and what happened until the next."""

    rows: Ints
    sizes: Ints
    prices: tuple[int, int, int]
    codes: Codes | None
    """None: the book was empty."""
    touched: tuple[Touched, ...] = field(
        default_factory=lambda: tuple(Touched([], [], [], []) for _ in range(LEVELS))
    )


def _is_recent(wish: TileWish, until: int) -> bool:
    """Whether a tile lies within what is kept of a market known up to ``until`` (ns)."""
    return wish.level < LEVELS and _begin(until) <= wish.begin < until


def _begin(until: int) -> int:
    """A whole tile of the coarsest level and the one that goes on."""
    return (until // REACH_NS - 1) * REACH_NS


class _Recent:
    """One market in one group of prices.  Not safe with threads."""

    def __init__(self, key: _Key, until: int) -> None:
        self.begin = _begin(until)
        self._passage = Passage(key.data, key.exchange, key.symbol, self.begin, key.scales)
        self._book = HeatedBook(self._passage.book, key.group, key.min_size, None)
        self._first = None if len(self._passage.book) else self._passage.next_ts()
        self._pieces: list[_Piece] = []
        self._now = self.begin
        self._begin_piece()

    def close(self) -> None:
        self._passage.close()

    def too_old(self, until: int) -> bool:
        """Whether it holds much more than is asked for."""
        return until >= self.begin + 4 * REACH_NS

    def advance(self, until: int, leave: Leave) -> None:
        """Up to a time (ns).  Raises what ``leave`` raises, and TapeCorrupt."""
        while (border := self.begin + len(self._pieces) * PIECE_NS) <= until:
            self._to(border, leave)
            self._begin_piece()
        self._to(until, leave)

    def tile(self, wish: TileWish, gaps: Spans) -> Tile:
        """Of what was advanced to."""
        first = (wish.begin - self.begin) // PIECE_NS
        pieces = self._pieces[first : first + (wish.end - wish.begin) // PIECE_NS]
        begun, touched = pieces[0], Touched([], [], [], [])
        for piece in pieces:
            touched.extend(piece.touched[wish.level])
        end = min(wish.end, self._now)
        unknown: Spans = [*gaps, (end // wish.width * wish.width, None)]
        if begun.codes is None:
            unknown.append((0, end if self._first is None else self._first))
        resting = dict(zip(begun.rows.tolist(), begun.sizes.tolist(), strict=True))
        codes = begun.codes or self._codes_after(wish)
        return draw_tile(
            wish, self._book.heat.group, codes, resting, touched, begun.prices, unknown
        )

    def _to(self, until: int, leave: Leave) -> None:
        if until <= self._now:
            return
        self._book.follow(self._passage.until(until), leave)
        heat = self._book.heat
        heat.advance(until)
        for level, touched in enumerate(self._pieces[-1].touched):
            touched.drain(heat, level)
        for level in range(LEVELS, len(BUCKET_NS)):
            heat.drain(level)
        self._now = until

    def _begin_piece(self) -> None:
        found = self._book.heat.resting()
        rows, sizes = (np.array(found.column(name)) for name in ("row", "size"))
        self._pieces.append(_Piece(rows, sizes, self._book.heat.prices, self._codes()))

    def _codes(self) -> Codes | None:
        book = self._passage.book
        return codes_for(np.asarray(book.snapshot().column("size"))) if len(book) else None

    def _codes_after(self, wish: TileWish) -> Codes:
        """Of a tile that began with an empty book: as its end is."""
        behind = (wish.end - self.begin) // PIECE_NS
        codes = self._pieces[behind].codes if behind < len(self._pieces) else self._codes()
        return codes or Codes(1)


@dataclass(slots=True)
class _Held:
    lock: threading.Lock = field(default_factory=threading.Lock)
    recent: _Recent | None = None
    forgotten: bool = False

    def forget(self) -> None:
        """Waits for whoever reads it."""
        with self.lock:
            self.forgotten = True
            self.close()

    def close(self) -> None:
        if self.recent is not None:
            self.recent.close()
        self.recent = None


class RecentTiles:
    """May be asked by several threads; those that ask for the same minutes wait for one pass."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: OrderedDict[_Key, _Held] = OrderedDict()

    def close(self) -> None:
        self._forget(lambda _key: True)

    def forget(self, data: Path, exchange: str, symbol: str) -> None:
        """What is kept of a market."""
        self._forget(lambda key: key[:3] == (data, exchange, symbol))

    def tile(
        self,
        data: Path,
        exchange: str,
        symbol: str,
        wish: TileWish,
        *,
        gaps: Spans,
        until: int,
        leave: Leave = lambda: None,
    ) -> Tile | None:
        """As ``make_tile``; None where that is the quicker way: of a tile that is not recent, and
        of the newest one, which is small, while the others are not there yet."""
        if not _is_recent(wish, until):
            return None
        key = _Key(data, exchange, symbol, wish.group, wish.min_size, wish.scales)
        held = self._hold(key)
        if held.recent is None and wish.level == 0 and wish.end > until:
            return None
        with held.lock:
            recent, held.recent = held.recent, None  # what fails half way is made anew
            if recent is not None and recent.too_old(until):
                recent.close()
                recent = None
            recent = recent or _Recent(key, until)
            try:
                recent.advance(until, leave)
            except BaseException:
                recent.close()
                raise
            held.recent = recent
            tile = recent.tile(wish, gaps)
            if held.forgotten:
                held.close()
            return tile

    def _hold(self, key: _Key) -> _Held:
        with self._lock:
            held = self._held.setdefault(key, _Held())
            self._held.move_to_end(key)
            spare = len(self._held) - limits.recent_tiles_max
            old = [self._held.popitem(last=False)[1] for _ in range(spare)]
        for each in old:
            each.forget()
        return held

    def _forget(self, which: Callable[[_Key], bool]) -> None:
        with self._lock:
            keys = [key for key in self._held if which(key)]
            old = [self._held.pop(key) for key in keys]
        for each in old:
            each.forget()
