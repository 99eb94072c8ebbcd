"""One market as pages see it, whoever moves it on: a live tape or a replay.

A scene has views, a view has readers.  Nothing here waits or reads files; one thread.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

import numpy as np

from ordertape import limits
from ordertape._engine import NULL, Effects, EventBatch, OrderBook, Rows
from ordertape.models import iso_from_ns
from ordertape.page.followed import FollowedBook
from ordertape.page.handles import Handles
from ordertape.page.heat import BUCKET_NS, HEAT_ROWS
from ordertape.page.metrics import LiveMetrics
from ordertape.page.view import Out, View, Wish, text_out
from ordertape.tape.history import History
from ordertape.tape.marks import Mark
from ordertape.times import NS_PER_SECOND

__all__ = ["Asked", "Posted", "Reader", "Scene", "Spot", "Watcher"]

SHOWN_SHARE: Final = 0.01
"""Of the price: what a picture's rows reach over at least, unless asked otherwise."""
FINER, COARSER = 100, 100
"""How much finer and coarser than that a picture may be asked for."""
SIZE_MAX: Final = 2**63 - 1
"""Of an order, in size units: the engine's numbers have 64 bits."""
LARGE_QUANTILE: Final = 0.995
"""Of the sizes that rest: larger orders are followed one by one, unless asked otherwise."""


@dataclass(frozen=True, slots=True)
class Spot:
    """Which market a scene shows, and from where."""

    exchange: str
    symbol: str
    source: str
    """``live`` or ``replay``."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a reader wants, None: as the market suggests.  ``group`` in price units; ``level`` of
    detail.  Large is a size, what costs ``large_notional`` at the best price now, or a quantile of
    what rests now: the first of them that is there."""

    group: int | None = None
    min_size: Decimal | None = None
    large: Decimal | None = None
    large_notional: Decimal | None = None
    large_quantile: Decimal | None = None
    level: int = 0
    metrics: bool = False
    """Whether it wants to be told the market's metrics, too."""


@dataclass(frozen=True, slots=True)
class Posted:
    """What a reader is sent next.  ``anew``: it begins a new epoch with these."""

    outs: list[Out]
    anew: bool = False


@dataclass(eq=False, slots=True)
class Reader:
    """``post`` is called in the scene's thread."""

    asked: Asked
    post: Callable[[Posted], None]
    wish: Wish | None = field(default=None, init=False)


class Watcher:
    """Is told what happens instead of being sent pictures of it; all in the scene's thread."""

    def begin(self, _scene: Scene, /) -> None:
        """A book that goes on from here: the first one, or another one after a failure."""

    def failed(self, _reason: str, /) -> None:
        """There is no book until it begins again."""

    def applied(self, _batch: EventBatch, _effects: Effects, _ended: Rows, /) -> None:
        """As a view is told."""

    def mark(self, _mark: Mark, /) -> None:
        """What the tape says of itself."""

    def tick(self, _now: int, /) -> None:
        """Time has come to ``now`` (ns)."""


class Scene:
    def __init__(self, spot: Spot, book: OrderBook, history: History) -> None:
        self.spot, self.history, self.handles = spot, history, Handles()
        self.followed = FollowedBook(book, self._applied)
        self._views: dict[Wish, tuple[View, list[Reader]]] = {}
        self.watchers: list[Watcher] = []
        self.metrics: LiveMetrics | None = None
        """From when somebody wanted them."""
        self._counted: deque[tuple[int, int]] = deque(maxlen=6)
        self._latency: list[int] = []
        self._era = book.era
        self._told = ""
        self.now = book.ts_recv
        self.span: tuple[int, int] | None = None
        """Of a replay: when the first and the last recorded event came (ns)."""

    # What happens -------------------------------------------------------------------------------

    def take(self, batch: EventBatch) -> None:
        """Events, in order."""
        self.followed.take(batch)
        second = batch.last_ts_recv // NS_PER_SECOND
        if self._counted and self._counted[-1][0] == second:
            self._counted[-1] = (second, self._counted[-1][1] + len(batch))
        else:
            self._counted.append((second, len(batch)))
            self._latency = []
        if (told := batch.column("ts_event")) is not None:
            late = np.asarray(batch.column("ts_recv")) - np.asarray(told)
            self._latency += late[np.asarray(told) != NULL].tolist()[:1]

    def _applied(self, batch: EventBatch, effects: Effects, ended: Rows) -> None:
        for view, _ in self._views.values():
            view.applied(batch, effects, ended)
        for watcher in self.watchers:
            watcher.applied(batch, effects, ended)

    def mark(self, mark: Mark) -> None:
        """What the tape says of itself: readers are told of gaps and states at once."""
        self.history.take(mark)
        if mark.kind == "gap":
            self.gap(mark.fields["from_ns"], mark.fields["to_ns"], str(mark.fields["reason"]))
        elif mark.kind == "state":
            self.tell_status(force=True)
        for watcher in self.watchers:
            watcher.mark(mark)

    def gap(self, from_ns: int, to_ns: int | None, reason: str) -> None:
        """Readers are told of a loss between two moments (ns)."""
        for view, readers in self._views.values():
            _post(readers, [view.gap(from_ns, to_ns, reason)])
        if self.metrics is not None and to_ns is None:
            self.metrics.gap(from_ns)

    def tick(self, now: int) -> None:
        """Time has come to ``now`` (ns): every reader is sent what changed."""
        self.now = now
        for watcher in self.watchers:
            watcher.tick(now)
        self._tell_metrics(now)
        if self.followed.book.era != self._era:
            self._era = self.followed.book.era
            for view, readers in self._views.values():
                view.tick(now)
                for reader in readers:
                    reader.post(Posted(view.keys(now), anew=True))
            return
        for view, readers in self._views.values():
            if outs := view.tick(now):
                _post(readers, outs)

    def _tell_metrics(self, now: int) -> None:
        told = None if self.metrics is None else self.metrics.tick(now)
        if told is None:
            return
        out = text_out("metrics", told, now // 1000)
        for _, readers in self._views.values():
            _post([reader for reader in readers if reader.asked.metrics], [out])

    def tell_status(self, *, force: bool = False) -> None:
        """The state of the market, to everybody, where it changed or ``force``."""
        told = self.status()
        if not force and str(told) == self._told:
            return
        self._told = str(told)
        out = text_out("status", told, self.now // 1000)
        for _, readers in self._views.values():
            _post(readers, [out])

    # Who reads ----------------------------------------------------------------------------------

    def join(self, reader: Reader) -> None:
        """The reader is told what it sees, then everything that stands, then what changes."""
        wish = self._wish(reader.asked)
        if wish not in self._views:
            if len(self._views) >= limits.page_views_max:
                reader.post(Posted([_refused(self.now)]))
                return
            view = View(self.followed, self.handles, wish, self.now)
            self._views[wish] = (view, [])
        view, readers = self._views[wish]
        reader.wish = wish
        readers.append(reader)
        opened = text_out("control", self._opened(view), self.now // 1000)
        status = text_out("status", self.status(), self.now // 1000)
        reader.post(Posted([opened, status, *view.keys(self.now)], anew=True))
        if reader.asked.metrics:
            self.metrics = self.metrics or LiveMetrics(self.followed, self.history)

    def keys(self, reader: Reader) -> None:
        """Everything anew, for a reader that lost something."""
        if reader.wish is not None:
            view, _ = self._views[reader.wish]
            reader.post(Posted(view.keys(self.now), anew=True))

    def leave(self, reader: Reader) -> None:
        if reader.wish is None:
            return
        view, readers = self._views[reader.wish]
        readers.remove(reader)
        if not readers:
            del self._views[reader.wish]
            view.close()
        reader.wish = None
        left = (other for _, readers in self._views.values() for other in readers)
        if self.metrics is not None and not any(other.asked.metrics for other in left):
            self.metrics.close()
            self.metrics = None

    @property
    def readers(self) -> int:
        return sum(len(readers) for _, readers in self._views.values())

    # What it says of itself ---------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        book, history = self.followed.book, self.history
        replayed = self.spot.source == "replay"
        state = history.state_at(self.now) if replayed else history.state or "STOPPED"
        second = self.now // NS_PER_SECOND
        counted = [count for at, count in self._counted if second - 5 <= at < second]
        return {
            "op": "status",
            "state": state,
            "reason": "" if replayed else history.reason,
            "era": book.era,
            "sequence": self.followed.seq,
            "age_ms": max(0, self.now - book.ts_recv) // 10**6,
            "events_per_second": sum(counted) / 5,
            "latency_ms": None if not self._latency else np.median(self._latency).item() / 1e6,
            "gaps": len(history.gaps(None, self.now)) if replayed else history.gap_count,
            "orders": len(book),
            "t": iso_from_ns(self.now),
        }

    def _wish(self, asked: Asked) -> Wish:
        least = self._units(asked.min_size) or 0
        return Wish(
            asked.group or self.usual_group(), least, max(1, self._large(asked)), asked.level
        )

    def _large(self, asked: Asked) -> int:
        """Size units."""
        size = asked.large
        bid, ask = self.followed.book.best()
        price = bid or ask
        if size is None and asked.large_notional is not None and price is not None and price > 0:
            size = asked.large_notional / price
        if (units := self._units(size)) is not None:
            return units
        sizes = np.asarray(self.followed.lives.alive().column("size"))
        quantile = LARGE_QUANTILE if asked.large_quantile is None else float(asked.large_quantile)
        usual = int(np.quantile(sizes, quantile)) if len(sizes) else 1
        # Down to a power of two: who comes a little later is to share the view.
        return 1 << max(0, usual.bit_length() - 1)

    def _units(self, size: Decimal | None) -> int | None:
        """Size units, rounded up; what no order can have is the largest that one could."""
        if size is None:
            return None
        return min(math.ceil(size.scaleb(self.followed.book.size_scale or 0)), SIZE_MAX)

    def _groups(self) -> list[int]:
        """Price units a row that may be asked for: 1, 2, 5, 10, … of the price's own size."""
        usual = self._price() * SHOWN_SHARE / HEAT_ROWS
        steps = (n * 10**power for power in range(19) for n in (1, 2, 5))
        found = [step for step in steps if usual / FINER <= step <= usual * COARSER]
        return found or [1]

    def usual_group(self) -> int:
        """Price units a row, where a reader asks for none."""
        usual = self._price() * SHOWN_SHARE / HEAT_ROWS
        return next((group for group in self._groups() if group >= usual), 1)

    def _price(self) -> int:
        bid, ask = self.followed.book.best_scaled()
        return bid or ask or 1

    def _opened(self, view: View) -> dict[str, Any]:
        book = self.followed.book
        return {
            "op": "opened",
            "exchange": self.spot.exchange,
            "symbol": self.spot.symbol,
            "source": self.spot.source,
            "simulated": self.history.simulated,
            "era": book.era,
            "first": None if self.span is None else iso_from_ns(self.span[0]),
            "last": None if self.span is None else iso_from_ns(self.span[1]),
            "price_scale": book.price_scale or 0,
            "size_scale": book.size_scale or 0,
            "group": view.group,
            "groups": self._groups(),
            "min_size": view.wish.min_size,
            "large": view.wish.large,
            "bucket_ms": BUCKET_NS[view.wish.level] // 10**6,
            "rows": HEAT_ROWS,
            "code_offset": view.codes.offset,
            "steps_per_octave": view.codes.steps_per_octave,
            "code_unit": view.codes.unit,
        }


def _refused(now: int) -> Out:
    most = limits.page_views_max
    detail = f"expected a view like one of the {most} that others look at: no more are drawn"
    return text_out("control", {"op": "refused", "detail": detail}, now // 1000)


def _post(readers: list[Reader], outs: list[Out]) -> None:
    posted = Posted(outs)
    for reader in readers:
        reader.post(posted)
