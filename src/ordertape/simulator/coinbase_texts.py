"""The texts of Coinbase Exchange: order ids, times, numbers and the messages of ``full``.

Shapes: docs.cdp.coinbase.com/exchange, "WebSocket channels".  Prices and sizes are decimal
strings, ids UUIDs, times ISO 8601 with six digits.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from ordertape.simulator.draws import Draws

__all__ = ["SIDES", "OrderIds", "Times", "decimal_text"]

SIDES: Final = ("buy", "sell")
"""By side: 0 bid, 1 ask."""

_ID_BITS: Final = 60
_MASK: Final = (1 << _ID_BITS) - 1
_CACHED: Final = 1 << 16


class OrderIds:
    """UUIDs of the exchange's integer order ids, made by the seed and reversible.

    60 bits are the id, multiplied by an odd number and shifted, so that neighbours look unlike;
    the other 62 follow from them.  Version 4, as the venue's.
    """

    def __init__(self, seed: int) -> None:
        bits = Draws(f"{seed} order ids").bits
        self._factor = bits(_ID_BITS) | 1
        self._shift = bits(_ID_BITS)
        self._other = bits(62) | 1
        self._inverse = pow(self._factor, -1, 1 << _ID_BITS)
        self.text = lru_cache(maxsize=_CACHED)(self._text)

    def _text(self, order_id: int) -> str:
        """The UUID of an id from 0 to 2^60 - 1."""
        x = (order_id * self._factor + self._shift) & _MASK
        y = (x * self._other) >> 3 & (1 << 62) - 1 | 1 << 63
        head = f"{x >> 28:08x}-{x >> 12 & 0xFFFF:04x}-4{x & 0xFFF:03x}"
        return f"{head}-{y >> 48:04x}-{y & (1 << 48) - 1:012x}"

    def number(self, text: str) -> int:
        """The id of a UUID; ValueError where it is none of ours."""
        digits = text.replace("-", "")
        x = int(digits[:12] + digits[13:16], 16)
        order_id = (x - self._shift) * self._inverse & _MASK
        if self._text(order_id) != text:
            raise ValueError(f"expected an order id of this exchange, found {text!r}")
        return order_id


class Times:
    """``2014-11-07T08:19:27.028459Z`` of ns since 1970; remembers the second."""

    def __init__(self) -> None:
        self._second, self._head = -1, ""

    def text(self, time_ns: int) -> str:
        second, rest = divmod(time_ns, 1_000_000_000)
        if second != self._second:
            self._second = second
            self._head = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S.")
        return f"{self._head}{rest // 1_000:06d}Z"


@lru_cache(maxsize=_CACHED)
def decimal_text(value: int, scale: int) -> str:
    """An int at a scale as plain decimal text without trailing zeros."""
    if not scale:
        return str(value)
    digits = str(abs(value)).zfill(scale + 1)
    fraction = digits[-scale:].rstrip("0")
    whole = ("-" if value < 0 else "") + digits[:-scale]
    return f"{whole}.{fraction}" if fraction else whole
