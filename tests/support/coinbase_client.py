"""A naive reader of Coinbase's ``full`` channel, sharing nothing with the simulator or the engine.

Queues are lists of ids, numbers stay the text they were sent as or become Decimals.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from decimal import Decimal
from typing import Any

Row = tuple[str, Decimal, Decimal]


class NaiveBook:
    """Orders by id as [side, price, size], and the queue of every price."""

    def __init__(self, snapshot: dict[str, Any]) -> None:
        self.orders: dict[str, list[Any]] = {}
        self.queues: dict[tuple[str, Decimal], list[str]] = {}
        self.sequence = int(snapshot["sequence"])
        self.counts: dict[str, int] = {}
        for side, name in (("buy", "bids"), ("sell", "asks")):
            for price, size, order_id in snapshot[name]:
                self._put(order_id, side, Decimal(price), Decimal(size))

    def _put(self, order_id: str, side: str, price: Decimal, size: Decimal) -> None:
        assert order_id not in self.orders
        assert size > 0
        self.orders[order_id] = [side, price, size]
        self.queues.setdefault((side, price), []).append(order_id)

    def _drop(self, order_id: str) -> None:
        side, price, _ = self.orders.pop(order_id)
        queue = self.queues[side, price]
        queue.remove(order_id)
        if not queue:
            del self.queues[side, price]

    def message(self, message: dict[str, Any]) -> None:
        """One message of ``full``; those up to the snapshot's number change nothing."""
        number = message["sequence"]
        if number <= self.sequence:
            return
        assert number == self.sequence + 1, f"expected {self.sequence + 1}, found {number}"
        self.sequence = number
        kind = message["type"]
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if kind == "open":
            price, size = Decimal(message["price"]), Decimal(message["remaining_size"])
            self._put(message["order_id"], message["side"], price, size)
        elif kind == "match":
            self._match(message)
        elif kind == "done" and message["order_id"] in self.orders:
            assert Decimal(message["remaining_size"]) in (self.orders[message["order_id"]][2], 0)
            self._drop(message["order_id"])
        elif kind == "change":
            self._change(message)

    def _match(self, message: dict[str, Any]) -> None:
        size, maker = Decimal(message["size"]), message["maker_order_id"]
        side, price, _ = self.orders[maker]
        assert (side, price) == (message["side"], Decimal(message["price"]))
        queue = self.queues[side, price]
        hidden_last = len(queue) > 1 and queue[-1] == maker
        assert queue[0] == maker or hidden_last, "makers trade first come, first served"
        for order_id in (maker, message["taker_order_id"]):
            if order_id in self.orders:
                self.orders[order_id][2] -= size
                assert self.orders[order_id][2] >= 0
                if not self.orders[order_id][2]:
                    self._drop(order_id)

    def _change(self, message: dict[str, Any]) -> None:
        order_id = message["order_id"]
        if order_id not in self.orders:
            return
        kind = "change " + message["reason"]
        self.counts[kind] = self.counts.get(kind, 0) + 1
        side, price, size = self.orders[order_id]
        new_price = Decimal(message.get("new_price", message.get("price")))
        new_size = Decimal(message["new_size"])
        assert Decimal(message["old_size"]) == size
        assert Decimal(message.get("old_price", message.get("price"))) == price
        if new_price == price and new_size <= size and new_size > 0:
            self.orders[order_id][2] = new_size
            return
        self._drop(order_id)
        if new_size:
            self._put(order_id, side, new_price, new_size)

    def sides(self) -> tuple[list[Row], list[Row]]:
        """(bids, asks): best price first, the front of the queue first."""
        found: tuple[list[Row], list[Row]] = ([], [])
        for (side, price), queue in sorted(self.queues.items(), key=lambda item: item[0][1]):
            rows = [(order_id, price, self.orders[order_id][2]) for order_id in queue]
            if side == "buy":
                found[0][:0] = rows
            else:
                found[1].extend(rows)
        return found


def subscribe(
    keys: tuple[str, str, str] | None, timestamp: str, *channels: str, products: tuple[str, ...]
) -> str:
    """The text that asks for channels, signed where (key, secret, passphrase) are given."""
    request: dict[str, Any] = {
        "type": "subscribe",
        "channels": [{"name": name, "product_ids": list(products)} for name in channels],
    }
    if keys is not None:
        key, secret, passphrase = keys
        text = f"{timestamp}GET/users/self/verify".encode()
        digest = hmac.new(base64.b64decode(secret), text, hashlib.sha256).digest()
        request |= {
            "key": key,
            "passphrase": passphrase,
            "timestamp": timestamp,
            "signature": base64.b64encode(digest).decode(),
        }
    return json.dumps(request)
