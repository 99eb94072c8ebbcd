"""A Bitfinex session under test: made, synced, played to."""

from __future__ import annotations

from typing import Any

from ordertape._engine import EventBatch, OrderBook
from ordertape.venues.bitfinex import BitfinexSession
from ordertape.venues.session import Outcome
from support.bitfinex import START_MS

T = START_MS * 1_000_000
MS = 1_000_000


def make(symbol: str = "BTC/USD") -> BitfinexSession:
    return BitfinexSession(symbol, OrderBook(codec="int"))


def play(session: BitfinexSession, frames: list[str], start: int = T) -> list[Outcome]:
    """All outcomes of the frames, 1 ms apart."""
    outcomes = []
    for nth, frame in enumerate(frames):
        outcome = session.frame(frame.encode(), start + nth * MS)
        while outcome is not None:
            outcomes.append(outcome)
            outcome = outcome.then
    return outcomes


def synced(
    orders: str = "[1,100,2],[2,99,1],[3,101,-1],[4,102,-3]", flags: int = 229376, length: int = 25
) -> BitfinexSession:
    """A session after this snapshot; frames that follow carry sequence 2, 3, … with all flags."""
    session = make()
    tail = {229376: ",1,1700000000000", 32768: ",1700000000000"}.get(flags, "")
    frames = [
        f'{{"event":"conf","status":"OK","flags":{flags}}}',
        '{"event":"subscribed","channel":"book","chanId":7,"symbol":"tBTCUSD","prec":"R0",'
        f'"freq":"F0","len":{length}}}',
        f"[7,[{orders}]{tail}]",
    ]
    outcomes = play(session, frames)
    assert outcomes[-1].synced
    return session


def rows(batch: EventBatch | None) -> list[dict[str, Any]]:
    assert batch is not None
    return [batch[index] for index in range(len(batch))]
