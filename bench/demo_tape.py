"""The demo tape: what our Bitfinex session makes of the simulated venue, 250 orders a side."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ordertape._engine import EventBatch, IdCodec, OrderBook
from ordertape.events import COLUMNS
from ordertape.simulator import frames
from ordertape.tape.archive import ArchiveWriter
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter
from ordertape.venues.bitfinex import BitfinexSession

__all__ = ["SEED", "SYMBOL", "VENUE_SYMBOL", "DemoTape", "archived_bytes", "write_archive"]

SEED = 7
SYMBOL = "BTC/USDT"
VENUE_SYMBOL = "tBTCUST"
_APPEND_ROWS = 100_000


@dataclass
class DemoTape:
    """The events of a session, and the book that they leave."""

    events: EventBatch
    digest: str
    folder: Path

    @staticmethod
    def recorded(updates: int, folder: Path) -> DemoTape:
        """As many book updates as that, and the trades between them."""
        book = OrderBook()
        session = BitfinexSession(SYMBOL, book)
        session.opened()
        batches = []
        for ts_recv, text in frames(SEED, updates, symbol=VENUE_SYMBOL):
            outcome = session.frame(text, ts_recv)
            while outcome is not None:
                if outcome.batch is not None:
                    batches.append(outcome.batch)
                outcome = outcome.then
        return DemoTape(EventBatch.concat(batches), book.digest(), folder)

    def with_uuids(self) -> EventBatch:
        """The same events with a random UUID in place of each order's id."""
        columns = {
            name: np.asarray(column)
            for name in COLUMNS
            if (column := self.events.column(name)) is not None
        }
        keys = columns["order_id"].view("<u8")
        wide = np.ascontiguousarray(keys).reshape(len(self.events), 2)
        known, which = np.unique(wide, axis=0, return_inverse=True)
        ids = _random_uuids(len(known))
        # The key that stands for "none" stays what it is.
        ids[(known == np.iinfo(np.uint64).max).all(axis=1)] = 0xFF
        columns["order_id"] = ids[which.reshape(-1)]
        return EventBatch.from_arrays(
            **columns,
            price_scale=self.events.price_scale,
            size_scale=self.events.size_scale,
            codec="uuid",
            trade_codec=self.events.trade_codec,
        )

    @cached_property
    def journaled(self) -> MarketFolder:
        """The tape as a journal alone."""
        folder = MarketFolder(self.folder / "journaled", "bitfinex", SYMBOL)
        with JournalWriter(folder) as journal:
            for first in range(0, len(self.events), 1_000):
                journal.append(self.events[first : first + 1_000])
        return folder

    @cached_property
    def archived(self) -> MarketFolder:
        """The tape as an archive alone."""
        return write_archive(self.folder / "archived", self.events)


def _random_uuids(count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """(count, 16) keys of version 4, as the engine's codec encodes them."""
    draws = np.random.default_rng(SEED)
    texts = draws.integers(0, 256, (count, 16), dtype=np.uint8)
    codec = IdCodec("uuid")
    keys = bytearray()
    for row in texts.tobytes().hex(" ", 16).split():
        keys += codec.encode(f"{row[:8]}-{row[8:12]}-4{row[13:16]}-a{row[17:20]}-{row[20:]}")
    return np.frombuffer(bytes(keys), np.uint8).reshape(count, 16).copy()


def write_archive(data: Path, events: EventBatch) -> MarketFolder:
    """An archive of these events alone, whole and closed."""
    folder = MarketFolder(data, "bitfinex", SYMBOL)
    writer = ArchiveWriter(folder)
    for first in range(0, len(events), _APPEND_ROWS):
        writer.append(events[first : first + _APPEND_ROWS])
    writer.close_file()
    writer.commit()
    return folder


def archived_bytes(folder: MarketFolder) -> tuple[int, int]:
    """(bytes of the files of events, bytes of the books beside them)."""
    sizes = {"events": 0, "base": 0}
    for path in folder.archive.glob("*.parquet"):
        sizes[path.name.partition("-")[0]] += path.stat().st_size
    return sizes["events"], sizes["base"]
