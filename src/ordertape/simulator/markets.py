"""The markets that a simulated venue can offer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from ordertape.errors import SettingRefused, UnknownMarket

__all__ = [
    "LIVE_ORDERS_MAX",
    "LIVE_ORDERS_MIN",
    "MARKETS",
    "RATE_MAX",
    "RATE_MIN",
    "SIZE_SCALE",
    "MarketShape",
    "chosen_markets",
]

SIZE_SCALE: Final = 8
"""Digits after the point of every size."""
RATE_MIN: Final = 1
RATE_MAX: Final = 20_000
"""Occurrences a second that a `SimulatedMarket` and its traders are made for."""
LIVE_ORDERS_MIN: Final = 100
LIVE_ORDERS_MAX: Final = 200_000
"""Orders that rest in a `SimulatedMarket`."""


@dataclass(frozen=True, slots=True)
class MarketShape:
    """What one market looks like: ``tick`` and ``start`` are prices at ``price_scale``; ``program``
    is the size (at SIZE_SCALE) that its most active trader uses; ``preset`` names what kind of
    market it is (`ordertape.simulator.presets`)."""

    symbol: str
    price_scale: int
    tick: int
    start: int
    program: int
    preset: str = "lively"


def _shape(
    symbol: str, price_scale: int, tick: str, start: str, program: str, preset: str = "lively"
) -> MarketShape:
    def scaled(text: str, scale: int) -> int:
        return int(Decimal(text).scaleb(scale))

    return MarketShape(
        symbol,
        price_scale,
        scaled(tick, price_scale),
        scaled(start, price_scale),
        scaled(program, SIZE_SCALE),
        preset,
    )


MARKETS: Final = {
    shape.symbol: shape
    for shape in (
        _shape("tBTCUST", 8, "1", "64250", "0.12"),
        _shape("tBTCUSD", 8, "1", "64230", "0.12"),
        _shape("tETHUST", 8, "0.1", "2512.5", "2.4"),
        _shape("tETHUSD", 8, "0.1", "2511.9", "2.4"),
        _shape("tXRPUST", 8, "0.00001", "0.54321", "9000"),
        _shape("tAVAX:USD", 8, "0.001", "27.431", "160"),
        _shape("tXRPBTC", 13, "0.00000000001", "0.00000087123", "12000"),
        _shape("tTESTBTC:TESTUSD", 8, "1", "50000", "0.1"),
        _shape("BTC-USD", 2, "1", "64230", "0.12"),
        _shape("ETH-USD", 2, "0.1", "2511.9", "2.4"),
        _shape("AAPL", 2, "0.01", "585", "100", "equity"),
    )
}
"""By symbol: Bitfinex's, Coinbase's products, and a share."""


def chosen_markets(symbols: Sequence[str], rate: int) -> list[MarketShape]:
    """The shapes of ``symbols``, each once; UnknownMarket, or SettingRefused for the rate."""
    if not RATE_MIN <= rate <= RATE_MAX:
        raise SettingRefused(f"expected a rate of {RATE_MIN} to {RATE_MAX}, found {rate}")
    for symbol in symbols:
        if symbol not in MARKETS:
            known = ", ".join(sorted(MARKETS))
            raise UnknownMarket(f"no simulated market {symbol!r}; there are {known}")
    return [MARKETS[symbol] for symbol in dict.fromkeys(symbols)]
