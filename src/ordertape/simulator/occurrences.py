"""The log of a simulated exchange: what its matching did, one occurrence after the other.

Times are int nanoseconds since 1970; prices and sizes int at the market's scales; sides 0 bid,
1 ask; order and trade ids int.  ``sequence`` counts the occurrences of one market from 1 without a
hole.  What a venue tells of them, and in which form, is its face's business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Literal, NamedTuple, TypeAlias

from ordertape._engine import NULL, EventBatch, IdCodec
from ordertape.events import EventKind, Reason

__all__ = [
    "ChangeReason",
    "Changed",
    "EndReason",
    "Ended",
    "Occurrence",
    "Opened",
    "OrderKind",
    "Received",
    "Traded",
    "log_line",
    "to_batch",
]

OrderKind: TypeAlias = Literal["limit", "market", "post_only", "ioc"]
ChangeReason: TypeAlias = Literal["amended", "self_trade", "refreshed", "remainder"]
EndReason: TypeAlias = Literal["filled", "canceled", "self_trade", "expired"]


class Received(NamedTuple):
    """An order was accepted; ``price`` is None for a market order.  ``size`` is what it shows."""

    sequence: int
    time_ns: int
    order_id: int
    side: int
    price: int | None
    size: int
    kind: OrderKind
    owner: int
    hidden: bool


class Opened(NamedTuple):
    """An order starts to rest with ``size`` shown (an iceberg: its first peak).  A hidden one rests
    where nobody sees it.  A rejected post-only order whose reject is published opens at a price
    that crosses, and the next occurrence, of the same time, is its end."""

    sequence: int
    time_ns: int
    order_id: int
    side: int
    price: int
    size: int
    hidden: bool


class Traded(NamedTuple):
    """A maker and a taker met.  ``side`` and ``price`` are the maker's; ``maker_left`` is what it
    still shows (0: an iceberg's peak is used up, or it is filled; an `Ended` or a `Changed` tells
    which).  ``taker_resting``: the taker stands in the shown book, at its old price, with
    ``taker_left``; of other takers ``taker_left`` is what they still want."""

    sequence: int
    time_ns: int
    trade_id: int
    maker_id: int
    taker_id: int
    side: int
    price: int
    size: int
    maker_left: int
    maker_hidden: bool
    taker_resting: bool
    taker_left: int


class Changed(NamedTuple):
    """A price or size changed.

    * ``amended``: by its owner.
    * ``self_trade``: reduced instead of traded with its owner's other order; this may be a taker
      that never rested (``resting`` False; its prices are None for a market order).
    * ``refreshed``: the next peak of an iceberg; ``old_size`` is 0 because the order had left the
      queue with its last peak; it stands at the tail now.
    * ``remainder``: what is left of a resting order whose amended price met the other side; its
      trades came before, while it stood at ``old_price``.
    """

    sequence: int
    time_ns: int
    order_id: int
    side: int
    old_price: int | None
    new_price: int | None
    old_size: int
    new_size: int
    reason: ChangeReason
    kept_place: bool
    hidden: bool
    resting: bool


class Ended(NamedTuple):
    """An order is no more; ``price`` is where it rested or would have (None: a market order),
    ``left`` what nobody traded.  ``rested`` False: it never stood in the book."""

    sequence: int
    time_ns: int
    order_id: int
    side: int
    price: int | None
    left: int
    reason: EndReason
    rested: bool
    hidden: bool


Occurrence: TypeAlias = Received | Opened | Traded | Changed | Ended

_END_REASONS: Final = {
    "filled": Reason.FILLED,
    "canceled": Reason.CANCELED,
    "self_trade": Reason.SELF_TRADE,
    "expired": Reason.EXPIRED,
}
_CHANGE_REASONS: Final = {
    "amended": Reason.AMENDED,
    "self_trade": Reason.SELF_TRADE,
    "refreshed": Reason.NONE,
    "remainder": Reason.AMENDED,
}

_OPEN, _CHANGE, _MATCH, _DONE, _TRADE = (
    int(kind)
    for kind in (
        EventKind.OPEN,
        EventKind.CHANGE,
        EventKind.MATCH,
        EventKind.DONE,
        EventKind.TRADE,
    )
)

_Row: TypeAlias = tuple[int, int, int, int, int, int, int, int, int, int]


def _rows(occurrences: Iterable[Occurrence]) -> Iterable[_Row]:
    """(sequence, time, kind, side, id, price, size, reason, trade id, taker id) of each event."""
    for item in occurrences:
        kind = type(item)
        if kind is Received:
            continue
        if isinstance(item, Opened):
            if not item.hidden:
                yield (*item[:2], _OPEN, item.side, item.order_id, item.price, item.size, 0, -1, -1)
        elif isinstance(item, Ended):
            if item.rested and not item.hidden and item.price is not None:
                reason = _END_REASONS[item.reason]
                yield (
                    *(*item[:2], _DONE, item.side, item.order_id, item.price, item.left),
                    *(reason, -1, -1),
                )
        elif isinstance(item, Traded):
            if item.maker_hidden:
                yield (
                    *item[:2],
                    _TRADE,
                    item.side,
                    -1,
                    item.price,
                    item.size,
                    0,
                    item.trade_id,
                    -1,
                )
            else:
                yield (
                    *(*item[:2], _MATCH, item.side, item.maker_id, item.price, item.size, 0),
                    *(item.trade_id, item.taker_id),
                )
            if item.taker_resting and item.taker_left:
                # Where it stands is told by neither: the book keeps a price of NULL.
                yield (
                    *(*item[:2], _CHANGE, 1 - item.side, item.taker_id, NULL, item.taker_left),
                    *(Reason.TRADED_AS_TAKER, -1, -1),
                )
        elif isinstance(item, Changed) and item.resting and not item.hidden:
            price = NULL if item.new_price is None else item.new_price
            kind_code = _OPEN if item.reason == "refreshed" else _CHANGE
            yield (
                *(*item[:2], kind_code, item.side, item.order_id, price, item.new_size),
                *(_CHANGE_REASONS[item.reason], -1, -1),
            )


def log_line(occurrence: Occurrence) -> str:
    """One line of text, the same on every machine."""
    return f"{type(occurrence).__name__} {' '.join(map(str, occurrence))}"


def to_batch(
    occurrences: Iterable[Occurrence],
    price_scale: int,
    size_scale: int,
    id_text: Callable[[int], str] = str,
    codec: IdCodec | str = "int",
    first_seq: int = 1,
) -> EventBatch | None:
    """What of it our events know: the shown book and the trades; None where there is nothing of it.
    ``venue_seq`` is the occurrence's sequence.  ``id_text``: as in `SimulatedMarket`."""
    rows = list(_rows(occurrences))
    if not rows:
        return None
    sequence, time_ns, kind, side, order_id, price, size, reason, trade_id, taker = zip(
        *rows, strict=True
    )
    return EventBatch.from_arrays(
        kind=kind,
        side=side,
        order_id=[None if i < 0 else id_text(i) for i in order_id],
        price=price,
        size=size,
        ts_event=time_ns,
        price_scale=price_scale,
        size_scale=size_scale,
        seq=range(first_seq, first_seq + len(rows)),
        venue_seq=sequence,
        reason=reason,
        trade_id=[None if i < 0 else str(i) for i in trade_id],
        taker_order_id=[None if i < 0 else id_text(i) for i in taker],
        codec=codec,
        trade_codec="int",
    )
