"""Events and books as JSON text, written column by column, each event once for all readers.

Numbers are the venue's own digits (the engine writes them from scaled integers), times ISO 8601
with as many of nine digits as they have.  What stands here says the same as ``models.L3Order``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from ordertape._engine import EventBatch, OrderBook, format_number
from ordertape.events import FLAG_NAMES, NO_SIDE, NULL, REASONS, EventKind, Flag, Side
from ordertape.models import L3Statistics, iso_from_ns
from ordertape.numbers import json_text

__all__ = ["order_objects", "resting_orders", "statistics_text", "text"]

text: Final = json.JSONEncoder().encode
"""A JSON string."""

_KINDS: Final = [f'"{EventKind(code).name.lower()}"' if code else "null" for code in range(8)]
_SIDES: Final = {code.value: f'"{code.name.lower()}"' for code in Side} | {NO_SIDE: "null"}
_NULLS: Final = {"side": NO_SIDE, "taker_side": NO_SIDE, "reason": 0, "flags": 0}
_FLAGS: Final = tuple((flag.value, f',"{name}":true') for flag, name in FLAG_NAMES.items())
_ALL_FLAGS: Final = (*_FLAGS, (Flag.PLACE_ASSUMED.value, ',"place_assumed":true'))


class _Clock:
    """ISO text of moments that mostly lie in the same second."""

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def __call__(self, ns: int) -> str:
        second, rest = divmod(ns, 1_000_000_000)
        if second != self._second:
            self._second, self._text = second, iso_from_ns(second * 1_000_000_000)[:-1]
        if not rest:
            return f"{self._text}Z"
        digits = f"{rest:09d}"
        if digits.endswith("000"):
            digits = digits[:3] if digits.endswith("000000") else digits[:6]
        return f"{self._text}.{digits}Z"


def order_objects(
    batch: EventBatch, era: int | None = None, start: str = "{", *, whole: bool = False
) -> list[str]:
    """Each event of a batch as a JSON object; rows flagged SNAPSHOT are state: left out.

    ``era`` is that of the first row where known, each CLEAR behind it begins the next.
    ``start`` is how every object begins: a brace, or members of its own before the event's.
    ``whole``: ``metadata`` also has ``place_assumed``, and ``partial`` where the venue's message
    goes on behind the event, so that a batch can be made of the objects again.
    """
    shown = _ALL_FLAGS if whole else _FLAGS
    price, old_price = _numbers(batch, "price"), _numbers(batch, "price_before")
    size, old_size = _numbers(batch, "size"), _numbers(batch, "size_before")
    rows = zip(
        _values(batch, "seq"),
        _values(batch, "kind"),
        _values(batch, "flags"),
        _values(batch, "side"),
        _ids(batch, "order_id"),
        _values(batch, "reason"),
        _values(batch, "ts_event"),
        _values(batch, "ts_recv"),
        _values(batch, "venue_seq"),
        _ids(batch, "trade_id"),
        _ids(batch, "taker_order_id"),
        _values(batch, "taker_side"),
        strict=True,
    )
    clock, objects = _Clock(), []
    for at, (seq, kind, flags, side, order_id, reason, event, recv, venue, *trade) in enumerate(
        rows
    ):
        if flags & Flag.SNAPSHOT:
            continue
        if kind == EventKind.CLEAR and era is not None and at:
            era += 1
        metadata = [f'"reason":"{REASONS[reason]}",' if reason else "", *_trade(*trade)]
        if (before := old_price(at)) != "null":
            metadata.append(f'"old_price":{before},')
        if (before := old_size(at)) != "null":
            metadata.append(f'"old_size":{before},')
        if venue != NULL:
            metadata.append(f'"venue_seq":{venue},')
        if event != NULL:
            metadata.append(f'"ts_event_ns":{event},')
        metadata.append(f'"ts_recv_ns":{recv}')
        if era is not None:
            metadata.append(f',"era":{era}')
        metadata += [words for bit, words in shown if flags & bit]
        if whole and not flags & Flag.LAST:
            metadata.append(',"partial":true')
        objects.append(
            f'{start}"order_id":{order_id},"sequence":{seq},"side":{_SIDES[side]},'
            f'"price":{price(at)},"size":{size(at)},"event_type":{_KINDS[kind]},'
            f'"timestamp":"{clock(event if event != NULL else recv)}",'
            f'"metadata":{{{"".join(metadata)}}}}}'
        )
    return objects


def _trade(trade_id: str, taker_order_id: str, taker_side: int) -> list[str]:
    found = []
    if trade_id != "null":
        found.append(f'"trade_id":{trade_id},')
    if taker_order_id != "null":
        found.append(f'"taker_order_id":{taker_order_id},')
    if taker_side != NO_SIDE:
        found.append(f'"taker_side":{_SIDES[taker_side]},')
    return found


def _values(batch: EventBatch, name: str) -> list[int]:
    column = batch.column(name)
    if column is None:
        return [_NULLS.get(name, NULL)] * len(batch)
    values: list[int] = np.asarray(column).tolist()
    return values


def _ids(batch: EventBatch, name: str) -> list[str]:
    if batch.column(name) is None:
        return ["null"] * len(batch)
    return ["null" if found is None else text(found) for found in batch.id_texts(name)]


def _numbers(batch: EventBatch, name: str) -> Callable[[int], str]:
    """The plain text of a number by row."""
    scale = batch.price_scale if name.startswith("price") else batch.size_scale
    if batch.column(name) is None:
        return lambda _at: "null"
    values = _values(batch, name)

    def at_row(at: int) -> str:
        value = values[at]
        return "null" if value == NULL else format_number(value, scale)

    return at_row


# Books --------------------------------------------------------------------------------------------


def resting_orders(rows: EventBatch) -> list[str]:
    """Each order of what ``OrderBook.snapshot`` gave as a JSON object."""
    price, size = _numbers(rows, "price"), _numbers(rows, "size")
    return [
        f'{{"order_id":{order_id},"price":{price(at)},"size":{size(at)}}}'
        for at, order_id in enumerate(_ids(rows, "order_id"))
    ]


def statistics_text(book: OrderBook) -> str:
    """``statistics`` of a book as a JSON object."""
    found: dict[str, Any] = L3Statistics.from_book(book).model_dump()
    return json_text(found)
