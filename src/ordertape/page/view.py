"""One way of looking at a market (a group of prices, a least size, what counts as large): what its
readers are sent, made once for all of them."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ordertape import limits
from ordertape._engine import NULL, Effects, EventBatch, Rows
from ordertape.events import NO_SIDE, EventKind
from ordertape.page.codec import Content, FrameType, Gap, Trade, Trades, encode_body
from ordertape.page.codes import Codes, codes_for
from ordertape.page.followed import FollowedBook
from ordertape.page.handles import Handles
from ordertape.page.heat import HeatColumns
from ordertape.page.ladder import LadderView, QueueView
from ordertape.page.large import LargeOrders
from ordertape.tape.history import Hole

__all__ = ["Out", "View", "Wish"]

UNKNOWN_TAKER = 2


@dataclass(frozen=True, slots=True)
class Wish:
    """What readers of one view have in common; all in price and size units."""

    group: int
    min_size: int = 0
    large: int = 0
    level: int = 0


class Out(NamedTuple):
    """One frame without its reader's header; ``kind`` None: a JSON text."""

    channel: str
    kind: FrameType | None
    is_key: bool
    t_us: int
    body: bytes


class View:
    """``applied`` is told every batch; ``tick`` and ``keys`` make frames.  One thread."""

    def __init__(self, followed: FollowedBook, handles: Handles, wish: Wish, now: int) -> None:
        self.wish, self.followed = wish, followed
        self.codes: Codes = codes_for(np.asarray(followed.lives.alive().column("size")))
        self._heat = followed.heat(wish.group, wish.min_size, wish.level)
        self._columns = HeatColumns(self._heat, self.codes, now, wish.level)
        self._ladder = LadderView(followed.book)
        self._queue = QueueView(followed.book, handles)
        self._large = LargeOrders(followed.lives, max(1, wish.large), handles)
        self._trades: deque[tuple[int, int, int, int]] = deque(maxlen=limits.page_trades_max)
        self.trades_left_out = 0

    def close(self) -> None:
        self.followed.forget(self._heat)

    @property
    def group(self) -> int:
        """Price units a row now; the market's scale may have grown since it was asked for."""
        return self._heat.group

    @property
    def left_out(self) -> dict[str, int]:
        """What no reader was told, since somebody looks."""
        return {
            "large_not_followed": self._large.not_followed,
            "trades_left_out": self.trades_left_out,
        }

    def applied(self, batch: EventBatch, effects: Effects, ended: Rows) -> None:
        self._queue.note(_touched(batch, effects))
        self._large.applied(batch, ended)
        kinds = np.asarray(batch.column("kind"))
        traded = np.flatnonzero((kinds == EventKind.MATCH) | (kinds == EventKind.TRADE))
        for nth in traded.tolist():
            if len(self._trades) == limits.page_trades_max:
                self.trades_left_out += 1
            self._trades.append(_trade(batch, nth))

    def tick(self, ts: int) -> list[Out]:
        """What changed up to a time (ns); every bucket that ended."""
        t_us = ts // 1000
        outs = [
            _out("heat", column.content, column.begin // 1000, column.is_key)
            for column in self._columns.columns(ts)
        ]
        for channel, content in (
            ("ladder", self._ladder.changes()),
            ("queue", self._queue.changes()),
            ("trades", self._take_trades(t_us)),
        ):
            if content is not None:
                outs.append(_out(channel, content, t_us, False))
        return outs + self._large_outs(self._large.changes(self._scales()), t_us)

    def keys(self, ts: int) -> list[Out]:
        """Everything that a reader needs who has nothing, as of the last tick."""
        t_us = ts // 1000
        outs = [
            _out("heat", self._columns.key(), self._columns.key_begin // 1000, True),
            _out("ladder", self._ladder.key(), t_us, True),
            _out("queue", self._queue.key(), t_us, True),
        ]
        return outs + self._large_outs(self._large.key(self._scales()), t_us)

    def gap(self, hole: Hole) -> Out:
        from_us, to_us = hole.from_ns // 1000, 0 if hole.to_ns is None else hole.to_ns // 1000
        # Never left out: no key frame tells of one that is over.
        return _out("control", Gap(from_us, to_us, hole.reason), from_us, False)

    def _scales(self) -> tuple[int, int]:
        book = self.followed.book
        return book.price_scale or 0, book.size_scale or 0

    def _take_trades(self, t_us: int) -> Trades | None:
        if not self._trades:
            return None
        told = tuple(
            Trade(price, size, side, max(0, t_us - ts // 1000))
            for price, size, side, ts in self._trades
        )
        self._trades.clear()
        return Trades(told)

    def _large_outs(self, told: list[dict[str, Any]], t_us: int) -> list[Out]:
        return [text_out("large", {"op": "large", **life}, t_us) for life in told]


def text_out(channel: str, told: dict[str, Any], t_us: int) -> Out:
    """A JSON text; its reader's stream is put in when it is sent."""
    return Out(channel, None, False, t_us, json.dumps(told, separators=(",", ":")).encode())


def _out(channel: str, content: Content, t_us: int, is_key: bool) -> Out:
    kind, body = encode_body(content)
    return Out(channel, kind, is_key, t_us, body)


def _touched(batch: EventBatch, effects: Effects) -> set[int]:
    """Prices at which a batch's events happened or its orders stood before."""
    told = batch.column("price")
    prices = np.empty(0, np.int64) if told is None else np.asarray(told)
    found = np.unique(np.concatenate((prices, np.asarray(effects.column("price_before")))))
    return set(found[found != NULL].tolist())


def _trade(batch: EventBatch, nth: int) -> tuple[int, int, int, int]:
    """(price, size, the taker's side, ns of our clock)."""

    def value(name: str) -> int:
        column = batch.column(name)
        return NULL if column is None else int(np.asarray(column)[nth])

    resting = value("side")
    # Who buys (0) takes from an ask (1).
    taker = UNKNOWN_TAKER if resting in (NULL, NO_SIDE) else 1 - resting
    return value("price"), value("size"), taker, value("ts_recv")
