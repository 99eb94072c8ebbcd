"""Bitstamp's raw order log of 2015 as events.

A line is our clock in ms, what happened, and the venue's message.  ``order_changed`` and a
deletion with amount 0 are trades: of two equal reductions on opposite sides the younger order is
the taker's, for a taker begins to rest before its trades are told.  A reduction that has no
partner is a maker's.  ``order_book`` and ``trade`` say nothing more.
"""

from __future__ import annotations

import json
import lzma
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final, NamedTuple

from ordertape._engine import EventBatch, IdCodec
from ordertape.errors import BadFile
from ordertape.events import EventKind, Reason

__all__ = ["read_bitstamp"]

_MS: Final = 1_000_000
_PRICE_SCALE: Final = 2
_SIZE_SCALE: Final = 8
_TOGETHER_NS: Final = 5_000 * _MS
"""Both halves of a trade are told within this."""
_BATCH: Final = 2_000
_KINDS: Final = ("order_created", "order_changed", "order_deleted")


class _Row(NamedTuple):
    time: int
    kind: EventKind
    side: int
    order: int
    price: int
    size: int
    reason: Reason


class _Less(NamedTuple):
    """A reduction: the row that tells it, and by how much."""

    row: int
    time: int
    side: int
    order: int
    size: int


def read_bitstamp(path: Path) -> Iterator[EventBatch]:
    """The events of a log, ``.xz``, oldest first; BadFile."""
    rows = _paired(*_rows(path))
    codec, seq = IdCodec("int"), 1
    for start in range(0, len(rows), _BATCH):
        part = rows[start : start + _BATCH]
        yield EventBatch.from_arrays(
            kind=[row.kind for row in part],
            side=[row.side for row in part],
            order_id=[str(row.order) for row in part],
            price=[row.price for row in part],
            size=[row.size for row in part],
            reason=[row.reason for row in part],
            ts_recv=[row.time for row in part],
            seq=range(seq, seq + len(part)),
            price_scale=_PRICE_SCALE,
            size_scale=_SIZE_SCALE,
            codec=codec,
        )
        seq += len(part)


def _rows(path: Path) -> tuple[list[_Row], list[_Less]]:
    """Orders that began before the log are left out, and whatever became of them."""
    rows: list[_Row] = []
    less: list[_Less] = []
    left: dict[int, int] = {}
    last = 0
    for number, line in enumerate(_lines(path), 1):
        try:
            local, what, text = line.split(" ", 2)
            if what not in _KINDS:
                continue
            told = json.loads(text, parse_float=str)
            order, side = int(told["id"]), int(told["order_type"])
            price, size = _scaled(told["price"], 2), _scaled(told["amount"], 8)
            last = max(last, int(local) * _MS)
        except (ValueError, KeyError, TypeError, InvalidOperation) as error:
            raise BadFile(path, f"line {number}", f"expected an order, found {error}") from error
        if what == "order_created":
            left[order] = size
            rows.append(_Row(last, EventKind.OPEN, side, order, price, size, Reason.NONE))
            continue
        if order not in left:
            continue
        traded = left[order] - size if what == "order_changed" or size == 0 else 0
        if traded > 0:
            less.append(_Less(len(rows), last, side, order, traded))
            rows.append(_Row(last, EventKind.MATCH, side, order, price, traded, Reason.NONE))
            left[order] -= traded
        elif what == "order_deleted":
            rows.append(_Row(last, EventKind.DONE, side, order, price, size, Reason.CANCELED))
        if what == "order_deleted":
            del left[order]
    return rows, less


def _paired(rows: list[_Row], less: list[_Less]) -> list[_Row]:
    """The rows, those of takers as what they are: changes of an order that took."""
    open_: dict[tuple[int, int], list[_Less]] = {}
    sizes = _sizes_left(rows)
    for one in less:
        partners = open_.get((1 - one.side, one.size), [])
        partners[:] = [other for other in partners if one.time - other.time <= _TOGETHER_NS]
        if not partners:
            open_.setdefault((one.side, one.size), []).append(one)
            continue
        taker = max(one, partners.pop(0), key=lambda less: less.order)
        row, size = rows[taker.row], sizes[taker.row]
        kind = EventKind.CHANGE if size else EventKind.DONE
        reason = Reason.TRADED_AS_TAKER if size else Reason.FILLED
        rows[taker.row] = row._replace(kind=kind, size=size, reason=reason)
    return rows


def _sizes_left(rows: list[_Row]) -> dict[int, int]:
    """What is left behind each reduction, by its row."""
    left: dict[int, int] = {}
    out = {}
    for place, row in enumerate(rows):
        if row.kind is EventKind.OPEN:
            left[row.order] = row.size
        elif row.kind is EventKind.MATCH:
            left[row.order] -= row.size
            out[place] = left[row.order]
    return out


def _lines(path: Path) -> Iterator[str]:
    try:
        with lzma.open(path, "rt", encoding="utf-8") as log:
            yield from log
    except (lzma.LZMAError, EOFError, UnicodeDecodeError) as error:
        raise BadFile(path, "its text", f"expected .xz, found {error}") from error


def _scaled(text: Any, scale: int) -> int:
    """As an integer; what the source's own arithmetic left behind is rounded away."""
    return round(Decimal(str(text)).scaleb(scale))
