"""bitfinex-api-py reads a raw book; run in an environment that has it, imports nothing of ours.

``python bfxapi_reader.py WS_URL SYMBOL CHECKSUMS``: prints one line of JSON: how many of so many
checksums were those of the book its events led to, and how many events of each kind came.
"""

from __future__ import annotations

import asyncio
import json
import sys
import zlib
from collections import Counter
from decimal import Decimal

from bfxapi import Client


def text(number) -> str:
    """As JavaScript prints it: short, an exponent only below a millionth."""
    value = Decimal(str(number)).normalize()
    if value == 0 or value.adjusted() >= -6:
        return format(value, "f")
    sign, digits, _ = value.as_tuple()
    plain = "".join(map(str, digits))
    point = "." + plain[1:] if len(plain) > 1 else ""
    return f"{'-' if sign else ''}{plain[0]}{point}e-{-value.adjusted()}"


def checksum(book: dict) -> int:
    bids = sorted((-price, i, amount) for i, (price, amount) in book.items() if amount > 0)
    asks = sorted((price, i, amount) for i, (price, amount) in book.items() if amount < 0)
    parts = []
    for place in range(25):
        for side in (bids, asks):
            if place < len(side):
                parts += [str(side[place][1]), text(side[place][2])]
    return zlib.crc32(":".join(parts).encode())  # the library hands the venue's on unsigned


def main() -> None:
    url, symbol, wanted = sys.argv[1], sys.argv[2], int(sys.argv[3])
    client = Client(wss_host=url)
    book, counts, closing = {}, Counter(), []

    def take(row) -> None:
        if row.price == 0:
            book.pop(row.order_id)
        else:
            book[row.order_id] = (row.price, row.amount)

    @client.wss.on("open")
    async def on_open() -> None:
        await client.wss.subscribe("book", symbol=symbol, prec="R0", len="25")
        await client.wss.subscribe("trades", symbol=symbol)

    @client.wss.on("t_raw_book_snapshot")
    def on_snapshot(_subscription, rows) -> None:
        counts["snapshot"] += 1
        for row in rows:
            take(row)

    @client.wss.on("t_raw_book_update")
    def on_update(_subscription, row) -> None:
        counts["update"] += 1
        take(row)

    @client.wss.on("t_trade_execution")
    def on_trade(_subscription, _trade) -> None:
        counts["trade"] += 1

    @client.wss.on("checksum")
    def on_checksum(_subscription, value) -> None:  # not async: that would come late
        counts["checksum"] += 1
        counts["equal"] += checksum(book) == value
        if counts["checksum"] == wanted:
            print(json.dumps(counts), flush=True)
            closing.append(asyncio.ensure_future(client.wss.close()))

    client.wss.run()


if __name__ == "__main__":
    main()
