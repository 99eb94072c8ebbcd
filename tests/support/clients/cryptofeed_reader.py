"""cryptofeed reads a raw book of Bitfinex; run where it is installed, imports nothing of ours.

``python cryptofeed_reader.py WS_URL SYMBOL UPDATES``: prints one line of JSON: a digest of the book
after its snapshot and after each of so many updates, and how many trades came.
"""

from __future__ import annotations

import asyncio
import json
import sys
import zlib

from cryptofeed import FeedHandler
from cryptofeed.connection import WebsocketEndpoint
from cryptofeed.defines import ASK, BID, L3_BOOK, TRADES
from cryptofeed.exchanges import Bitfinex
from cryptofeed.symbols import Symbols

PAIR = "BTC-USD"


class Address(str):
    """One without encryption, which the library asks for: on loopback there is none."""

    __slots__ = ()

    def startswith(self, *_) -> bool:
        return True


def digest(orders: dict) -> int:
    rows = [
        f"{order_id} {order['price'].normalize()} {sign * order['amount'].normalize()}"
        for side, sign in ((BID, 1), (ASK, -1))
        for order_id, order in orders[side].items()
    ]
    return zlib.crc32("\n".join(sorted(rows)).encode())


def main() -> None:
    url, symbol, wanted = sys.argv[1], sys.argv[2], int(sys.argv[3])
    Symbols.set("BITFINEX", {PAIR: symbol}, {"instrument_type": {}})
    Bitfinex.websocket_endpoints = [WebsocketEndpoint(Address(url), limit=25)]
    digests, trades = [], []
    handler = FeedHandler(config={"log": {"disabled": True}, "uvloop": False})

    async def on_book(_book, _receipt) -> None:
        digests.append(digest(feed.order_map[PAIR]))
        if len(digests) == wanted:
            print(json.dumps({"digests": digests, "trades": len(trades)}), flush=True)
            asyncio.get_running_loop().stop()

    async def on_trade(trade, _receipt) -> None:
        trades.append(trade)

    feed = Bitfinex(
        symbols=[PAIR],
        channels=[L3_BOOK, TRADES],
        callbacks={L3_BOOK: on_book, TRADES: on_trade},
        number_of_price_points=100,
    )
    handler.add_feed(feed)
    handler.run()


if __name__ == "__main__":
    main()
