"""One product of a simulated Coinbase Exchange: its numbering and the texts of what happens in it.

Every message of ``full`` has the product's next number.  What the venue has no words for is told
in those it has: a hidden order that trades is opened with the traded size just before; the next
peak of an iceberg is opened under the same id, behind the others.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final

from ordertape.simulator.coinbase_texts import SIDES, OrderIds, Times, decimal_text
from ordertape.simulator.exchange import SimulatedMarket
from ordertape.simulator.faces import currencies
from ordertape.simulator.occurrences import (
    Changed,
    Ended,
    Occurrence,
    Opened,
    Received,
    Traded,
)

if TYPE_CHECKING:
    from ordertape.simulator.coinbase_exchange import CoinbaseConnection

__all__ = ["Product"]

SEQUENCES_PER_SECOND: Final = 50_000
"""Numbers grow with the time since the exchange's epoch: one that starts again uses new ones."""
_DEPTH_LEVELS: Final = 50
"""Levels a side in the book of level 2."""


class Product:
    """A market under its Coinbase name.  ``sequence`` is that of its last message.

    ``keep``: how many messages back `digest_at` can look.
    """

    def __init__(self, market: SimulatedMarket, ids: OrderIds, sequence: int, keep: int) -> None:
        self.market = market
        self.base, self.quote = currencies(market.shape)
        self.name = f"{self.base}-{self.quote}"
        self.sequence = sequence
        self.last_trade_id = 0
        self.readers: list[CoinbaseConnection] = []
        """Of ``full``, in the order of their subscriptions."""
        self.watchers: list[CoinbaseConnection] = []
        """Of ``matches``."""
        self.auction = self.delisted = False
        self._last_match = b""
        self._id, self._times = ids.text, Times()
        self._price_scale, self._size_scale = market.price_scale, market.size_scale
        self._told: dict[int, int] = {}
        """Our number: the occurrence's sequence, -1 in the middle of one."""
        self._oldest: deque[int] = deque()
        self._keep = keep
        self._moving: int | None = None
        """A resting order that trades as a taker: where it stands until it has arrived, or ended,
        is anybody's guess."""
        self._sizes = {order.order_id: order.size for order in market.rows()}
        """What every resting order shows: an order that self-trade prevention canceled ends with
        it, while the exchange's log has it decremented to nothing."""

    def digest_at(self, sequence: int) -> str | None:
        """Of the true book after the message of that number; None in the middle of what one
        order did.  LookupError where it is not kept."""
        if sequence not in self._told:
            raise LookupError(f"expected a number kept of {self.name}, found {sequence}")
        told = self._told[sequence]
        return None if told < 0 else self.market.digest_at(told)

    @property
    def numbers_told(self) -> list[int]:
        """The numbers of the messages kept, oldest first."""
        return list(self._oldest)

    def join(self, channel: str, reader: CoinbaseConnection) -> None:
        """From now on it is told; of ``matches`` it gets the last one at once."""
        if channel == "full":
            self.readers.append(reader)
        elif channel == "matches":
            self.watchers.append(reader)
            if self._last_match:
                reader.send(self._last_match.replace(b'"match"', b'"last_match"', 1))

    def leave(self, channel: str, reader: CoinbaseConnection) -> None:
        readers = {"full": self.readers, "matches": self.watchers}.get(channel, [])
        if reader in readers:
            readers.remove(reader)

    def delist(self) -> None:
        """Nobody is told anything any more, nobody can subscribe."""
        self.delisted = True
        self.readers.clear()
        self.watchers.clear()

    def note_snapshot(self) -> None:
        """The book as it stands belongs to the last number."""
        if self._keep:
            self._remember(self.sequence, self.market.sequence)

    def _remember(self, number: int, sequence: int) -> None:
        if number not in self._told:
            self._oldest.append(number)
        self._told[number] = sequence
        if len(self._oldest) > self._keep:
            self._told.pop(self._oldest.popleft(), None)

    def _tell(self, occurrence: Occurrence, texts: int) -> None:
        """Notes to what the last so many numbers belong."""
        if isinstance(occurrence, Traded):
            if occurrence.taker_resting:
                self._moving = occurrence.taker_id
        elif occurrence.order_id == self._moving and (
            isinstance(occurrence, Ended)
            or (isinstance(occurrence, Changed) and occurrence.reason == "remainder")
        ):
            self._moving = None
        for number in range(self.sequence - texts + 1, self.sequence):
            self._remember(number, -1)
        self._remember(self.sequence, occurrence.sequence if self._moving is None else -1)

    # The stream -----------------------------------------------------------------------------------

    def take(self, occurrences: Sequence[Occurrence]) -> None:
        """Tells the readers what happened."""
        for occurrence in occurrences:
            make = _MAKERS[type(occurrence)]
            texts = make(self, occurrence)
            if self._keep:
                self._tell(occurrence, len(texts))
            for text in texts:
                encoded = text.encode()
                # A copy: a reader may leave, or be thrown out, while it is told.
                for reader in list(self.readers):
                    reader.send(encoded)
            if isinstance(occurrence, Traded):
                self._last_match = texts[-1].encode()
                for reader in list(self.watchers):
                    reader.send(self._last_match)

    def _head(self, kind: str, order_id: int, side: int, time_ns: int) -> str:
        self.sequence += 1
        return (
            f'{{"type":"{kind}","order_id":"{self._id(order_id)}","side":"{SIDES[side]}",'
            f'"product_id":"{self.name}","time":"{self._times.text(time_ns)}",'
            f'"sequence":{self.sequence}'
        )

    def _price(self, price: int) -> str:
        return decimal_text(price, self._price_scale)

    def _size(self, size: int) -> str:
        return decimal_text(size, self._size_scale)

    def received(self, it: Received) -> tuple[str, ...]:
        head = self._head("received", it.order_id, it.side, it.time_ns)
        if it.price is None:
            return (f'{head},"order_type":"market","size":"{self._size(it.size)}"}}',)
        price, size = self._price(it.price), self._size(it.size)
        return (f'{head},"order_type":"limit","size":"{size}","price":"{price}"}}',)

    def opened(self, it: Opened) -> tuple[str, ...]:
        if it.hidden:
            return (self._noop(it),)
        self._sizes[it.order_id] = it.size
        return (self._open(it.order_id, it.side, it.time_ns, it.price, it.size),)

    def _open(self, order_id: int, side: int, time_ns: int, price: int, size: int) -> str:
        head = self._head("open", order_id, side, time_ns)
        return f'{head},"price":"{self._price(price)}","remaining_size":"{self._size(size)}"}}'

    def _noop(self, it: Opened | Changed) -> str:
        """A type that clients do not know has its number, too, and must be passed over."""
        self.sequence += 1
        return (
            f'{{"type":"noop","product_id":"{self.name}",'
            f'"time":"{self._times.text(it.time_ns)}","sequence":{self.sequence}}}'
        )

    def traded(self, it: Traded) -> tuple[str, ...]:
        before: tuple[str, ...] = ()
        if it.maker_hidden:
            before = (self._open(it.maker_id, it.side, it.time_ns, it.price, it.size),)
        else:
            self._sizes[it.maker_id] = it.maker_left
        if it.taker_resting:
            self._sizes[it.taker_id] = it.taker_left
        self.sequence += 1
        self.last_trade_id = it.trade_id
        match = (
            f'{{"type":"match","trade_id":{it.trade_id},"maker_order_id":"{self._id(it.maker_id)}",'
            f'"taker_order_id":"{self._id(it.taker_id)}","side":"{SIDES[it.side]}",'
            f'"size":"{self._size(it.size)}","price":"{self._price(it.price)}",'
            f'"product_id":"{self.name}","time":"{self._times.text(it.time_ns)}",'
            f'"sequence":{self.sequence}}}'
        )
        return (*before, match)

    def changed(self, it: Changed) -> tuple[str, ...]:
        if it.resting and not it.hidden:
            self._sizes[it.order_id] = it.new_size
        if it.reason == "refreshed" or (it.resting and not it.old_size):
            if it.hidden or it.new_price is None:
                return (self._noop(it),)
            return (self._open(it.order_id, it.side, it.time_ns, it.new_price, it.new_size),)
        head = self._head("change", it.order_id, it.side, it.time_ns)
        sizes = f'"old_size":"{self._size(it.old_size)}","new_size":"{self._size(it.new_size)}"'
        if it.reason == "self_trade":
            price = "null" if it.new_price is None else f'"{self._price(it.new_price)}"'
            return (f'{head},"reason":"STP","price":{price},{sizes}}}',)
        reason = "modify_order" if it.reason == "amended" else "remainder_after_modification"
        old, new = self._price(it.old_price or 0), self._price(it.new_price or 0)
        return (f'{head},"reason":"{reason}",{sizes},"old_price":"{old}","new_price":"{new}"}}',)

    def ended(self, it: Ended) -> tuple[str, ...]:
        head = self._head("done", it.order_id, it.side, it.time_ns)
        rested = self._sizes.pop(it.order_id, it.left)
        filled = it.reason == "filled"
        reason = "filled" if filled else "canceled"
        if it.price is None:
            return (f'{head},"reason":"{reason}"}}',)
        left = "0" if filled else self._size(rested if it.reason == "self_trade" else it.left)
        price = self._price(it.price)
        return (f'{head},"reason":"{reason}","price":"{price}","remaining_size":"{left}"}}',)

    def heartbeat(self, time_ns: int) -> bytes:
        return (
            f'{{"type":"heartbeat","last_trade_id":{self.last_trade_id},'
            f'"product_id":"{self.name}","sequence":{self.sequence},'
            f'"time":"{self._times.text(time_ns)}"}}'
        ).encode()

    # REST -----------------------------------------------------------------------------------------

    def description(self) -> dict[str, object]:
        """As ``GET /products`` lists it."""
        online = not self.delisted
        return {
            "id": self.name,
            "base_currency": self.base,
            "quote_currency": self.quote,
            "quote_increment": decimal_text(1, self._price_scale),
            "base_increment": decimal_text(1, self._size_scale),
            "display_name": f"{self.base}-{self.quote}",
            "min_market_funds": "1",
            "margin_enabled": False,
            "post_only": False,
            "limit_only": False,
            "cancel_only": False,
            "status": "online" if online else "delisted",
            "status_message": "",
            "trading_disabled": not online,
            "fx_stablecoin": False,
            "max_slippage_percentage": "0.02000000",
            "auction_mode": self.auction,
            "high_bid_limit_percentage": "",
        }

    def book(self, level: int, time_ns: int) -> bytes:
        """As ``GET /products/{id}/book`` answers; in an auction what stands in it is indicative."""
        self.note_snapshot()
        sides = [self._rows(side, level) for side in (0, 1)]
        if self.auction:
            sides = [rows[1::2] for rows in sides]
        auction = '{"auction_state":"collection"}' if self.auction else "null"
        time = f"{self._times.text(time_ns)[:-1]}{time_ns % 1_000:03d}Z"
        return (
            f'{{"bids":[{",".join(sides[0])}],"asks":[{",".join(sides[1])}],'
            f'"sequence":{self.sequence},"auction_mode":{str(self.auction).lower()},'
            f'"auction":{auction},"time":"{time}"}}'
        ).encode()

    def _rows(self, side: int, level: int) -> list[str]:
        if level == 3:
            name, price, size = self._id, self._price, self._size
            return [
                f'["{price(o.price)}","{size(o.size)}","{name(o.order_id)}"]'
                for o in self.market.matching.rows(side)
            ]
        matching = self.market.matching
        rows = []
        for level_price in islice(matching.prices(side), _DEPTH_LEVELS if level == 2 else 1):
            orders = matching.levels[side][level_price].values()
            total = self._size(sum(order.size for order in orders))
            rows.append(f'["{self._price(level_price)}","{total}",{len(orders)}]')
        return rows


_MAKERS: Final[dict[type, Callable[..., tuple[str, ...]]]] = {
    Received: Product.received,
    Opened: Product.opened,
    Traded: Product.traded,
    Changed: Product.changed,
    Ended: Product.ended,
}
