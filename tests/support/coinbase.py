"""A plain Coinbase: a book in lists, its messages and its REST answers after the documented shapes.

Everything is text and Decimal; nothing of ours is used.
"""

from __future__ import annotations

import json
import random
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

PRODUCT = "BTC-USD"
START_NS = 1_700_000_000_000_000_000
BUY, SELL = "buy", "sell"


class PlainCoinbase:
    """Orders rest in ``levels[side][price]``, front of the queue first, as [id, size]."""

    def __init__(self, seed: int = 1, sequence: int = 1000, product: str = PRODUCT) -> None:
        self.random = random.Random(seed)
        self.sequence, self.product = sequence, product
        self.levels: dict[str, dict[Decimal, list[list[Any]]]] = {BUY: {}, SELL: {}}
        self.where: dict[str, tuple[str, Decimal]] = {}
        self.trades = 7_000
        self.ns = START_NS

    # Texts ----------------------------------------------------------------------------------------
    def new_id(self) -> str:
        return str(uuid.UUID(int=self.random.getrandbits(128)))

    def time(self) -> str:
        self.ns += 1_000_000
        seconds, rest = divmod(self.ns, 10**9)
        clock = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{clock}.{rest // 1000:06d}Z"

    def say(self, kind: str, **fields: Any) -> str:
        """A message of the count."""
        self.sequence += 1
        said = {"type": kind, **fields, "product_id": self.product}
        return json.dumps({**said, "sequence": self.sequence, "time": self.time()})

    def heartbeat(self, sequence: int | None = None) -> str:
        shown = self.sequence if sequence is None else sequence
        said = {"type": "heartbeat", "last_trade_id": self.trades, "product_id": self.product}
        return json.dumps({**said, "sequence": shown, "time": self.time()})

    def subscriptions(self) -> str:
        channels = [
            {"name": name, "product_ids": [self.product], "account_ids": None}
            for name in ("full", "heartbeat")
        ]
        return json.dumps({"type": "subscriptions", "channels": channels})

    def rest(self, **fields: Any) -> bytes:
        """The level 3 book."""
        sides = {
            name: [
                [str(price), str(size), order_id]
                for price in sorted(self.levels[side], reverse=side == BUY)
                for order_id, size in self.levels[side][price]
            ]
            for name, side in (("bids", BUY), ("asks", SELL))
        }
        about = {"sequence": self.sequence, "auction_mode": False, "auction": None}
        return json.dumps({**sides, **about, "time": self.time(), **fields}).encode()

    # Orders ---------------------------------------------------------------------------------------
    def rows(self) -> list[tuple[str, Decimal, str, Decimal]]:
        """(side, price, id, size) of every order, best first, in queue order."""
        return [
            (side, price, order_id, size)
            for side in (BUY, SELL)
            for price in sorted(self.levels[side], reverse=side == BUY)
            for order_id, size in self.levels[side][price]
        ]

    def add(self, side: str, price: Decimal | str, size: Decimal | str) -> str:
        """An order rests, without a word."""
        order_id = self.new_id()
        self._put(order_id, side, Decimal(price), Decimal(size))
        return order_id

    def _put(self, order_id: str, side: str, price: Decimal, size: Decimal) -> None:
        self.levels[side].setdefault(price, []).append([order_id, size])
        self.where[order_id] = (side, price)

    def entry(self, order_id: str) -> list[Any]:
        side, price = self.where[order_id]
        return next(entry for entry in self.levels[side][price] if entry[0] == order_id)

    def take_out(self, order_id: str) -> tuple[str, Decimal, Decimal]:
        side, price = self.where.pop(order_id)
        entry = next(entry for entry in self.levels[side][price] if entry[0] == order_id)
        self.levels[side][price].remove(entry)
        if not self.levels[side][price]:
            del self.levels[side][price]
        return side, price, entry[1]

    def received(self, order_id: str, side: str, price: Any, size: Any) -> str:
        fields = {"order_id": order_id, "size": str(size), "price": str(price), "side": side}
        return self.say("received", **fields, order_type="limit")

    def open(self, side: str, price: Any, size: Any) -> list[str]:
        order_id = self.new_id()
        texts = [self.received(order_id, side, price, size)]
        self._put(order_id, side, Decimal(price), Decimal(size))
        fields = {"order_id": order_id, "price": str(price), "remaining_size": str(size)}
        return [*texts, self.say("open", **fields, side=side)]

    def cancel(self, order_id: str) -> list[str]:
        side, price, size = self.take_out(order_id)
        fields = {"order_id": order_id, "reason": "canceled", "side": side}
        return [self.say("done", **fields, price=str(price), remaining_size=str(size))]

    def trade(self, maker: str, taker: str, size: Decimal) -> list[str]:
        """The maker gives so much, and ends where nothing is left of it."""
        side, price = self.where[maker]
        entry = self.entry(maker)
        entry[1] -= size
        self.trades += 1
        names = {"maker_order_id": maker, "taker_order_id": taker, "trade_id": self.trades}
        texts = [self.say("match", **names, side=side, size=str(size), price=str(price))]
        if not entry[1]:
            self.take_out(maker)
            fields = {"order_id": maker, "reason": "filled", "price": str(price), "side": side}
            texts.append(self.say("done", **fields, remaining_size="0"))
        return texts

    def market(self, side: str, size: Any) -> list[str]:
        """A market order takes from the front of the other side until nothing is left of it."""
        taker, left = self.new_id(), Decimal(size)
        fields = {"order_id": taker, "size": str(size), "side": side}
        texts = [self.say("received", **fields, order_type="market")]
        other = SELL if side == BUY else BUY
        while left and self.levels[other]:
            best = (min if other == SELL else max)(self.levels[other])
            maker, rests = self.levels[other][best][0]
            texts += self.trade(maker, taker, min(left, rests))
            left -= min(left, rests)
        reason = "canceled" if left else "filled"
        return [*texts, self.say("done", order_id=taker, reason=reason, side=side)]

    def modify(self, order_id: str, price: Any, size: Any) -> str:
        """A new price or a larger size goes to the back."""
        side, old_price = self.where[order_id]
        old_size = self.entry(order_id)[1]
        price, size = Decimal(price), Decimal(size)
        if price == old_price and size <= old_size:
            self.entry(order_id)[1] = size
        else:
            self.take_out(order_id)
            self._put(order_id, side, price, size)
        prices = {"old_price": str(old_price), "new_price": str(price)}
        sizes = {"old_size": str(old_size), "new_size": str(size)}
        names = {"reason": "modify_order", "order_id": order_id, "side": side}
        return self.say("change", **names, **sizes, **prices)

    def self_trade(self, order_id: str, size: Any) -> str:
        """A self-trade was prevented: the size falls in its place."""
        side, price = self.where[order_id]
        entry = self.entry(order_id)
        old, entry[1] = entry[1], Decimal(size)
        names = {"reason": "STP", "order_id": order_id, "side": side, "price": str(price)}
        return self.say("change", **names, old_size=str(old), new_size=str(entry[1]))

    def step(self) -> list[str]:
        """Something happens."""
        choice = self.random.random()
        known = list(self.where)
        if choice < 0.45 or len(known) < 10:
            side = self.random.choice((BUY, SELL))
            away = self.random.randrange(1, 40)
            price = Decimal(20_000_00 + (away if side == SELL else -away)) / 100
            return self.open(side, price, Decimal(self.random.randrange(1, 10**9)) / 10**8)
        order_id = self.random.choice(known)
        if choice < 0.75:
            return self.cancel(order_id)
        if choice < 0.85:
            return self.market(
                self.random.choice((BUY, SELL)), Decimal(self.random.randrange(1, 10**9)) / 10**8
            )
        side, price = self.where[order_id]
        size = self.entry(order_id)[1]
        if choice < 0.9:
            if size <= Decimal("0.00000001"):
                return []
            return [
                self.self_trade(order_id, size / 2 if size % 2 == 0 else size - Decimal("1e-8"))
            ]
        moved = price + (Decimal("0.01") if side == SELL else -Decimal("0.01"))
        new_price = self.random.choice((price, moved))
        factor = self.random.choice((Decimal("0.5"), Decimal(1), Decimal(2)))
        new_size = max((size * factor).quantize(Decimal("1e-8")), Decimal("1e-8"))
        return [self.modify(order_id, new_price, new_size)]
