"""Feeds messages to cryptofeed's Coinbase handler, in an environment that has cryptofeed 2.3.2.

``python cryptofeed_coinbase.py BOOK MESSAGES``: a level 3 book, and a message a line.  Each line on
stdin, ``plain N`` or ``reads N``, asks for one round of the first N with a new handler; its answer
is a line of JSON: CPU ns and the book they left.  This file imports nothing of ours.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from decimal import Decimal
from typing import ClassVar

from cryptofeed.defines import ASK, BID, L3_BOOK, TRADES
from cryptofeed.exchanges import Coinbase
from cryptofeed.symbols import Symbols
from cryptofeed.types import OrderBook

PAIR = "BTC-USD"


class Connection:
    """What the handler reads of a connection."""

    uuid = "bench"
    subscription: ClassVar[dict] = {}


async def ignore(_book, _receipt) -> None:
    """A subscriber that does not look."""


async def read_best(book, _receipt) -> None:
    """A subscriber that looks at the best prices."""
    if len(book.book.bids) and len(book.book.asks):
        book.book.bids.index(0)
        book.book.asks.index(0)


def made(begins: dict, callback) -> Coinbase:
    """A handler that has the book, as its own request for it would leave it."""
    feed = Coinbase(
        symbols=[PAIR],
        channels=[L3_BOOK, TRADES],
        callbacks={L3_BOOK: callback, TRADES: ignore},
    )
    feed._l3_book[PAIR] = book = OrderBook("COINBASE", PAIR, max_depth=0)
    feed.seq_no = {PAIR: begins["sequence"]}
    for side in (BID, ASK):
        levels = book.book[side]
        for price_text, size_text, order_id in begins[f"{side}s"]:
            price, size = Decimal(price_text), Decimal(size_text)
            if price in levels:
                levels[price][order_id] = size
            else:
                levels[price] = {order_id: size}
            feed.order_map[order_id] = (price, size)
    return feed


async def one_round(begins: dict, messages: list[str], callback) -> dict:
    feed = made(begins, callback)
    handle = feed.message_handler
    gc.collect()
    begun = time.thread_time_ns()
    for text in messages:
        await handle(text, Connection, 0.0)
    taken = time.thread_time_ns() - begun
    book = feed._l3_book[PAIR].book
    return {
        "ns": taken,
        "best": [str(book.bids.index(0)[0]), str(book.asks.index(0)[0])],
        "orders": len(feed.order_map),
    }


def main() -> None:
    Symbols.set("COINBASE", {PAIR: PAIR}, {"instrument_type": {}, "tick_size": {}})
    with open(sys.argv[1], encoding="utf-8") as file:
        begins = json.load(file)
    with open(sys.argv[2], encoding="utf-8") as file:
        messages = file.read().splitlines()
    gc.collect()
    gc.freeze()
    callbacks = {"plain": ignore, "reads": read_best}
    for line in sys.stdin:
        which, count = line.split()
        found = asyncio.run(one_round(begins, messages[: int(count)], callbacks[which]))
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
