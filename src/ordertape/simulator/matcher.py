"""The matching of one market: orders meet in price-time priority and every act goes to the log.

Prices and sizes are int at the market's scales, sides 0 bid and 1 ask.  At one price shown orders
trade before hidden ones, first come first served inside each.  What an order asks is carried out
whole before the next: a message of the exchange is the occurrences of one call.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
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

__all__ = ["Matcher", "Order", "SelfTrade"]

SelfTrade: TypeAlias = Literal["decrement", "cancel_oldest", "cancel_newest", "cancel_both"]
"""What happens where an owner would trade with itself: both are reduced by the smaller size, or
the resting, the coming or both orders end (Coinbase's dc, co, cn and cb)."""

Level: TypeAlias = "dict[int, Order]"
"""The orders of one price by id, the front of the queue first."""


class Order:
    """An order.  ``size`` is what it shows (all of it, if hidden); ``peaks`` are the later peaks of
    an iceberg, the next one last; ``owner`` 0 is nobody in particular; ``born_ns`` when it came."""

    __slots__ = ("born_ns", "hidden", "order_id", "owner", "peaks", "price", "side", "size")

    def __init__(
        self,
        order_id: int,
        side: int,
        price: int,
        size: int,
        owner: int,
        born_ns: int,
        hidden: bool = False,
    ) -> None:
        self.order_id, self.side, self.price, self.size = order_id, side, price, size
        self.owner, self.born_ns, self.hidden = owner, born_ns, hidden
        self.peaks: list[int] = []

    @property
    def reserve(self) -> int:
        """What an iceberg does not show."""
        return sum(self.peaks)


class Matcher:
    """Orders of one market.

    ``orders``: all that rest, by id; ``levels[side]``: the shown ones by price; ``hidden[side]``
    the hidden ones.  ``log``: occurrences nobody has taken yet; ``time_ns`` is what they will bear.
    ``rejects_published``: a rejected post-only order is told as opened and ended at once, as crypto
    venues do, instead of as ended without having rested.
    """

    def __init__(
        self,
        first_trade_id: int = 1,
        *,
        self_trade: SelfTrade = "decrement",
        rejects_published: bool = False,
    ) -> None:
        self.orders: dict[int, Order] = {}
        self.levels: tuple[dict[int, Level], dict[int, Level]] = ({}, {})
        self.hidden: tuple[dict[int, Level], dict[int, Level]] = ({}, {})
        self.log: list[Occurrence] = []
        self.time_ns = 0
        self.sequence = 0
        self.trade_id = first_trade_id - 1
        self.self_trade: SelfTrade = self_trade
        self.rejects_published = rejects_published
        # Bids as they are, asks negated: the best price of either side is the last.
        self._shown: tuple[list[int], list[int]] = ([], [])
        self._unseen: tuple[list[int], list[int]] = ([], [])

    # Reading ---------------------------------------------------------------------------------

    def best(self, side: int) -> int | None:
        """The best shown price of a side."""
        keys = self._shown[side]
        return abs(keys[-1]) if keys else None

    def prices(self, side: int) -> Iterator[int]:
        """The shown prices of a side, best first."""
        return map(abs, reversed(self._shown[side]))

    def price_keys(self, side: int) -> list[int]:
        """The shown prices of a side, best last, those of asks negated: not to be changed."""
        return self._shown[side]

    def rows(self, side: int) -> Iterator[Order]:
        """The shown orders of a side: best price first, the front of the queue first."""
        levels = self.levels[side]
        for price in self.prices(side):
            yield from levels[price].values()

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
        shown = peaks[0] if peaks else size
        self._receive(order, price, shown, "limit")
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
        self._receive(order, price, size, "post_only")
        if not self._reaches(side, price):
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
        self._remove(order)
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
        if not self._reaches(order.side, price):
            self._move(order, price, size)
            return True
        if size != order.size:
            self._resize(order, size)
        while self._take(order, price, resting=True):
            if order.size:
                self._move(order, price, order.size, "remainder")
                break
            if not order.peaks:
                self._remove(order)
                self._end(order, order.price, "filled", rested=True)
                break
            # It stands at its old price until this is over: its place there means nothing.
            order.size = order.peaks.pop()
            self._changed(order, order.price, 0, "amended", kept_place=True)
        return True

    # Changing --------------------------------------------------------------------------------

    def _move(
        self,
        order: Order,
        price: int,
        size: int,
        reason: Literal["amended", "remainder"] = "amended",
    ) -> None:
        old_price, old_size = order.price, order.size
        self._remove(order)
        order.price, order.size = price, size
        self._rest(order)
        self._changed(order, old_price, old_size, reason, kept_place=False)

    def _resize(self, order: Order, size: int) -> None:
        old_size, order.size = order.size, size
        kept = size <= old_size
        if not kept:
            level = self._levels(order)[order.price]
            level[order.order_id] = level.pop(order.order_id)
        self._changed(order, order.price, old_size, "amended", kept_place=kept)

    def _refresh(self, order: Order) -> None:
        """The next peak of an iceberg goes to the end of the queue."""
        order.size = order.peaks.pop()
        level = self._levels(order)[order.price]
        level[order.order_id] = level.pop(order.order_id)
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

    def _reaches(self, side: int, price: int) -> bool:
        """Whether an order would meet somebody on the other side, seen or not."""
        for keys in (self._shown[1 - side], self._unseen[1 - side]):
            if keys and (price <= keys[-1] if side else -keys[-1] <= price):
                return True
        return False

    def _front(self, side: int, limit: int | None) -> Order | None:
        """The maker whose turn it is on ``side``, if ``limit`` reaches it."""
        shown, unseen = self._shown[side], self._unseen[side]
        if unseen and (not shown or unseen[-1] > shown[-1]):
            key, levels = unseen[-1], self.hidden[side]
        elif shown:
            key, levels = shown[-1], self.levels[side]
        else:
            return None
        price = abs(key)
        if limit is not None and (price > limit if side else price < limit):
            return None
        return next(iter(levels[price].values()))

    def _take(self, taker: Order, limit: int | None, *, resting: bool) -> bool:
        """Trades ``taker`` with whom ``limit`` reaches, and ends whom that fills.  False where the
        prevention of a self-trade has ended the taker."""
        filled: list[Order] = []
        lives, maker_side = True, 1 - taker.side
        while taker.size and lives:
            maker = self._front(maker_side, limit)
            if maker is None:
                break
            if taker.owner and maker.owner == taker.owner:
                lives = self._prevent(taker, maker, limit, resting=resting)
                continue
            size = min(taker.size, maker.size)
            taker.size -= size
            maker.size -= size
            self.trade_id += 1
            sequence = self.sequence = self.sequence + 1
            self.log.append(
                Traded(
                    *(sequence, self.time_ns, self.trade_id, maker.order_id, taker.order_id),
                    *(maker_side, maker.price, size, maker.size, maker.hidden),
                    *(resting, taker.size),
                )
            )
            if not maker.size:
                if maker.peaks:
                    self._refresh(maker)
                else:
                    self._remove(maker)
                    filled.append(maker)
        for maker in filled:
            self._end(maker, maker.price, "filled", rested=True)
        return lives

    def _take_now(self, taker: Order, limit: int | None) -> int:
        """Trades, and ends the taker in any case; what nobody traded."""
        if self._take(taker, limit, resting=False):
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
                self._remove(maker)
                self._end(maker, maker.price, "self_trade", rested=True)
            if taker.size:
                self._reduced(taker, limit, taker.size + size, resting=resting)
                return True
        elif self.self_trade != "cancel_newest":
            self._remove(maker)
            self._end(maker, maker.price, "self_trade", rested=True)
            if self.self_trade == "cancel_oldest":
                return True
        if resting:
            self._remove(taker)
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

    # The queues ------------------------------------------------------------------------------

    def _receive(self, order: Order, price: int | None, shown: int, kind: OrderKind) -> None:
        sequence = self.sequence = self.sequence + 1
        self.log.append(
            Received(
                *(sequence, self.time_ns, order.order_id, order.side, price, shown, kind),
                *(order.owner, order.hidden),
            )
        )

    def _open(self, order: Order) -> None:
        self._rest(order)
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

    def _levels(self, order: Order) -> dict[int, Level]:
        return (self.hidden if order.hidden else self.levels)[order.side]

    def _rest(self, order: Order) -> None:
        side, price = order.side, order.price
        self.orders[order.order_id] = order
        levels = (self.hidden if order.hidden else self.levels)[side]
        level = levels.get(price)
        if level is None:
            levels[price] = {order.order_id: order}
            keys = (self._unseen if order.hidden else self._shown)[side]
            insort(keys, -price if side else price)
        else:
            level[order.order_id] = order

    def _remove(self, order: Order) -> None:
        side, price = order.side, order.price
        del self.orders[order.order_id]
        levels = (self.hidden if order.hidden else self.levels)[side]
        level = levels[price]
        del level[order.order_id]
        if not level:
            del levels[price]
            keys = (self._unseen if order.hidden else self._shown)[side]
            del keys[bisect_left(keys, -price if side else price)]


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
