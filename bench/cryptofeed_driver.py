"""Feeds recorded frames to cryptofeed's Bitfinex handler, in an environment that has cryptofeed.

``python cryptofeed_driver.py FRAMES SYMBOL``: FRAMES has a text a line; all up to the snapshot of
the book is not timed.  Each line on stdin, ``plain`` or ``reads``, asks for one round with a new
handler; its answer is a line of JSON: CPU ns of all timed frames and the book they left.
This file imports nothing of ours.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from typing import ClassVar

from cryptofeed.defines import ASK, BID, L3_BOOK
from cryptofeed.exchanges import Bitfinex
from cryptofeed.symbols import Symbols

PAIR = "BTC-USDT"


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


async def one_round(before: list[str], frames: list[str], callback) -> dict:
    feed = Bitfinex(symbols=[PAIR], channels=[L3_BOOK], callbacks={L3_BOOK: callback})
    handle = feed.message_handler
    for text in before:
        await handle(text, Connection, 0.0)
    gc.collect()
    begun = time.thread_time_ns()
    for text in frames:
        await handle(text, Connection, 0.0)
    taken = time.thread_time_ns() - begun
    book = feed._l3_book[PAIR].book
    return {
        "ns": taken,
        "best": [str(book.bids.index(0)[0]), str(book.asks.index(0)[0])],
        "orders": sum(len(feed.order_map[PAIR][side]) for side in (BID, ASK)),
    }


def main() -> None:
    path, symbol = sys.argv[1:]
    Symbols.set("BITFINEX", {PAIR: symbol}, {"instrument_type": {}})
    with open(path, encoding="utf-8") as file:
        texts = file.read().splitlines()
    begins = next(at for at, text in enumerate(texts) if text.startswith("[")) + 1
    before, frames = texts[:begins], texts[begins:]
    gc.collect()
    gc.freeze()
    callbacks = {"plain": ignore, "reads": read_best}
    for line in sys.stdin:
        found = asyncio.run(one_round(before, frames, callbacks[line.strip()]))
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
