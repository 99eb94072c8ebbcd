"""The matching of one market: orders meet in price-time priority and every act goes to the log.

Prices and sizes are int at the market's scales, sides 0 bid and 1 ask.  At one price shown orders
trade before hidden ones, first come first served inside each.  What an order asks is carried out
whole before the next: a message of the exchange is the occurrences of one call.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from ordertape.simulator.occurrences import (
    Changed,
    Ended,
    EndReason,
    Occurrence,
    Opened,
    OrderKind,
    Received,
    Traded,
)
from ordertape.simulator.queues import Order, Queues

__all__ = ["Matcher", "SelfTrade", "clearing_price"]

SelfTrade: TypeAlias = Literal["decrement", "cancel_oldest", "cancel_newest", "cancel_both"]
"""What happens where an owner would trade with itself: both are reduced by the smaller size, or
the resting, the coming or both orders end (Coinbase's dc, co, cn and cb)."""


class Matcher(Queues):
    """The queues of one market and what traders may ask of them.

    ``log``: occurrences nobody has taken yet; ``time_ns`` is what they will bear.
    ``self_trade``: see `SelfTrade`.  ``rejects_published``: a rejected post-only order is told as
    opened and ended at once, as crypto venues do, instead of as ended without having rested.
    ``auction``: orders only gather, the book may be crossed, until `close_auction`.
    """

    def __init__(
        self,
        first_trade_id: int = 1,
        *,
        self_trade: SelfTrade = "decrement",
        rejects_published: bool = False,
    ) -> None:
        super().__init__()
        self.log: list[Occurrence] = []
        self.time_ns = 0
        self.sequence = 0
        self.trade_id = first_trade_id - 1
        self.self_trade: SelfTrade = self_trade
        self.rejects_published = rejects_published
        self.auction = False

    # What a trader may ask -------------------------------------------------------------------

    def limit(
        self,
        order_id: int,
        side: int,
        price: int,
        size: int,
        owner: int = 0,
        *,
        hidden: bool = False,
        peaks: Sequence[int] = (),
    ) -> Order | None:
        """Trades as far as its price reaches; what is left rests and is returned.  ``peaks``: the
        sizes an iceberg shows one after the other; they add up to ``size``."""
        if peaks and sum(peaks) != size:
            raise ValueError(f"expected peaks that add up to {size}, found {sum(peaks)}")
        order = Order(order_id, side, price, size, owner, self.time_ns, hidden)
        if self.auction:
            return self._gather(order, price, "limit")
        self._receive(order, price, peaks[0] if peaks else size, "limit")
        if not self._take(order, price, resting=False):
            return None
        if not order.size:
            self._end(order, price, "filled", rested=False)
            return None
        if peaks:
            _show_peak(order, peaks)
        self._open(order)
        return order

    def post_only(
        self, order_id: int, side: int, price: int, size: int, owner: int = 0
    ) -> Order | None:
        """Rests, or is rejected where it would trade at once (hidden orders count)."""
        order = Order(order_id, side, price, size, owner, self.time_ns)
        if self.auction:
            return self._gather(order, price, "post_only")
        self._receive(order, price, size, "post_only")
        if not self.reaches(side, price):
            self._open(order)
            return order
        if self.rejects_published:
            sequence = self.sequence = self.sequence + 1
            self.log.append(Opened(sequence, self.time_ns, order_id, side, price, size, False))
        self._end(order, price, "canceled", rested=self.rejects_published)
        return None

    def ioc(self, order_id: int, side: int, price: int, size: int, owner: int = 0) -> int:
        """Trades as far as its price reaches; what is left is canceled and returned."""
        order = Order(order_id, side, price, size, owner, self.time_ns)
        self._receive(order, price, size, "ioc")
        return self._take_now(order, price)

    def market(self, order_id: int, side: int, size: int, owner: int = 0) -> int:
        """Trades at any price; what finds nobody is canceled and returned."""
        order = Order(order_id, side, 0, size, owner, self.time_ns)
        self._receive(order, None, size, "market")
        return self._take_now(order, None)

    def cancel(self, order_id: int, reason: EndReason = "canceled") -> bool:
        """False where nothing rests under this id."""
        order = self.orders.get(order_id)
        if order is None:
            return False
        self.remove(order)
        self._end(order, order.price, reason, rested=True)
        return True

    def amend(self, order_id: int, price: int, size: int) -> bool:
        """Another price or size (of what it shows) under the same id; False where nothing rests
        under it.  Only a smaller size at the same price keeps the place in the queue; a price that
        reaches the other side trades first."""
        order = self.orders.get(order_id)
        if order is None:
            return False
        if price == order.price:
            if size != order.size:
                self._resize(order, size)
            return True
        if self.auction or not self.reaches(order.side, price):
            self._move(order, price, size)
            return True
        if size != order.size:
            self._resize(order, size)
        while self._take(order, price, resting=True):
            if order.size:
                self._move(order, price, order.size, "remainder")
                break
            if not order.peaks:
                self.remove(order)
                self._end(order, order.price, "filled", rested=True)
                break
            # It stands at its old price until this is over: its place there means nothing.
            order.size = order.peaks.pop()
            self._changed(order, order.price, 0, "amended", kept_place=True)
        return True

    # Auctions --------------------------------------------------------------------------------

    def open_auction(self) -> None:
        """Orders gather from now on.  Hidden orders end and icebergs show themselves whole: an
        auction has neither; what can only trade at once is canceled."""
        self.auction = True
        for order in [order for order in self.orders.values() if order.hidden]:
            self.cancel(order.order_id)
        for order in [order for order in self.orders.values() if order.peaks]:
            whole = order.size + order.reserve
            order.peaks.clear()
            self._resize(order, whole)

    def close_auction(self) -> int | None:
        """Trades all that cross, at the one price that trades most; that price, None where nothing
        crosses.  Of two that meet the older is the maker.  Owners may meet themselves."""
        self.auction = False
        price = clearing_price(*(list(self.rows(side)) for side in (0, 1)))
        if price is None:
            return None
        filled: list[Order] = []
        while True:
            bid, ask = self.front(0, price), self.front(1, price)
            if bid is None or ask is None:
                break
            maker, taker = (bid, ask) if bid.order_id < ask.order_id else (ask, bid)
            self._trade(maker, taker, price, resting=True)
            for order in (maker, taker):
                if not order.size:
                    self.remove(order)
                    filled.append(order)
        for order in filled:
            self._end(order, order.price, "filled", rested=True)
        return price

    def _gather(self, order: Order, price: int, kind: OrderKind) -> Order | None:
        self._receive(order, price, order.size, kind)
        if order.hidden:
            self._end(order, price, "canceled", rested=False)
            return None
        self._open(order)
        return order

    # Changing --------------------------------------------------------------------------------

    def _move(
        self,
        order: Order,
        price: int,
        size: int,
        reason: Literal["amended", "remainder"] = "amended",
    ) -> None:
        old_price, old_size = order.price, order.size
        self.remove(order)
        order.price, order.size = price, size
        self.rest(order)
        self._changed(order, old_price, old_size, reason, kept_place=False)

    def _resize(self, order: Order, size: int) -> None:
        old_size, order.size = order.size, size
        kept = size <= old_size
        if not kept:
            self.to_tail(order)
        self._changed(order, order.price, old_size, "amended", kept_place=kept)

    def _refresh(self, order: Order) -> None:
        """The next peak of an iceberg goes to the end of the queue."""
        order.size = order.peaks.pop()
        self.to_tail(order)
        self._changed(order, order.price, 0, "refreshed", kept_place=False)

    def _changed(
        self,
        order: Order,
        old_price: int,
        old_size: int,
        reason: Literal["amended", "self_trade", "refreshed", "remainder"],
        *,
        kept_place: bool,
    ) -> None:
        sequence = self.sequence = self.sequence + 1
        self.log.append(
            Changed(
                *(sequence, self.time_ns, order.order_id, order.side, old_price, order.price),
                *(old_size, order.size, reason, kept_place, order.hidden, True),
            )
        )

    # Trading ---------------------------------------------------------------------------------

    def _take(self, taker: Order, limit: int | None, *, resting: bool) -> bool:
        """Trades ``taker`` with whom ``limit`` reaches, and ends whom that fills.  False where the
        prevention of a self-trade has ended the taker."""
        filled: list[Order] = []
        lives, maker_side = True, 1 - taker.side
        while taker.size and lives:
            maker = self.front(maker_side, limit)
            if maker is None:
                break
            if taker.owner and maker.owner == taker.owner:
                lives = self._prevent(taker, maker, limit, resting=resting)
                continue
            self._trade(maker, taker, maker.price, resting=resting)
            if not maker.size:
                if maker.peaks:
                    self._refresh(maker)
                else:
                    self.remove(maker)
                    filled.append(maker)
        for maker in filled:
            self._end(maker, maker.price, "filled", rested=True)
        return lives

    def _trade(self, maker: Order, taker: Order, price: int, *, resting: bool) -> None:
        size = min(taker.size, maker.size)
        taker.size -= size
        maker.size -= size
        self.trade_id += 1
        sequence = self.sequence = self.sequence + 1
        self.log.append(
            Traded(
                *(sequence, self.time_ns, self.trade_id, maker.order_id, taker.order_id),
                *(maker.side, price, size, maker.size, maker.hidden),
                *(resting and not taker.hidden, taker.size),
            )
        )

    def _take_now(self, taker: Order, limit: int | None) -> int:
        """Trades, and ends the taker in any case; what nobody traded."""
        if self.auction or self._take(taker, limit, resting=False):
            self._end(taker, limit, "canceled" if taker.size else "filled", rested=False)
        return taker.size

    def _prevent(self, taker: Order, maker: Order, limit: int | None, *, resting: bool) -> bool:
        """An owner met itself; False where that ended the taker."""
        if self.self_trade == "decrement":
            size = min(taker.size, maker.size)
            maker.size -= size
            taker.size -= size
            if maker.size:
                self._changed(maker, maker.price, maker.size + size, "self_trade", kept_place=True)
            else:  # with its reserve, if it is an iceberg
                self.remove(maker)
                self._end(maker, maker.price, "self_trade", rested=True)
            if taker.size:
                self._reduced(taker, limit, taker.size + size, resting=resting)
                return True
        elif self.self_trade != "cancel_newest":
            self.remove(maker)
            self._end(maker, maker.price, "self_trade", rested=True)
            if self.self_trade == "cancel_oldest":
                return True
        if resting:
            self.remove(taker)
        self._end(taker, taker.price if resting else limit, "self_trade", rested=resting)
        return False

    def _reduced(self, taker: Order, limit: int | None, old_size: int, *, resting: bool) -> None:
        """A taker lost what it would have traded with its owner."""
        price = taker.price if resting else limit
        sequence = self.sequence = self.sequence + 1
        self.log.append(
            Changed(
                *(sequence, self.time_ns, taker.order_id, taker.side, price, price),
                *(old_size, taker.size, "self_trade", True, taker.hidden, resting),
            )
        )

    # The log ----------------------------------------------------------------------------------

    def _receive(self, order: Order, price: int | None, shown: int, kind: OrderKind) -> None:
        sequence = self.sequence = self.sequence + 1
        self.log.append(
            Received(
                *(sequence, self.time_ns, order.order_id, order.side, price, shown, kind),
                *(order.owner, order.hidden),
            )
        )

    def _open(self, order: Order) -> None:
        self.rest(order)
        sequence = self.sequence = self.sequence + 1
        self.log.append(
            Opened(
                *(sequence, self.time_ns, order.order_id, order.side, order.price, order.size),
                order.hidden,
            )
        )

    def _end(self, order: Order, price: int | None, reason: EndReason, *, rested: bool) -> None:
        sequence = self.sequence = self.sequence + 1
        self.log.append(
            Ended(
                *(sequence, self.time_ns, order.order_id, order.side, price, order.size),
                *(reason, rested, order.hidden),
            )
        )


def clearing_price(bids: Sequence[Order], asks: Sequence[Order]) -> int | None:
    """The price at which most is traded, of several the one that leaves least over, then the
    lowest; None where no bid reaches an ask.  Both best first."""
    if not bids or not asks:
        return None
    lowest, highest = asks[0].price, bids[0].price
    bids = [order for order in bids if order.price >= lowest]
    asks = [order for order in asks if order.price <= highest]
    prices = sorted({order.price for order in (*bids, *asks)})
    best: tuple[int, int, int] | None = None
    for price in prices:
        wanted = sum(order.size for order in bids if order.price >= price)
        offered = sum(order.size for order in asks if order.price <= price)
        traded = min(wanted, offered)
        if traded and (best is None or (-traded, abs(wanted - offered)) < best[:2]):
            best = (-traded, abs(wanted - offered), price)
    return None if best is None else best[2]


def _show_peak(order: Order, peaks: Sequence[int]) -> None:
    """Splits what is left of an iceberg that traded when it came: the first peaks are used up."""
    traded = sum(peaks) - order.size
    left: list[int] = []
    for peak in peaks:
        used = min(peak, traded)
        traded -= used
        if peak > used:
            left.append(peak - used)
    order.size = left[0]
    order.peaks = left[:0:-1]
