"""Tapes whose orders do all that an order can: gaps, eras, evictions, ends explained late."""

from __future__ import annotations

import random

from ordertape import limits
from ordertape._engine import EventBatch
from ordertape.events import EventKind, Flag, Reason
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter
from ordertape.tape.marks import Mark, gap_mark
from ordertape.tape.reader import TapeReader
from support.tape import Market
from support.tape_lives import TapeLives

__all__ = ["Unexplained", "by_hand", "write"]

HOLD_NS = limits.attribution_horizon_ms * 1_000_000


class Unexplained(Market):
    """A market that does not say why some of its orders ended, and explains some of them later."""

    def _event(self) -> None:
        draw = self.random.random()
        if draw > 0.15 or len(self.resting) < 4:
            super()._event()
            return
        order = self.random.choice(sorted(self.resting))
        side, price, size = self.resting.pop(order)
        self._add(EventKind.DONE, order, side, price, size, reason=Reason.UNKNOWN)
        if draw < 0.07:
            late = {"flags": Flag.LATE | Flag.INFERRED}
            self._add(EventKind.MATCH, order, side, price, self.random.choice((1, size)), **late)


def write(folder: MarketFolder, market: Market, messages: int, seed: int = 1) -> None:
    """A tape with eras, and gaps before some of them."""
    dice = random.Random(seed)
    with JournalWriter(folder) as writer:
        doubt: int | None = None
        for nth in range(messages):
            clear = nth == 0 or dice.random() < 0.01
            if clear and nth and dice.random() < 0.7:
                doubt = market.now - dice.choice((0, 40_000_000))
                writer.mark(gap_mark(market.next_seq - 1, doubt, None, "the line broke", era=1))
            batch = market.message(clear=clear, step_ns=20_000_000 if dice.random() < 0.1 else None)
            writer.append(batch)
            if clear and doubt is not None:
                healed = {"era": 1, "healed_by": batch.first_seq}
                mark = gap_mark(batch.last_seq, doubt, market.now, "the line broke", **healed)
                writer.mark(mark)
                doubt = None


def by_hand(folder: MarketFolder) -> TapeLives:
    reader = TapeReader(folder.data, folder.exchange, folder.symbol)
    items = (item for item in reader.items() if isinstance(item, EventBatch | Mark))
    return TapeLives(items, hold_ns=HOLD_NS)
