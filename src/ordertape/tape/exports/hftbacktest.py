"""hftbacktest 2.x level-3 event files of a tape (hftbacktest.readthedocs.io, "Data").

One ``.npz`` (key ``data``) a UTC day, each beginning with a clear and the book as ADDs, so that a
day can be played alone.  Prices and sizes are floats, because that format has nothing else: the
nearest double to the exact decimal.  It is the only place where ordertape makes floats of numbers.

* OPEN → ADD; CHANGE → MODIFY; DONE and EVICT → CANCEL; CLEAR → DEPTH_CLEAR, its snapshot → ADD.
* MATCH → TRADE (the taker's side), FILL (the maker), then MODIFY to what is left or CANCEL;
  a MATCH that came late and a TRADE → TRADE alone.
* ``exch_ts`` is the venue's clock where it gives one, raised so that it never decreases;
  ``local_ts`` is ours, raised to ``exch_ts`` where the venue's clock runs ahead.
* ``order_id`` is the venue's where all ids are integers, else a number from 1 on for each order.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from ordertape._engine import NULL, EventBatch, OrderBook
from ordertape.arrow import NO_ID, to_numpy
from ordertape.events import EventKind, Flag, Side
from ordertape.tape.exports.files import NewFiles
from ordertape.tape.exports.span import Progress, Range, cut_at_days

__all__ = ["EVENT_DTYPE", "export_hftbacktest"]

EVENT_DTYPE: Final = np.dtype(
    [
        ("ev", "u8"),
        ("exch_ts", "i8"),
        ("local_ts", "i8"),
        ("px", "f8"),
        ("qty", "f8"),
        ("order_id", "u8"),
        ("ival", "i8"),
        ("fval", "f8"),
    ],
    align=True,
)

TRADE_EVENT: Final = 2
DEPTH_CLEAR_EVENT: Final = 3
ADD_ORDER_EVENT: Final = 10
CANCEL_ORDER_EVENT: Final = 11
MODIFY_ORDER_EVENT: Final = 12
FILL_EVENT: Final = 13
EXCH_EVENT: Final = 1 << 31
LOCAL_EVENT: Final = 1 << 30
BUY_EVENT: Final = 1 << 29
SELL_EVENT: Final = 1 << 28

_NOTHING: Final = 0
"""No event: the row changes nothing over there."""
_DICTIONARY_BIT: Final = 2**62

Events = npt.NDArray[np.void]


def export_hftbacktest(
    span: Range, out: str | Path, progress: Progress | None = None
) -> list[Path]:
    """An ``.npz`` for each UTC day that has events; their paths."""
    start, batches = span.with_book()
    book = start or OrderBook()
    with NewFiles(out) as files:
        days = _Days(span, files, _Books(book))
        for batch in batches:
            for moment, part in cut_at_days(batch):
                days.add(moment, part)
                if progress is not None:
                    progress(days.done)
        days.finish()
    return files.paths


class _Days:
    """Collects a day's events and writes them when the day is over."""

    def __init__(self, span: Range, files: NewFiles, books: _Books) -> None:
        self.done = 0
        self._span, self._files, self._books = span, files, books
        self._name: str | None = None
        self._parts: list[Events] = []
        self._ids = _Ids()
        self._exch_ts = self._local_ts = NULL

    def add(self, moment: int, batch: EventBatch) -> None:
        name = self._span.name(moment, ".npz")
        if name != self._name:
            self.finish()
            self._name = name
            if batch[0]["kind"] != EventKind.CLEAR:
                self._start(batch)
        self._put(_events(self._books, batch, self._ids))
        self.done += len(batch)

    def _start(self, first: EventBatch) -> None:
        """The book as it stands before the day's first event, at that event's times."""
        events = np.zeros(1, EVENT_DTYPE)
        events["ev"] = DEPTH_CLEAR_EVENT
        if len(self._books.book):
            adds = _events(_Books(OrderBook()), self._books.book.snapshot(), self._ids)
            events = np.concatenate((events, adds))
        for name, ts in zip(("exch_ts", "local_ts"), _times(to_numpy(first[:1])), strict=True):
            events[name] = ts[0]
        self._put(events)

    def _put(self, events: Events) -> None:
        if not len(events):
            return
        events["ev"] |= EXCH_EVENT | LOCAL_EVENT
        events["exch_ts"][0] = max(int(events["exch_ts"][0]), self._exch_ts)
        exch_ts = np.maximum.accumulate(events["exch_ts"])
        events["local_ts"][0] = max(int(events["local_ts"][0]), self._local_ts)
        local_ts = np.maximum(np.maximum.accumulate(events["local_ts"]), exch_ts)
        events["exch_ts"], events["local_ts"] = exch_ts, local_ts
        self._exch_ts, self._local_ts = int(exch_ts[-1]), int(local_ts[-1])
        self._parts.append(events)

    def finish(self) -> None:
        """Writes the day's file, if there is a day."""
        if self._name is not None and self._parts:
            with self._files.add(self._name).open("wb") as file:
                # A day takes seconds to pack.
                checked: Any = _Checked(file, self._span.check)
                np.savez_compressed(checked, data=np.concatenate(self._parts))
        self._name, self._parts = None, []


class _Checked:
    """A file that asks at every write whether the export goes on."""

    def __init__(self, file: BinaryIO, check: Callable[[], None]) -> None:
        self._file, self._check = file, check

    def write(self, data: bytes) -> int:
        self._check()
        return self._file.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class _Books:
    """The book, and the same one batch earlier: it tells which orders were opened twice."""

    def __init__(self, book: OrderBook) -> None:
        self.book, self._earlier = book, OrderBook()
        if len(book):
            self._earlier.restore(book.snapshot(), book.era)

    def apply(self, batch: EventBatch) -> tuple[npt.NDArray[np.int64], list[int]]:
        """(size before each event, NULL where it did not rest; rows that open a resting order)."""
        counters, effects = self.book.apply(batch, effects=True)
        twins = []
        if counters.duplicate_id:
            kinds = to_numpy(batch)["kind"].tolist()
            for row, (kind, order_id) in enumerate(zip(kinds, batch.id_texts(), strict=True)):
                if kind == EventKind.OPEN and order_id is not None and order_id in self._earlier:
                    twins.append(row)
                self._earlier.apply(batch[row : row + 1])
        else:
            self._earlier.apply(batch)
        return np.asarray(effects.column("size_before")), twins


class _Ids:
    """Order ids as uint64: the venue's own where they are integers, else 1, 2, 3 …"""

    def __init__(self) -> None:
        self._numbers: dict[bytes, int] = {}

    def of(self, batch: EventBatch) -> npt.NDArray[np.uint64]:
        keys = to_numpy(batch)["order_id"]
        low, high = keys[:, 0], keys[:, 1]
        absent = (low == NO_ID) & (high == NO_ID)
        if batch.codec.spec == "int":
            # Ids that are no integers are entries of the codec's dictionary, counted from 0.
            numbers = np.where(high == NO_ID, low | np.uint64(_DICTIONARY_BIT), low)
        else:
            packed = np.ascontiguousarray(keys[~absent]).view("V16").ravel()
            unique, places = np.unique(packed, return_inverse=True)
            own = [
                self._numbers.setdefault(key.tobytes(), len(self._numbers) + 1) for key in unique
            ]
            numbers = np.zeros(len(keys), np.uint64)
            numbers[~absent] = np.array(own, np.uint64)[places]
        return np.where(absent, np.uint64(0), numbers)


def _times(
    columns: dict[str, npt.NDArray[np.int64]],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    ts_recv = columns["ts_recv"]
    ts_event = columns.get("ts_event")
    return (ts_recv if ts_event is None else np.where(ts_event == NULL, ts_recv, ts_event)), ts_recv


def _events(books: _Books, batch: EventBatch, ids: _Ids) -> Events:
    """The rows of a batch, which is applied to the books on the way."""
    before, twins = books.apply(batch)
    book, columns = books.book, to_numpy(batch)
    kind, size = columns["kind"], columns["size"]
    # The engine's book may have more digits than the batch.
    size_scale, price_scale = book.size_scale or 0, book.price_scale or 0
    size = np.where(size == NULL, 0, size) * 10 ** (size_scale - batch.size_scale)
    price = columns["price"]
    price = np.where(price == NULL, 0, price) * 10 ** (price_scale - batch.price_scale)
    known = before != NULL
    left = np.where(known, before - size, 0)
    late = (columns["flags"] & Flag.LATE) != 0
    plan = _plan(kind, known, size, left, late)
    # An order that is opened twice replaces itself, as it does in our book.
    plan[twins, 0] = MODIFY_ORDER_EVENT
    rows = np.zeros((len(batch), 3), EVENT_DTYPE)
    rows["ev"] = plan | np.where(plan == TRADE_EVENT, _taker_bits(columns)[:, None], 0)
    others = (plan != TRADE_EVENT) & (plan != DEPTH_CLEAR_EVENT)
    rows["ev"] |= np.where(others, _side_bits(columns["side"])[:, None], 0)
    rows["exch_ts"], rows["local_ts"] = (ts[:, None] for ts in _times(columns))
    rows["px"] = (price / 10**price_scale)[:, None]
    shown = np.stack((size, size, np.maximum(left, 0)), axis=1)
    rows["qty"] = shown / 10**size_scale
    rows["order_id"] = np.where(plan == TRADE_EVENT, np.uint64(0), ids.of(batch)[:, None])
    events: Events = rows[plan != _NOTHING]
    return events


def _plan(
    kind: npt.NDArray[np.uint8],
    known: npt.NDArray[np.bool_],
    size: npt.NDArray[np.int64],
    left: npt.NDArray[np.int64],
    late: npt.NDArray[np.bool_],
) -> npt.NDArray[np.uint64]:
    """Up to three event codes a row; ``known``: the book had the order, ``left`` after a match."""
    plan = np.zeros((len(kind), 3), np.uint64)
    plan[kind == EventKind.CLEAR, 0] = DEPTH_CLEAR_EVENT
    plan[(kind == EventKind.OPEN) & (size > 0), 0] = ADD_ORDER_EVENT
    plan[(kind == EventKind.TRADE) | (kind == EventKind.MATCH), 0] = TRADE_EVENT
    plan[known & (kind == EventKind.CHANGE) & (size > 0), 0] = MODIFY_ORDER_EVENT
    gone = (kind == EventKind.DONE) | (kind == EventKind.EVICT)
    gone |= (kind == EventKind.CHANGE) & (size == 0)
    plan[known & gone, 0] = CANCEL_ORDER_EVENT
    filled = known & (kind == EventKind.MATCH) & ~late
    plan[filled, 1] = FILL_EVENT
    plan[filled, 2] = np.where(left[filled] > 0, MODIFY_ORDER_EVENT, CANCEL_ORDER_EVENT)
    return plan


def _side_bits(side: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    bits = np.zeros(len(side), np.uint64)
    bits[side == Side.BID] = BUY_EVENT
    bits[side == Side.ASK] = SELL_EVENT
    return bits


def _taker_bits(columns: dict[str, npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint64]:
    """The side that began the trade: told, else opposite to the resting one."""
    resting = columns["side"]
    taker = np.where(resting <= Side.ASK, 1 - resting.astype(np.int16), -1)
    told = columns.get("taker_side")
    if told is not None:
        taker = np.where(told <= Side.ASK, told, taker)
    return _side_bits(taker.astype(np.uint8))
