"""A page as plain as can be: takes frames as they come and knows what it would show."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from ordertape.page.codec import (
    Content,
    Gap,
    Header,
    HeatDelta,
    HeatKey,
    Ladder,
    Queue,
    Trade,
    Trades,
    decode,
    encode_header,
)
from ordertape.page.view import Out

__all__ = ["PlainPage"]


@dataclass
class PlainPage:
    columns: dict[int, dict[int, int]] = field(default_factory=dict)
    """Beginning of a bucket (us) → row → code, without zeroes."""
    base: int = 0
    codes: bytearray = field(default_factory=bytearray)
    ladder: tuple[dict[int, tuple[int, int]], dict[int, tuple[int, int]]] = field(
        default_factory=lambda: ({}, {})
    )
    queue: dict[tuple[int, int], list[tuple[int, int]]] = field(default_factory=dict)
    queue_orders: dict[tuple[int, int], int] = field(default_factory=dict)
    trades: list[Trade] = field(default_factory=list)
    large: dict[str, dict[str, Any]] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)

    def take(self, out: Out) -> None:
        if out.kind is None:
            told = json.loads(out.body)
            if told["op"] == "large":
                known = {} if "opened" in told else self.large[told["order_id"]]
                self.large[told["order_id"]] = {**known, **told}
            return
        frame = encode_header(Header(1, 0, out.t_us, 0), out.kind) + out.body
        self.take_content(out.t_us, decode(frame)[1], out.is_key)

    def take_content(self, t_us: int, content: Content, is_key: bool) -> None:
        match content:
            case HeatKey(base, _, _, _, _, codes):
                self.base, self.codes = base, bytearray(codes)
                self._keep(t_us)
            case HeatDelta(_, _, _, changed):
                for index, code in changed:
                    self.codes[index] = code
                self._keep(t_us)
            case Gap():
                self.gaps.append(content)
            case Ladder(bids, asks):
                for side, levels in zip(self.ladder, (bids, asks), strict=True):
                    if is_key:
                        side.clear()
                    for level in levels:
                        side[level.price] = (level.size, level.orders)
                        if not level.size:
                            del side[level.price]
            case Queue(levels):
                if is_key:
                    self.queue.clear()
                for level in levels:
                    self.queue[level.side, level.price] = list(level.shown)
                    self.queue_orders[level.side, level.price] = level.orders
                    if not level.orders:
                        del self.queue[level.side, level.price]
            case Trades(trades):
                self.trades += trades

    def _keep(self, t_us: int) -> None:
        self.columns[t_us] = {
            self.base + index: code for index, code in enumerate(self.codes) if code
        }
