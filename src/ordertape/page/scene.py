"""One market as pages see it, whoever moves it on: a live tape or a replay.

A scene has views, a view has readers.  Nothing here waits or reads files; one thread.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
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
from ordertape.tape.history import History, Hole
from ordertape.tape.marks import Mark
from ordertape.times import NS_PER_SECOND

__all__ = ["Asked", "Posted", "Reader", "Scene", "Spot", "Watcher"]

SHOWN_SHARE: Final = 0.01
"""Of the price: what a picture's rows reach over at least, unless asked otherwise."""
FINER, COARSER = 100, 100
"""How much finer and coarser than that a picture may be asked for."""
SIZE_MAX: Final = 2**63 - 1
"""Of an order, in size units: the engine's numbers have 64 bits."""
_ENDED: Final = frozenset({"STOPPED", "FAILED"})
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
        self._era, self._scales = book.era, self.followed.scales
        self._hole: Hole | None = None
        """The gap that readers were told is open."""
        self.uncollected = ""
        """Why nobody collects a live market now."""
        self.now = book.ts_recv
        self.span: tuple[int, int] | None = None
        """Of a replay: when the first and the last recorded event came (ns)."""

    def read(self, history: History) -> None:
        """Of a tape that went on: its marks as they are now."""
        self.history = history
        if self.metrics is not None:
            self.metrics.history = history

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
        """What the tape says of itself: readers are told of states, and of gaps that are over, at
        once; of one that is open with the next tick."""
        self.history.take(mark)
        if mark.kind == "gap":
            self._take_gap(mark.fields["from_ns"], mark.fields["to_ns"])
        elif mark.kind == "state":
            self.tell_status()
        for watcher in self.watchers:
            watcher.mark(mark)

    def _take_gap(self, from_ns: int, to_ns: int | None) -> None:
        if to_ns is None:
            if self.metrics is not None:
                self.metrics.gap(from_ns)
        elif (hole := self.history.hole_from(from_ns)) is not None:
            self._tell_gap(hole)
            if self._hole is not None and self._hole.from_ns == from_ns:
                self._hole = None

    def tick(self, now: int) -> None:
        """Time has come to ``now`` (ns): every reader is sent what changed."""
        before, self.now = self.now, now
        for watcher in self.watchers:
            watcher.tick(now)
        self._tell_metrics(now)
        self._tell_pictures(now)
        self._tell_gaps(before)

    def _tell_pictures(self, now: int) -> None:
        if self.followed.scales != self._scales:
            self._scales = self.followed.scales
            self._open_anew()
        elif self.followed.book.era != self._era:
            self._era = self.followed.book.era
            for view, readers in self._views.values():
                # How the orders of the book before ended, before the one that began.
                _post(readers, view.tick(now))
                for reader in readers:
                    reader.post(Posted(self._keys(view), anew=True))
        else:
            for view, readers in self._views.values():
                if outs := view.tick(now):
                    _post(readers, outs)

    def _open_anew(self) -> None:
        """Numbers are of other scales than readers were told."""
        for view, readers in list(self._views.values()):
            group = view.group
            for reader in list(readers):
                self.leave(reader)
                if reader.asked.group is not None:
                    reader.asked = replace(reader.asked, group=group)
                self.join(reader)

    # Gaps ---------------------------------------------------------------------------------------

    def _tell_gaps(self, before: int) -> None:
        """Those that began, went on or ended since ``before`` (ns)."""
        told, now = self._hole, self._hole_now()
        if told is not None and (now is None or now.from_ns != told.from_ns):
            ended = self.history.hole_from(told.from_ns)
            self._tell_gap(ended if ended and ended.to_ns else told._replace(to_ns=self.now))
        if self.spot.source == "replay":
            known = {hole.from_ns for hole in (told, now) if hole is not None}
            for hole in self.history.holes(before, self.now):
                if hole.from_ns not in known:
                    self._tell_gap(hole)
        if now is not None and (told is None or now.from_ns != told.from_ns):
            self._tell_gap(now._replace(to_ns=None))
        self._hole = now

    def _hole_now(self) -> Hole | None:
        """The gap that goes on: one of the tape's, or that nobody collects the market."""
        found = self.history.hole_at(self.now)
        if found is None and self.spot.source == "live" and (reason := self._not_followed()):
            return Hole(self.followed.book.ts_recv, None, reason)
        return found

    def _not_followed(self) -> str:
        """Why what stands in the book is not the venue's, "" where it is or the tape knows."""
        if self.uncollected:
            return self.uncollected
        ended = self.history.state in _ENDED
        return (self.history.reason or "nobody collects it now") if ended else ""

    def _tell_gap(self, hole: Hole) -> None:
        for view, readers in self._views.values():
            _post(readers, [view.gap(hole)])

    def _keys(self, view: View) -> list[Out]:
        """Everything that stands, and that a gap is open."""
        hole = self._hole_now()
        open_gap = [] if hole is None else [view.gap(hole._replace(to_ns=None))]
        return [*view.keys(self.now), *open_gap]

    def _tell_metrics(self, now: int) -> None:
        told = None if self.metrics is None else self.metrics.tick(now)
        if told is None:
            return
        out = text_out("metrics", told, now // 1000)
        for _, readers in self._views.values():
            _post([reader for reader in readers if reader.asked.metrics], [out])

    def tell_status(self) -> None:
        """The state of the market, to everybody."""
        told = self.status()
        for view, readers in self._views.values():
            _post(readers, [self._status_out(told, view)])

    def _status_out(self, told: dict[str, Any], view: View) -> Out:
        return text_out("status", {**told, **view.left_out}, self.now // 1000)

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
        self._settle(view, readers)
        reader.wish = wish
        readers.append(reader)
        opened = text_out("control", self._opened(view), self.now // 1000)
        status = self._status_out(self.status(), view)
        reader.post(Posted([opened, status, *self._keys(view)], anew=True))
        if reader.asked.metrics:
            self.metrics = self.metrics or LiveMetrics(self.followed, self.history)

    def keys(self, reader: Reader) -> None:
        """Everything anew, for a reader that lost something."""
        if reader.wish is not None:
            view, readers = self._views[reader.wish]
            self._settle(view, readers)
            reader.post(Posted(self._keys(view), anew=True))

    def _settle(self, view: View, readers: list[Reader]) -> None:
        """Those that look already are told what changed since the last tick: keys forget it."""
        if readers and (outs := view.tick(self.now)):
            _post(readers, outs)

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

    def standing(self) -> tuple[str, str]:
        """A live market's state now and its reason."""
        state, reason = self.history.state or "STOPPED", self.history.reason
        if self.uncollected and state not in _ENDED:
            # Its collector was killed before it could say so on the tape.
            return "STOPPED", self.uncollected
        return state, reason

    def status(self) -> dict[str, Any]:
        book, history = self.followed.book, self.history
        replayed = self.spot.source == "replay"
        state, reason = (history.state_at(self.now), "") if replayed else self.standing()
        second = self.now // NS_PER_SECOND
        counted = [count for at, count in self._counted if second - 5 <= at < second]
        return {
            "op": "status",
            "state": state,
            "reason": reason,
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
