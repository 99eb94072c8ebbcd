"""Large orders from birth to end, as the page is told of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ordertape import limits
from ordertape._engine import NULL, EventBatch, Lifecycles, Rows, format_number
from ordertape.events import REASONS, EventKind, Side
from ordertape.models import iso_from_ns
from ordertape.page.handles import Handles, Keeping

__all__ = ["LargeOrders", "life_as_json"]

ENDINGS = {1: "told", 2: "cut", 3: "evicted"}
"""How a life ended: the venue told, a new era cut it, or it left a window for good."""


def life_as_json(rows: Rows, nth: int, scales: tuple[int, int]) -> dict[str, Any]:
    """One row of ``Lifecycles`` as the edges show it: numbers as the venue's text, times ISO."""

    def value(name: str) -> int | None:
        found = int(np.asarray(rows.column(name))[nth])
        return None if found == NULL else found

    def number(name: str, scale: int) -> str | None:
        found = value(name)
        return None if found is None else format_number(found, scale)

    price, size = scales
    flags, ended = value("flags") or 0, value("ended")
    ending = value("ending") or 0
    return {
        "order_id": rows.id_texts()[nth],
        "side": Side(value("side") or 0).name.lower(),
        "price_first": number("price_first", price),
        "price": number("price", price),
        "size_first": number("size_first", size),
        "size": number("size", size),
        "filled": number("filled", size),
        "fills": value("fills"),
        "amendments": value("amendments"),
        "inferred": value("inferred"),
        "opened": iso_from_ns(value("opened") or 0),
        "ended": None if ended is None or not ending else iso_from_ns(ended),
        "ending": ENDINGS.get(ending),
        "reason": REASONS.get(value("reason") or 0),
        "left_truncated": bool(flags & 1),
        "out_of_window": bool(flags & 8),
        "orders_ahead_first": value("ahead_first"),
        "orders_ahead": value("ahead"),
        "bid_first": number("bid_first", price),
        "ask_first": number("ask_first", price),
        "era": value("era"),
    }


@dataclass(slots=True)
class _Known:
    """What was told of an order: enough to see whether it changed, and all of it."""

    marks: tuple[int, ...] = ()
    told: tuple[Any, ...] = ()
    handle: int = 0


class LargeOrders:
    """Orders of ``threshold`` size units or more when they were first seen.

    An order is told whole at first, without what is null; later what changed.
    """

    def __init__(self, lives: Lifecycles, threshold: int, handles: Handles) -> None:
        self.threshold = threshold
        self.not_followed = 0
        """Those that came while ``limits.page_large_max`` were followed."""
        self._lives, self._handles = lives, handles
        self._alive: dict[str, _Known] = {}
        self._told: list[dict[str, Any]] = []
        self._keeping = Keeping(handles, lambda: (known.handle for known in self._alive.values()))
        self._begin(lives.alive())

    def _begin(self, rows: Rows) -> None:
        sizes = np.asarray(rows.column("size_first"))
        texts = rows.id_texts()
        for nth in np.flatnonzero(sizes >= self.threshold).tolist():
            self._follow(str(texts[nth]))

    def _follow(self, order_id: str) -> None:
        if order_id in self._alive:
            return
        if len(self._alive) >= limits.page_large_max:
            self.not_followed += 1
        else:
            self._alive[order_id] = _Known()

    def applied(self, batch: EventBatch, ended: Rows) -> None:
        """A batch that the book took, and the orders that ended by it."""
        opened = self._opened(batch)
        for order_id in opened:
            self._follow(order_id)
        if not len(ended) or not self._alive:
            return
        over = set()
        scales = (ended.price_scale, ended.size_scale)
        for nth, ended_id in enumerate(ended.id_texts()):
            known = None if ended_id is None else self._alive.pop(ended_id, None)
            if known is not None:
                self._told.append(self._news(known, life_as_json(ended, nth, scales)))
                over.add(ended_id)
        for order_id in opened:
            # An order of the book before that stands in the new one: a CLEAR ended its first life.
            if order_id in over and self._lives.get(order_id) is not None:
                self._follow(order_id)

    def _opened(self, batch: EventBatch) -> list[str]:
        """Large orders that began, each once."""
        large = np.flatnonzero(_sizes(batch) >= self.threshold)
        if not len(large):
            return []
        kinds = np.asarray(batch.column("kind"))
        began = (nth for nth in large.tolist() if kinds[nth] == EventKind.OPEN)
        return list(dict.fromkeys(str(batch[nth]["order_id"]) for nth in began))

    def changes(self, scales: tuple[int, int]) -> list[dict[str, Any]]:
        """Those that ended, began or changed since it was last asked."""
        self._keeping.look()
        told, self._told = self._told, []
        for order_id, known in self._alive.items():
            rows = self._lives.get(order_id)
            if rows is None:
                continue
            names = ("price", "size", "filled", "ending", "flags")
            now = tuple(int(np.asarray(rows.column(name))[0]) for name in names)
            if now != known.marks:
                known.marks = now
                told.append(self._news(known, life_as_json(rows, 0, scales)))
        return told

    def key(self, scales: tuple[int, int]) -> list[dict[str, Any]]:
        """All that are alive."""
        self._told = []
        self._alive = {order_id: _Known() for order_id in self._alive}
        return self.changes(scales)

    def _news(self, known: _Known, life: dict[str, Any]) -> dict[str, Any]:
        """What of a life was not told yet."""
        order_id, first = str(life["order_id"]), not known.told
        before = known.told or (None,) * len(life)
        known.told = tuple(life.values())
        changed = zip(life.items(), before, strict=True)
        news = {name: value for (name, value), old in changed if value != old}
        if not first:
            return {"order_id": order_id, **news}
        known.handle = self._handles.of(order_id)
        return {"order_id": order_id, "handle": known.handle, **news}


def _sizes(batch: EventBatch) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    found = batch.column("size")
    return np.zeros(len(batch), np.int64) if found is None else np.asarray(found)
