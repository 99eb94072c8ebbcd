"""What a stretch of a market's events adds up to."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ordertape import limits
from ordertape._engine import NULL, EventBatch
from ordertape.api.work import Leave
from ordertape.arrow import NO_ID
from ordertape.events import EventKind, Side
from ordertape.models import iso_from_ns
from ordertape.tape.archive_files import ArchiveFile, list_files
from ordertape.tape.lookup import TapeLookup

__all__ = ["Figures", "KnownFigures", "figures_of"]

_TRADES = (EventKind.MATCH, EventKind.TRADE)


@dataclass(slots=True)
class Figures:
    """Sums over events, a batch at a time."""

    by_kind: dict[EventKind, int] = field(default_factory=dict)
    by_side: dict[Side, int] = field(default_factory=dict)
    traded: Decimal = Decimal(0)
    first_ts: int | None = None
    last_ts: int | None = None
    peak: int = 0
    _ids: list[npt.NDArray[np.uint64]] = field(default_factory=list)
    _gathered: int = 0
    _second: tuple[int, int] = (0, 0)

    def take(self, batch: EventBatch) -> None:
        for kind, count in enumerate(batch.counts()):
            if count:
                self.by_kind[EventKind(kind)] = self.by_kind.get(EventKind(kind), 0) + count
        if (sides := batch.column("side")) is not None:
            counted = np.bincount(np.asarray(sides), minlength=2)
            for side in Side:
                self.by_side[side] = self.by_side.get(side, 0) + int(counted[side])
        self._trades(batch)
        self._times(batch)
        self._orders(batch)

    def _trades(self, batch: EventBatch) -> None:
        if batch.column("size") is None:
            return
        sizes = np.asarray(batch.column("size"))
        traded = np.isin(np.asarray(batch.column("kind")), _TRADES) & (sizes != NULL)
        # Python's integers: a sum of int64 may not fit one.
        total = sum(sizes[traded].tolist())
        self.traded += Decimal(total).scaleb(-batch.size_scale)

    def _times(self, batch: EventBatch) -> None:
        times = np.asarray(batch.column("ts_recv"))
        self.first_ts = int(times[0]) if self.first_ts is None else self.first_ts
        self.last_ts = int(times[-1])
        seconds, counts = np.unique(times // 10**9, return_counts=True)
        if int(seconds[0]) == self._second[0]:
            counts[0] += self._second[1]
        self._second = int(seconds[-1]), int(counts[-1])
        self.peak = max(self.peak, int(counts.max()))

    def _orders(self, batch: EventBatch) -> None:
        if (column := batch.column("order_id")) is None:
            return
        keys = np.asarray(column).view(np.uint64)
        self._ids.append(_different(keys[~(keys == NO_ID).all(axis=1)]))
        self._gathered += len(self._ids[-1])
        if self._gathered > limits.figures_ids_gathered:
            self.merge()

    def merge(self) -> None:
        """Each order id stays once: less memory, and quick copies."""
        if len(self._ids) > 1:
            self._ids = [_different(np.concatenate(self._ids))]
        self._gathered = 0

    def copy(self) -> Figures:
        """To go on with, while this one stays as it is; what is large is shared."""
        self.merge()
        return replace(
            self,
            by_kind=dict(self.by_kind),
            by_side=dict(self.by_side),
            _ids=list(self._ids),
        )

    @property
    def total(self) -> int:
        return sum(self.by_kind.values())

    @property
    def unique(self) -> int:
        """Orders with an id of their own."""
        different = self._ids if len(self._ids) < 2 else [_different(np.concatenate(self._ids))]
        return sum(map(len, different))

    def as_dict(self) -> dict[str, Any]:
        """The counting part of ``GET /statistics``."""
        span = (self.last_ts - self.first_ts) / 10**9 if self.first_ts and self.last_ts else 0
        return {
            "total_orders": self.total,
            "unique_orders": self.unique,
            "first_order": None if self.first_ts is None else iso_from_ns(self.first_ts),
            "last_order": None if self.last_ts is None else iso_from_ns(self.last_ts),
            "by_event_type": {kind.name.lower(): self.by_kind.get(kind, 0) for kind in EventKind},
            "by_side": {side.name.lower(): self.by_side.get(side, 0) for side in Side},
            "traded_volume": self.traded,
            "events_per_second": {
                "mean": round(self.total / span, 3) if span > 0 else float(self.total),
                "peak": self.peak,
            },
        }


class KnownFigures:
    """Figures of whole tapes: what a closed file of the archive adds is counted once.

    May be used by several threads.  At most ``limits.figures_ids_kept`` order ids are kept in
    mind; what is beyond is counted each time.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begun: OrderedDict[Path, _Begun] = OrderedDict()

    def whole(self, lookup: TapeLookup, leave: Leave) -> Figures:
        """Blocking work: the figures of every event of a tape."""
        files = list_files(lookup.folder.archive)
        begun = self._of(lookup.folder.root, files)
        with begun.lock:
            for file in files:
                if file.first_seq != begun.last_seq + 1:
                    continue
                if begun.figures.unique > limits.figures_ids_kept:
                    break
                figures = begun.figures.copy()
                _count(figures, lookup, file.first_seq, file.last_seq, leave)
                figures.merge()  # once, not in every copy
                begun.figures, begun.last_seq = figures, file.last_seq
            figures = self._with_journal(begun, lookup, leave)
        self._forget()
        return figures

    def _with_journal(self, begun: _Begun, lookup: TapeLookup, leave: Leave) -> Figures:
        """What no closed file has, too; hold its lock.

        Kept as well: of a market that was just asked for only what came since is read.  A crash can
        cut off the end of a journal, after which others have its seqs: then not.
        """
        last, tail = lookup.last_seq(), begun.tail
        if tail is not None and begun.last_seq < tail.last_seq <= last and _has(lookup, tail):
            figures, first = tail.figures.copy(), tail.last_seq + 1
        else:
            figures = begun.figures.copy()
            first = max(begun.last_seq + 1, lookup.first_seq())
        figures = _count(figures, lookup, first, last, leave)
        figures.merge()
        begun.tail = None
        if figures.last_ts is not None and figures.unique <= limits.figures_ids_kept:
            begun.tail = _Tail(last, figures.last_ts, figures)
        return figures

    def _of(self, root: Path, files: list[ArchiveFile]) -> _Begun:
        """Anew where a tape lost its oldest files, or is another one."""
        first = (files[0].first_seq, files[0].info.first_ts_recv) if files else (0, 0)
        with self._lock:
            found = self._begun.get(root)
            if found is None or found.first != first:
                found = self._begun[root] = _Begun(first, first[0] - 1)
            self._begun.move_to_end(root)
            return found

    def _forget(self) -> None:
        """The least used, while too many ids are kept."""
        with self._lock:
            while (
                len(self._begun) > 1
                and sum(begun.ids for begun in self._begun.values()) > limits.figures_ids_kept
            ):
                self._begun.popitem(last=False)


class _Tail(NamedTuple):
    """Figures up to an event that no closed file has yet."""

    last_seq: int
    last_ts: int
    figures: Figures


def _has(lookup: TapeLookup, tail: _Tail) -> bool:
    """Whether the event that was counted last is still the one of its seq."""
    found = lookup.events(tail.last_seq, tail.last_seq)
    return bool(found) and found[-1].last_ts_recv == tail.last_ts


@dataclass(slots=True)
class _Begun:
    """Figures of a tape's first files, up to ``last_seq``."""

    first: tuple[int, int]
    """seq and time of the first event."""
    last_seq: int
    figures: Figures = field(default_factory=Figures)
    tail: _Tail | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def ids(self) -> int:
        return self.figures.unique + (self.tail.figures.unique if self.tail else 0)


def figures_of(lookup: TapeLookup, first: int, last: int, leave: Leave) -> Figures:
    """Blocking work: the figures of the events from ``first`` to ``last``."""
    return _count(Figures(), lookup, first, last, leave)


def _count(figures: Figures, lookup: TapeLookup, first: int, last: int, leave: Leave) -> Figures:
    step = limits.archive_row_group_rows
    for low in range(first, last + 1, step):
        leave()
        for batch in _joined(lookup.events(low, min(last, low + step - 1))):
            figures.take(batch)
    return figures


def _joined(batches: list[EventBatch]) -> list[EventBatch]:
    """As one, where that can be: the journal has a few events a message, and each batch that is
    taken costs as much as a thousand events."""
    try:
        return [EventBatch.concat(batches)] if len(batches) > 1 else batches
    except ValueError:  # ids or scales of two kinds
        return batches


def _different(keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Each (n, 2) key once."""
    order = np.lexsort((keys[:, 0], keys[:, 1])) if keys[:, 1].any() else np.argsort(keys[:, 0])
    keys = keys[order]
    kept = np.ones(len(keys), bool)
    kept[1:] = (keys[1:] != keys[:-1]).any(axis=1)
    return keys[kept]
