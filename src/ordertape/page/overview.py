"""A recording at a glance, for what is dragged through it: prices now and then, gaps, new books.

Prices are those of the archive's whole books, an hour apart or less: exact, and nothing between is
read for them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ordertape import limits
from ordertape.events import Side
from ordertape.kept import Kept
from ordertape.models import iso_from_ns
from ordertape.numbers import plain
from ordertape.tape.bases import Base, list_bases
from ordertape.tape.folder import MarketFolder
from ordertape.tape.history import History
from ordertape.tape.lookup import TapeLookup
from ordertape.tape.row_group import damage_told

__all__ = ["Overviews"]


class _Touch(NamedTuple):
    ts: int
    era: int
    begins_era: bool
    bid: str | None
    ask: str | None


class Overviews:
    """May be asked by several threads."""

    def __init__(self) -> None:
        self._touches: Kept[Path, _Touch] = Kept(limits.bases_touch_kept)

    def of(
        self,
        lookup: TapeLookup,
        history: History,
        start: int | None = None,
        end: int | None = None,
    ) -> dict[str, Any]:
        """From ``start`` to before ``end`` (ns).  Raises TapeCorrupt."""
        first, last = recorded_span(lookup)
        touches = [
            touch
            for base in list_bases(lookup.folder.archive)
            if (touch := self._touch(base)) is not None
            and (start is None or touch.ts >= start)
            and (end is None or touch.ts < end)
        ]
        return {
            "events": lookup.last_seq() - lookup.first_seq() + 1 if first is not None else 0,
            "bytes": _bytes(lookup.folder),
            "first": None if first is None else iso_from_ns(first),
            "last": None if last is None else iso_from_ns(last),
            "prices": [
                {"t": iso_from_ns(touch.ts), "bid": touch.bid, "ask": touch.ask}
                for touch in touches
            ],
            "eras": [
                {"t": iso_from_ns(touch.ts), "era": touch.era}
                for touch in touches
                if touch.begins_era
            ],
            "gaps": history.gaps(start, end),
        }

    def _touch(self, base: Base) -> _Touch | None:
        known = self._touches.get(base.path)
        if known is not None:
            return known
        try:
            info = base.info
            with damage_told(base.path):
                table = pq.read_table(base.path, columns=["side", "price"])
        except FileNotFoundError:
            return None  # dropped meanwhile
        found = _Touch(
            info.ts_recv,
            info.era,
            info.after_clear,
            _best(table, Side.BID, "max"),
            _best(table, Side.ASK, "min"),
        )
        self._touches.put(base.path, found)
        return found


def recorded_span(lookup: TapeLookup) -> tuple[int | None, int | None]:
    """``ts_recv`` of the first and the last event there is (ns), None where there is none."""
    first = lookup.first_seq()
    begun = lookup.events(first, first)
    return (begun[0].last_ts_recv if begun else None), lookup.last_ts()


def _bytes(folder: MarketFolder) -> int:
    """What journal and archive take of the disk."""
    total = 0
    for part in (folder.journal, folder.archive):
        try:
            with os.scandir(part) as entries:
                for entry in entries:
                    total += _allocated(entry)
        except FileNotFoundError:
            continue  # nothing was written there yet
    return total


def _allocated(entry: os.DirEntry[str]) -> int:
    """What a journal's newest segment takes in advance counts, too."""
    try:
        return entry.stat().st_blocks * 512
    except FileNotFoundError:
        return 0  # archived meanwhile


def _best(table: pa.Table, side: Side, which: str) -> str | None:
    """The best price of a side as the venue wrote it."""
    of_side = pa.array(table.column("side").to_numpy() == int(side))
    prices = table.column("price").filter(of_side)
    # Arrow compares no decimal64.
    wide = prices.cast(pa.decimal128(38, getattr(prices.type, "scale", 0)))
    best = pc.min_max(wide)[which].as_py()
    return None if best is None else plain(best)
