"""One market of a simulated Bitfinex: its flow, what is published of it and who reads it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ordertape.simulator.bitfinex_window import WINDOW_LENGTHS, Window, number_text, top_orders
from ordertape.simulator.draws import Draws
from ordertape.simulator.exchange import SimulatedMarket
from ordertape.simulator.faces import currencies
from ordertape.simulator.markets import SIZE_SCALE
from ordertape.simulator.occurrences import Occurrence, Traded

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

    def leave(self) -> None:
        readers = self.market.readers[self.length]
        if self in readers:
            readers.remove(self)


class Market:
    """One market of the venue: what is published of it, and who reads it."""

    def __init__(self, market: SimulatedMarket, seed: int, start_ns: int, keep: int) -> None:
        self.simulated = market
        self.symbol = _symbol(*currencies(market.shape))
        self.windows: dict[int, Window] = {}
        self.readers: dict[int, list[Subscription]] = {0: []}
        self.trades: deque[Traded] = deque(maxlen=TRADES_IN_SNAPSHOT)
        self.delisted = False
        self._keep = keep
        self._draws = Draws(f"{seed} {self.symbol} venue")
        self._te_ns = self._tu_ns = 0
        # The widest window is always published: every shorter one is its beginning.
        self.open_window(max(WINDOW_LENGTHS))
        self.publish(start_ns // _MS)

    def open_window(self, length: int) -> None:
        if length not in self.windows:
            self.windows[length] = Window(self.simulated.price_scale, length, self._keep)
            self.readers[length] = []

    def delist(self) -> None:
        """Nobody is told anything any more, nobody can subscribe."""
        self.delisted = True
        for readers in self.readers.values():
            readers.clear()

    def publish(self, time_ms: int) -> None:
        """One iteration of every window, to its readers; new readers get the whole window."""
        top = top_orders(self.simulated.matching, max(self.windows))
        for length, window in self.windows.items():
            news = window.publish(top, time_ms)
            # A copy: a reader may be thrown out while it is told.
            for reader in list(self.readers[length]):
                if reader.waiting:
                    reader.waiting = False
                    reader.connection.arrays(reader, (window.snapshot(),))
                elif news:
                    reader.connection.updates += len(news[0])
                    reader.connection.books(reader, news[0])
                if news and reader.connection.flags & OB_CHECKSUM:
                    reader.connection.arrays(reader, (f'"cs",{news[1]}',))

    def take(self, occurrences: Sequence[Occurrence]) -> Iterator[tuple[int, str, Traded]]:
        """(when, te or tu, trade) of the messages that the trades lead to."""
        for occurrence in occurrences:
            if isinstance(occurrence, Traded):
                te_ns, tu_ns = self._trade_times(occurrence)
                yield te_ns, "te", occurrence
                yield tu_ns, "tu", occurrence

    def publish_trade(self, name: str, trade: Traded) -> None:
        """``te`` when it happened, ``tu`` when it was booked; both say the same."""
        if name == "te":
            self.trades.append(trade)
        text = (f'"{name}",{self.trade_text(trade)}',)
        for reader in list(self.readers[0]):
            reader.connection.arrays(reader, text)

    def trade_text(self, trade: Traded) -> str:
        """``[id,ms,amount,price]``, the amount negative where the taker sold."""
        # A maker that bids was sold to.
        size = trade.size if trade.side else -trade.size
        price = number_text(trade.price, self.simulated.price_scale)
        amount = number_text(size, SIZE_SCALE)
        return f"[{trade.trade_id},{trade.time_ns // _MS},{amount},{price}]"

    def iteration_ns(self) -> int:
        """How long the next iteration lasts."""
        return (ITERATION_MS_MIN * _MS) + self._draws.below(
            (ITERATION_MS_MAX - ITERATION_MS_MIN) * _MS
        )

    def _trade_times(self, trade: Traded) -> tuple[int, int]:
        """When its te and tu are sent, ns: the channel of trades has its own way to the clients,
        mostly faster than the book's iterations, sometimes much slower; its order is kept."""
        delay_ns = _MS + self._draws.below(5 * _MS)
        if self._draws.bits(3) == 0:
            delay_ns += self._draws.below(300 * _MS)
        self._te_ns = max(self._te_ns + 1, trade.time_ns + delay_ns)
        self._tu_ns = max(self._tu_ns + 1, self._te_ns + _MS + self._draws.below(60 * _MS))
        return self._te_ns, self._tu_ns


def _symbol(base: str, quote: str) -> str:
    """The venue's name of a pair: a colon where a currency has more than three letters."""
    quote = "UST" if quote == "USDT" else quote
    return f"t{base}{':' if len(base) > 3 or len(quote) > 3 else ''}{quote}"
