"""A tape with native icebergs in it: what detectors find is known beforehand."""

from __future__ import annotations

from ordertape.events import EventKind, Reason, Side
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter
from support.tape import Market

__all__ = ["MS", "Icebergs", "write_icebergs"]

MS = 1_000_000


class Icebergs(Market):
    """Now and then an order is filled to its last rest and stands there whole again."""

    def iceberg(self, writer: JournalWriter, peaks: int = 4) -> str:
        """One that shows ``peaks`` peaks and is executed; its id."""
        order, price, peak = self._id(), 10_000, 5 * 10**8
        self._one(writer, EventKind.OPEN, order, price, peak, step=50 * MS)
        for nth in range(peaks):
            last = nth == peaks - 1
            part = peak if last else peak - 10**7
            self.trades += 1
            more = {"trade_id": str(9_000_000 + self.trades), "taker_side": Side.ASK}
            self._one(writer, EventKind.MATCH, order, price, part, step=100 * MS, **more)
            if not last:
                self._one(writer, EventKind.CHANGE, order, price, peak, step=1 * MS)
        self._one(writer, EventKind.DONE, order, price, 0, reason=Reason.FILLED)
        return order

    def _one(
        self,
        writer: JournalWriter,
        kind: EventKind,
        order: str,
        price: int,
        size: int,
        step: int = 0,
        **more: object,
    ) -> None:
        self.now += step
        self._add(kind, order, Side.BID, price, size, **more)
        batch = self.builder.finish(self.next_seq)
        self.next_seq = batch.last_seq + 1
        self.book.apply(batch)
        writer.append(batch)


def write_icebergs(
    folder: MarketFolder, count: int, *, between: int = 40, begun: int | None = None
) -> tuple[Icebergs, list[str]]:
    """A market with so many icebergs, and their ids; ``between`` other messages before each."""
    market, ids = Icebergs(seed=5, orders=25), []
    if begun is not None:
        market.now = begun
    with JournalWriter(folder) as writer:
        for nth in range(count):
            for batch in market.messages(
                between, clear_every=0 if nth else between, step_ns=20 * MS
            ):
                writer.append(batch)
            ids.append(market.iceberg(writer))
        for batch in market.messages(between, step_ns=20 * MS):
            writer.append(batch)
    return market, ids
