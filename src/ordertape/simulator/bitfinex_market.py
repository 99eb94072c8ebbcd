"""One market of a simulated Bitfinex: its flow, what is published of it and who reads it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ordertape.simulator.bitfinex_window import WINDOW_LENGTHS, Window, number_text
from ordertape.simulator.draws import Draws
from ordertape.simulator.flow import Flow, Trade
from ordertape.simulator.markets import SIZE_SCALE, MarketShape

if TYPE_CHECKING:
    from ordertape.simulator.bitfinex_exchange import BitfinexConnection

__all__ = ["OB_CHECKSUM", "Market", "Subscription"]

OB_CHECKSUM: Final = 131_072
"""The flag of clients that want `cs` after each iteration."""
ITERATION_MS_MIN: Final = 20
ITERATION_MS_MAX: Final = 100
"""Venue time between two iterations of a book."""
TRADES_IN_SNAPSHOT: Final = 30

_MS: Final = 1_000_000


@dataclass(slots=True, eq=False)
class Subscription:
    """A channel of a connection; ``waiting``: a book whose snapshot has not been sent yet."""

    connection: BitfinexConnection
    channel: int
    market: Market
    length: int
    """Orders a side of a book; 0 is the trades channel."""
    last_ns: int
    waiting: bool = True


class Market:
    """One market of the venue: its flow, what is published of it, and who reads it."""

    def __init__(self, shape: MarketShape, seed: int, rate: int, start_ns: int, keep: int) -> None:
        self.shape = shape
        self.flow = Flow(seed, shape, rate, start_ns)
        self.windows: dict[int, Window] = {}
        self.readers: dict[int, list[Subscription]] = {0: []}
        self.trades: deque[Trade] = deque(maxlen=TRADES_IN_SNAPSHOT)
        self._keep = keep
        self._draws = Draws(f"{seed} {shape.symbol} venue")
        self._te_ns = self._tu_ns = 0
        # The widest window is always published: every shorter one is its beginning.
        self.open_window(max(WINDOW_LENGTHS))
        self.publish(start_ns // _MS)

    def open_window(self, length: int) -> None:
        if length not in self.windows:
            matching, scale = self.flow.matching, self.shape.price_scale
            self.windows[length] = Window(matching, scale, length, self._keep)
            self.readers[length] = []

    def publish(self, time_ms: int) -> None:
        """One iteration of every window, to its readers; new readers get the whole window."""
        resized = self.flow.matching.resized
        for length, window in self.windows.items():
            news = window.publish(resized, time_ms)
            for reader in self.readers[length]:
                if reader.waiting:
                    reader.waiting = False
                    reader.connection.arrays(reader, (window.snapshot(),))
                elif news:
                    reader.connection.updates += len(news[0])
                    reader.connection.arrays(reader, news[0])
                if news and reader.connection.flags & OB_CHECKSUM:
                    reader.connection.arrays(reader, (f'"cs",{news[1]}',))
        resized.clear()

    def publish_trade(self, name: str, trade: Trade) -> None:
        """``te`` when it happened, ``tu`` when it was booked; both say the same."""
        if name == "te":
            self.trades.append(trade)
        text = (f'"{name}",{self.trade_text(trade)}',)
        for reader in self.readers[0]:
            reader.connection.arrays(reader, text)

    def trade_text(self, trade: Trade) -> str:
        """``[id,ms,amount,price]``, the amount negative where the taker sold."""
        size = -trade.size if trade.taker_side else trade.size
        price = number_text(trade.price, self.shape.price_scale)
        amount = number_text(size, SIZE_SCALE)
        return f"[{trade.trade_id},{trade.time_ns // _MS},{amount},{price}]"

    def iteration_ns(self) -> int:
        """How long the next iteration lasts."""
        return (ITERATION_MS_MIN * _MS) + self._draws.below(
            (ITERATION_MS_MAX - ITERATION_MS_MIN) * _MS
        )

    def trade_times(self, trade: Trade) -> tuple[int, int]:
        """When its te and tu are sent, ns: the channel of trades has its own way to the clients,
        mostly faster than the book's iterations, sometimes much slower; its order is kept."""
        delay_ns = _MS + self._draws.below(5 * _MS)
        if self._draws.bits(3) == 0:
            delay_ns += self._draws.below(300 * _MS)
        self._te_ns = max(self._te_ns + 1, trade.time_ns + delay_ns)
        self._tu_ns = max(self._tu_ns + 1, self._te_ns + _MS + self._draws.below(60 * _MS))
        return self._te_ns, self._tu_ns
