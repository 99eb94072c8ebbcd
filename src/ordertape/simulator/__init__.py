"""A simulated exchange and its faces: the venues' own wire formats on loopback."""

from __future__ import annotations

from ordertape.simulator.bitfinex import SimulatedBitfinex, frames
from ordertape.simulator.coinbase import SimulatedCoinbase

__all__ = ["SimulatedBitfinex", "SimulatedCoinbase", "frames"]
