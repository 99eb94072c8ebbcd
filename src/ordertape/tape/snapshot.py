"""A whole book on the tape: state, not events."""

from __future__ import annotations

from dataclasses import dataclass

from ordertape._engine import EventBatch, OrderBook
from ordertape.tape.codecs import MarketCodecs

__all__ = ["Snapshot"]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The book after event ``seq``: a SNAPSHOT frame of the journal, or a base of the archive.

    ``rows``: OPEN rows flagged SNAPSHOT, in queue order inside a price; None where the book is
    empty.  ``after_clear``: they are the rows that followed the CLEAR ``seq``, as they were told.
    ``terms``: how many dictionary terms, of orders and of trades, were known by then.
    """

    seq: int
    ts_recv: int
    era: int
    digest: str
    rows: EventBatch | None
    after_clear: bool = False
    terms: tuple[int, int] = (0, 0)

    def book(self, codecs: MarketCodecs) -> OrderBook:
        """A book that stands so."""
        book = OrderBook(codec=codecs.order)
        self.restore(book)
        return book

    def restore(self, book: OrderBook) -> None:
        """Replaces everything in a book by this."""
        rows = self.rows if self.rows is not None else _no_rows(book)
        book.restore(rows, self.era, self.seq, self.ts_recv)


def _no_rows(book: OrderBook) -> EventBatch:
    return EventBatch.from_arrays(
        kind=[],
        side=[],
        order_id=[],
        price=[],
        size=[],
        ts_recv=[],
        price_scale=book.price_scale or 0,
        size_scale=book.size_scale or 0,
        codec=book.codec,
    )
