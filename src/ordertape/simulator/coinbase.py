"""A Coinbase Exchange on loopback: the venue's WebSocket and REST on one port."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ordertape import limits
from ordertape.simulator.coinbase_exchange import CoinbaseExchange
from ordertape.simulator.coinbase_keys import DEMO_KEYS, Keys
from ordertape.simulator.coinbase_texts import OrderIds
from ordertape.simulator.exchange import SimulatedMarket
from ordertape.simulator.faces import Exchange
from ordertape.simulator.faults import FaultPlan
from ordertape.simulator.markets import chosen_markets
from ordertape.simulator.sockets import Clock, Door
from ordertape.simulator.venue import SimulatedVenue

__all__ = ["SimulatedCoinbase"]


class SimulatedCoinbase(SimulatedVenue):
    """Serves on 127.0.0.1 (``port`` 0: a free one) between ``start`` and ``stop``; also an async
    context manager.

    ``symbols`` and ``rate`` as of `SimulatedBitfinex`; ``live_orders``: how many rest in each
    market.  ``clock``: that of an exchange which another face shows as well; else one is made.
    ``keep``: how many messages back the oracle looks (`Product.digest_at` of ``face.products``).
    """

    def __init__(
        self,
        seed: int = 7,
        symbols: Sequence[str] = ("BTC-USD",),
        rate: int = 200,
        *,
        port: int = 0,
        clock: Clock | None = None,
        keys: Keys = DEMO_KEYS,
        plan: FaultPlan | None = None,
        live_orders: int | None = None,
        keep: int = 0,
        start_ns: int | None = None,
        signed_only: bool = False,
        buffer_bytes_max: int = limits.simulator_client_buffer_bytes_max,
    ) -> None:
        if clock is None:
            start_ns = time.time_ns() if start_ns is None else start_ns
            ids = OrderIds(seed)
            markets = [
                SimulatedMarket(
                    *(shape, seed, rate, start_ns),
                    live_orders=live_orders,
                    keep=keep,
                    id_text=ids.text,
                    id_codec="uuid",
                )
                for shape in chosen_markets(symbols, rate)
            ]
            clock = Clock(Exchange(seed, markets, start_ns))
        self.clock = clock
        self.face = CoinbaseExchange(clock.exchange, keys, keep=keep, signed_only=signed_only)
        self.door = Door(self.face, port=port, plan=plan, buffer_bytes_max=buffer_bytes_max)

    @property
    def url(self) -> str:
        """Of the WebSocket."""
        return f"ws://127.0.0.1:{self.port}"

    @property
    def symbols(self) -> tuple[str, ...]:
        """Its products."""
        return tuple(self.face.products)
