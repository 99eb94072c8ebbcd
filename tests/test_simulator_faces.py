from __future__ import annotations

import asyncio
import json
import time

import pytest

from ordertape.simulator.bitfinex_exchange import BitfinexExchange
from ordertape.simulator.coinbase import SimulatedCoinbase
from ordertape.simulator.coinbase_exchange import CoinbaseExchange
from ordertape.simulator.coinbase_keys import DEMO_KEYS
from ordertape.simulator.exchange import EPOCH_NS, SimulatedMarket
from ordertape.simulator.faces import Exchange, Request, currencies
from ordertape.simulator.markets import MARKETS
from support.coinbase_client import subscribe

MS = 1_000_000
SECOND = 1_000 * MS


class Shown:
    """One market under both faces, a client at each."""

    def __init__(self, seed: int = 7, rate: int = 500) -> None:
        market = SimulatedMarket(MARKETS["BTC-USD"], seed, rate, EPOCH_NS, live_orders=300)
        self.exchange = Exchange(seed, [market], EPOCH_NS)
        self.bitfinex = BitfinexExchange(self.exchange)
        self.coinbase = CoinbaseExchange(self.exchange)
        self.texts: tuple[list[bytes], list[bytes]] = ([], [])
        client = self.bitfinex.connect(self.texts[0].append)
        client.receive('{"event":"conf","flags":229376}')
        for channel in ('"book","prec":"R0","len":"25"', '"trades"'):
            client.receive(f'{{"event":"subscribe","symbol":"tBTCUSD","channel":{channel}}}')
        keys = (DEMO_KEYS.key, DEMO_KEYS.secret, DEMO_KEYS.passphrase)
        self.coinbase.connect(self.texts[1].append).receive(
            subscribe(keys, str(EPOCH_NS // SECOND), "full", "heartbeat", products=("BTC-USD",))
        )


def test_both_faces_show_one_book() -> None:
    shown = Shown()
    shown.exchange.run_until(EPOCH_NS + 2 * SECOND)
    market = shown.bitfinex.markets["tBTCUSD"]
    market.publish(shown.exchange.now_ns // MS)
    window = market.windows[250].rows(100)
    book = json.loads(shown.coinbase.rest(Request("GET", "/products/BTC-USD/book?level=3")).body)
    for rows, name, sign in zip(window, ("bids", "asks"), (1, -1), strict=True):
        theirs = {shown.coinbase.ids.number(i): (p, s) for p, s, i in book[name]}
        assert len(rows) == 100
        assert all(
            (float(price), float(amount) * sign) == tuple(map(float, theirs[order_id]))
            for order_id, price, amount in rows
        )


def test_the_same_trades_are_told_by_both() -> None:
    shown = Shown(rate=2_000)
    shown.exchange.run_until(EPOCH_NS + 4 * SECOND)
    executed = [json.loads(text)[2][0] for text in shown.texts[0] if b'"te"' in text]
    matched = [json.loads(text)["trade_id"] for text in shown.texts[1] if b'"match"' in text]
    assert len(executed) > 10
    assert executed == matched[: len(executed)]


def test_what_is_told_does_not_depend_on_the_steps_of_time() -> None:
    whole, pieces = Shown(), Shown()
    whole.exchange.run_until(EPOCH_NS + 3 * SECOND)
    step = 0
    while pieces.exchange.now_ns < EPOCH_NS + 3 * SECOND:
        step = (step * 7 + 1_234_567) % (90 * MS)
        pieces.exchange.run_until(min(EPOCH_NS + 3 * SECOND, pieces.exchange.now_ns + step))
    assert whole.texts == pieces.texts
    assert min(len(texts) for texts in whole.texts) > 100


def test_keys_are_verified_by_the_clients_clock_where_the_venues_stood_still() -> None:
    shown = Shown()
    shown.exchange.behind_ns = 60 * SECOND
    keys = (DEMO_KEYS.key, DEMO_KEYS.secret, DEMO_KEYS.passphrase)
    answers: list[bytes] = []
    for seconds in (60, 0):
        timestamp = str(EPOCH_NS // SECOND + seconds)
        client = shown.coinbase.connect(answers.append)
        client.receive(subscribe(keys, timestamp, "full", products=("BTC-USD",)))
    assert b'"subscriptions"' in answers[0]
    assert b"timestamp expired" in answers[1]


async def test_a_clock_that_stood_still_knows_by_how_much() -> None:
    async with SimulatedCoinbase(rate=1_000) as server:
        exchange = server.clock.exchange
        await asyncio.sleep(0)  # its clock runs
        before = exchange.behind_ns
        time.sleep(1.5)  # noqa: ASYNC251 - the whole machine stands still
        async with asyncio.timeout(60):
            while exchange.behind_ns == before:  # noqa: ASYNC110 - a clock has no event
                await asyncio.sleep(0.005)
        assert abs(time.time_ns() - server.face.clients_ns) < SECOND


@pytest.mark.parametrize(
    ("symbol", "names"),
    [
        ("tBTCUST", ("BTC", "USDT")),
        ("tAVAX:USD", ("AVAX", "USD")),
        ("BTC-USD", ("BTC", "USD")),
        ("AAPL", ("AAPL", "USD")),
    ],
)
def test_a_market_has_two_currencies(symbol: str, names: tuple[str, str]) -> None:
    assert currencies(MARKETS[symbol]) == names
