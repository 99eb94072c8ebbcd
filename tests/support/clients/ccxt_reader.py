"""ccxt reads a Coinbase Exchange; run in an environment that has it, imports nothing of ours.

``python ccxt_reader.py WS_URL REST_URL KEY SECRET PASSPHRASE``: prints one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys

import ccxt.pro


def made(ws_url: str, rest_url: str, key: str, secret: str, passphrase: str):
    exchange = ccxt.pro.coinbaseexchange(
        {"apiKey": key, "secret": secret, "password": passphrase, "enableRateLimit": True}
    )
    exchange.urls["api"] = {"public": rest_url, "private": rest_url, "ws": ws_url}
    return exchange


async def refusal(exchange) -> str:
    """What ccxt makes of a signed request that the venue does not know."""
    try:
        await exchange.fetch_accounts()
    except ccxt.BaseError as error:
        return f"{type(error).__name__}: {error}"
    return "accepted"


async def main() -> None:
    ws_url, rest_url, key, secret, passphrase = sys.argv[1:]
    exchange = made(ws_url, rest_url, key, secret, passphrase)
    stranger = made(ws_url, rest_url, key, "YW5vdGhlcg==", passphrase)
    try:
        markets = await exchange.load_markets()
        book = await exchange.fetch_order_book("BTC/USD")
        trades = []
        while len(trades) < 5:
            trades += await exchange.watch_trades("BTC/USD")
        found = {
            "symbols": sorted(markets),
            "time": await exchange.fetch_time(),
            "bids": book["bids"][:3],
            "asks": book["asks"][:3],
            "trades": [[t["id"], t["side"], t["price"], t["amount"]] for t in trades],
            "known": await refusal(exchange),
            "stranger": await refusal(stranger),
        }
        print(json.dumps(found), flush=True)
    finally:
        await exchange.close()
        await stranger.close()


if __name__ == "__main__":
    asyncio.run(main())
