"""A seeded market and the venues' own wire formats on loopback."""

from __future__ import annotations

from ordertape.simulator.bitfinex import SimulatedBitfinex, frames

__all__ = ["SimulatedBitfinex", "frames"]
