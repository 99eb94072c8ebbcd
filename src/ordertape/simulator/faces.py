"""What the faces of one simulated exchange share: its markets, its time, and who is told what.

The same markets can be shown by several faces at once, each in its venue's own words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from ordertape.simulator.exchange import SimulatedMarket
from ordertape.simulator.markets import MarketShape
from ordertape.simulator.occurrences import Occurrence

__all__ = ["Answer", "Exchange", "Face", "Request", "currencies"]

_STEP_NS: Final = 1_000_000
"""Occurrences of so much time are told at once: finer than any venue's way to its clients."""
_NEVER: Final = 1 << 62


class Request:
    """One REST request as it came: ``target`` is its path with its query."""

    __slots__ = ("body", "headers", "method", "target")

    def __init__(
        self, method: str, target: str, headers: dict[str, str] | None = None, body: bytes = b""
    ) -> None:
        self.method, self.target, self.body = method, target, body
        self.headers = {name.lower(): value for name, value in (headers or {}).items()}

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


class Answer:
    """What a venue answers to it."""

    __slots__ = ("body", "headers", "status")

    def __init__(
        self, status: int, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> None:
        self.status, self.body = status, body
        self.headers = {"Content-Type": "application/json", **(headers or {})}


class Face(Protocol):
    """A venue's way to show an exchange."""

    @property
    def due_ns(self) -> int:
        """When `step` has something to do."""
        ...

    def take(self, market: SimulatedMarket, occurrences: Sequence[Occurrence], /) -> None:
        """What happened in a market since the last call."""
        ...

    def step(self) -> None:
        """Does what is due at the exchange's time."""
        ...


class Exchange:
    """Markets in one time, ``now_ns``, moved on by `run_until` alone."""

    def __init__(self, seed: int, markets: Sequence[SimulatedMarket], start_ns: int) -> None:
        self.seed = seed
        self.now_ns = start_ns
        self.behind_ns = 0
        """By how much its time has stood still: a client's clock goes on meanwhile."""
        self.markets = {market.shape.symbol: market for market in markets}
        """By the symbol of their shape."""
        self.faces: list[Face] = []

    @property
    def due_ns(self) -> int:
        """When something happens next."""
        return min(self._face_ns(), self._market_ns())

    def _face_ns(self) -> int:
        return min((face.due_ns for face in self.faces), default=_NEVER)

    def _market_ns(self) -> int:
        return min((market.due_ns for market in self.markets.values()), default=_NEVER)

    def run_until(self, time_ns: int) -> None:
        """Everything that happens up to and at that time, in its order."""
        while True:
            face_ns, market_ns = self._face_ns(), self._market_ns()
            if min(face_ns, market_ns) > time_ns:
                self.now_ns = max(self.now_ns, time_ns)
                return
            self.now_ns = max(self.now_ns, min(time_ns, face_ns, market_ns + _STEP_NS))
            self.tell()
            for face in self.faces:
                if face.due_ns <= self.now_ns:
                    face.step()

    def tell(self) -> None:
        """Moves the markets to ``now_ns`` and tells every face what happened in them."""
        for market in self.markets.values():
            if market.due_ns <= self.now_ns:
                occurrences = market.advance(self.now_ns)
                if occurrences:
                    for face in self.faces:
                        face.take(market, occurrences)


def currencies(shape: MarketShape) -> tuple[str, str]:
    """(base, quote) of a market by its symbol, as ``tBTCUST`` (BTC, USDT), ``tAVAX:USD``,
    ``BTC-USD``; what has one name is quoted in USD."""
    if "-" in shape.symbol:
        base, _, quote = shape.symbol.partition("-")
        return base, quote
    if not shape.symbol.startswith("t"):
        return shape.symbol, "USD"
    base, _, quote = shape.symbol[1:].partition(":")
    if not quote:
        base, quote = base[:3], base[3:]
    return base, "USDT" if quote == "UST" else quote
