"""A Bitfinex on loopback: the venue's WebSocket, its list of pairs and its REST raw book.

`SimulatedBitfinex` serves clients; `frames` gives the same texts without sockets, as fast as they
can be made.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from ordertape import limits
from ordertape.simulator.bitfinex_exchange import BitfinexExchange
from ordertape.simulator.bitfinex_frames import frames
from ordertape.simulator.bitfinex_window import WINDOW_LENGTHS, Row, WindowState
from ordertape.simulator.exchange import SimulatedMarket
from ordertape.simulator.faces import Exchange
from ordertape.simulator.faults import FaultPlan
from ordertape.simulator.markets import chosen_markets
from ordertape.simulator.sockets import Clock, Door
from ordertape.simulator.venue import SimulatedVenue

__all__ = ["SimulatedBitfinex", "frames"]

_PATH: Final = "/ws/2"


class SimulatedBitfinex(SimulatedVenue):
    """Serves on 127.0.0.1 (``port`` 0: a free one) between ``start`` and ``stop``.

    Also an async context manager.  ``rate``: events a second on each market's book.
    ``keep_states``: how many published states each window remembers for `states`.
    ``start_ns``: venue time at the start, None for now; with a given one the same seed gives the
    same markets again.  ``clock``: that of an exchange which another face shows as well; else one
    is made.  UnknownMarket and SettingRefused where a market or the rate can't be.
    """

    def __init__(
        self,
        seed: int = 7,
        symbols: Sequence[str] = ("tBTCUST",),
        rate: int = 200,
        *,
        port: int = 0,
        clock: Clock | None = None,
        plan: FaultPlan | None = None,
        heartbeat_ms: int = 15_000,
        keep_states: int = 0,
        live_orders: int | None = None,
        start_ns: int | None = None,
        buffer_bytes_max: int = limits.simulator_client_buffer_bytes_max,
    ) -> None:
        if clock is None:
            start_ns = time.time_ns() if start_ns is None else start_ns
            markets = [
                SimulatedMarket(shape, seed, rate, start_ns, live_orders=live_orders)
                for shape in chosen_markets(symbols, rate)
            ]
            clock = Clock(Exchange(seed, markets, start_ns))
        self.clock = clock
        self.seed = clock.exchange.seed
        self.exchange = BitfinexExchange(
            clock.exchange, heartbeat_ms=heartbeat_ms, keep=keep_states
        )
        self.door = Door(
            self.exchange,
            port=port,
            websocket=_PATH,
            plan=plan,
            buffer_bytes_max=buffer_bytes_max,
        )

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(self.exchange.markets)

    @property
    def url(self) -> str:
        """Of the WebSocket."""
        return f"ws://127.0.0.1:{self.port}{_PATH}"

    # What a test or a demonstration may ask or do ------------------------------------------------

    def true_window(self, symbol: str, length: int) -> tuple[list[Row], list[Row]]:
        """(bids, asks) as last published: (id, price, amount) as printed, in book order."""
        return self.exchange.markets[symbol].windows[max(WINDOW_LENGTHS)].rows(length)

    def states(self, symbol: str, length: int) -> list[WindowState]:
        """The last states of a window that was ever subscribed, oldest first; a client finds its
        own by the time in a frame's tail (``WindowState.time_ms``)."""
        window = self.exchange.markets[symbol].windows.get(length)
        return list(window.states) if window is not None else []

    def announce(self, code: int, message: str = "") -> None:
        """An info event to every client: 20051 restart, 20060 maintenance, 20061 its end."""
        self.exchange.announce(code, message)

    def drop_connections(self, code: int = 1012) -> None:
        """Closes every client's connection; for one that does not read, without waiting for it."""
        self.door.drop_connections(code)
