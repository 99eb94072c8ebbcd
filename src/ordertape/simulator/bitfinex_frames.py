"""What a client of the simulated Bitfinex receives, made without sockets and without waiting."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from ordertape import limits
from ordertape.simulator.bitfinex_exchange import SEQ_ALL, TIMESTAMP, BitfinexExchange
from ordertape.simulator.bitfinex_market import OB_CHECKSUM
from ordertape.simulator.draws import Draws
from ordertape.simulator.exchange import EPOCH_NS, SimulatedMarket
from ordertape.simulator.faces import Exchange
from ordertape.simulator.markets import chosen_markets

__all__ = ["frames"]


def frames(
    seed: int,
    events: int,
    length: int = 250,
    with_tail: bool = True,
    *,
    trades: bool = True,
    symbol: str = "tBTCUST",
    rate: int = 200,
    start_ns: int = EPOCH_NS,
) -> Iterator[tuple[int, bytes]]:
    """What one client of the venue receives, as (receive time in ns, text), without any waiting.

    Ends with the iteration that brings the book frames (deletes and changes) to ``events``.
    ``with_tail``: the client asked for TIMESTAMP, SEQ_ALL and OB_CHECKSUM, else for no flag.
    With and without them, and with and without ``trades``, the book frames are the same.
    """
    sent: list[bytes] = []
    (shape,) = chosen_markets((symbol,), rate)
    market = SimulatedMarket(shape, seed, rate, start_ns)
    exchange = BitfinexExchange(Exchange(seed, [market], start_ns))
    connection = exchange.connect(sent.append)
    requests: list[dict[str, Any]] = []
    if with_tail:
        requests.append({"event": "conf", "flags": TIMESTAMP | SEQ_ALL | OB_CHECKSUM})
    book = {"channel": "book", "symbol": symbol, "prec": "R0", "freq": "F0", "len": str(length)}
    requests.append({"event": "subscribe", **book})
    if trades:
        requests.append({"event": "subscribe", "channel": "trades", "symbol": symbol})
    for request in requests:
        connection.receive(msgspec.json.encode(request))
    arrivals = _Arrivals(seed)
    while True:
        yield from arrivals.stamp(exchange.now_ns, sent)
        sent.clear()
        if connection.updates >= events:
            return
        exchange.exchange.run_until(exchange.due_ns)


class _Arrivals:
    """Receive times of texts that were sent at once: a way of some milliseconds that varies, then
    one TCP segment after the other, and inside a segment the pace at which a client reads."""

    def __init__(self, seed: int) -> None:
        self._bits = Draws(f"{seed} way to the client").bits
        self._last_ns = 0

    def stamp(self, sent_ns: int, texts: list[bytes]) -> Iterator[tuple[int, bytes]]:
        bits = self._bits
        # The sum of coins is close to a normal spread, the added power to the tail of a queue.
        at = sent_ns + 8_400_000 + bits(64).bit_count() * 9_000 + (bits(17) << bits(3) // 2)
        at = max(at, self._last_ns)
        room = limits.simulator_segment_bytes
        for text in texts:
            room -= len(text) + 4
            if room < 0:
                room = limits.simulator_segment_bytes
                at += 4_000 + bits(14)
            at += 350 + bits(9) + (bits(12) if bits(4) == 0 else 0)
            yield at, text
        self._last_ns = at
