"""What the events of a page have in common: one vocabulary for every store of events."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ordertape import limits
from ordertape._engine import NULL, EventBatch, IdCodec
from ordertape.errors import IdRefused
from ordertape.events import NO_SIDE, EventKind, Side

__all__ = ["Filters", "scaled_ceiling", "scaled_floor"]

_GREATEST = 2**63 - 1
"""Of int64; the least is its opposite, as the one below means that there is no number."""
_DIGITS = tuple(map(int, str(_GREATEST)))


@dataclass(frozen=True, slots=True)
class Filters:
    """What an event must be; None: anything.  Bounds are with their value, and exact."""

    side: Side | None = None
    kind: EventKind | None = None
    order_id: str | None = None
    min_price: Decimal | None = None
    max_price: Decimal | None = None
    min_size: Decimal | None = None

    @property
    def any(self) -> bool:
        """Whether events may be passed over, so that a page is bounded by what it reads."""
        return self != Filters()

    def rows(self, batch: EventBatch) -> npt.NDArray[np.intp]:
        """The indexes of the rows that pass."""
        kept = np.ones(len(batch), bool)
        if self.kind is not None:
            kept &= np.asarray(batch.column("kind")) == self.kind
        if self.side is not None:
            kept &= _column(batch, "side", NO_SIDE) == self.side
        if self.order_id is not None:
            kept &= _is_order(batch, self.order_id)
        if self.min_price is not None:
            kept &= _at_least(batch, "price", scaled_ceiling(self.min_price, batch.price_scale))
        if self.max_price is not None:
            prices = _column(batch, "price", NULL)
            kept &= (prices <= scaled_floor(self.max_price, batch.price_scale)) & (prices != NULL)
        if self.min_size is not None:
            kept &= _at_least(batch, "size", scaled_ceiling(self.min_size, batch.size_scale))
        return np.flatnonzero(kept)


def scaled_ceiling(number: Decimal, scale: int) -> int:
    """The least int64 at a scale that is not below a number (the greatest where none is)."""
    return _scaled(number, scale, ROUND_CEILING)


def scaled_floor(number: Decimal, scale: int) -> int:
    """The greatest int64 at a scale that is not above a number (the least where none is)."""
    return _scaled(number, scale, ROUND_FLOOR)


@lru_cache(limits.scaled_bounds_kept)
def _scaled(number: Decimal, scale: int, rounding: str) -> int:
    # A bound comes from a URL and may have any exponent and as many digits as fit one: what int64
    # does not hold, and what is less than the scale's last digit, never becomes an int or is
    # shifted.  No context has a part in it, so that nothing is rounded but by ``rounding``.
    if number.copy_abs() >= Decimal((0, _DIGITS, -scale)):
        return -_GREATEST if number.is_signed() else _GREATEST
    if not number:
        return 0
    if number.adjusted() < -scale - 1:
        return int(Decimal((number.is_signed(), (1,), -1)).to_integral_value(rounding))
    sign, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)  # neither NaN nor infinite
    return int(Decimal((sign, digits, exponent + scale)).to_integral_value(rounding))


def _column(batch: EventBatch, name: str, absent: int) -> npt.NDArray[Any]:
    column = batch.column(name)
    return np.full(len(batch), absent) if column is None else np.asarray(column)


def _at_least(batch: EventBatch, name: str, least: int) -> npt.NDArray[np.bool_]:
    values = _column(batch, name, NULL)
    passed: npt.NDArray[np.bool_] = (values >= least) & (values != NULL)
    return passed


def _is_order(batch: EventBatch, order_id: str) -> npt.NDArray[np.bool_]:
    column = batch.column("order_id")
    if column is None:
        return np.zeros(len(batch), bool)
    # In a codec of its own: asking for an id must not add it to the market's dictionary.
    codec = IdCodec(batch.codec.spec)
    try:
        key = codec.encode(order_id)
    except IdRefused:
        return np.zeros(len(batch), bool)
    if codec.terms or batch.codec.spec == "auto":
        return np.array([found == order_id for found in batch.id_texts()], bool)
    wanted = np.frombuffer(key, np.uint64)
    keys = np.asarray(column).view(np.uint64)
    same: npt.NDArray[np.bool_] = (keys[:, 0] == wanted[0]) & (keys[:, 1] == wanted[1])
    return same
