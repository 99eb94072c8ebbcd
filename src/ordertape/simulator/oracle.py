"""The true book of a simulated market, now and at any of its last occurrences."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from ordertape._engine import EventBatch, OrderBook
from ordertape.events import EventKind, Flag
from ordertape.simulator.occurrences import Occurrence, to_batch
from ordertape.simulator.queues import Order

__all__ = ["Oracle", "true_book"]


def true_book(
    rows: Iterable[Order],
    price_scale: int,
    size_scale: int,
    id_text: Callable[[int], str],
    id_codec: str,
) -> OrderBook:
    """The engine's book of these orders (bids then asks, best first, in queue order)."""
    orders = list(rows)
    book = OrderBook(price_scale, size_scale, id_codec)
    if orders:
        book.restore(
            EventBatch.from_arrays(
                kind=[EventKind.OPEN] * len(orders),
                side=[order.side for order in orders],
                order_id=[id_text(order.order_id) for order in orders],
                price=[order.price for order in orders],
                size=[order.size for order in orders],
                flags=[Flag.SNAPSHOT] * len(orders),
                ts_event=[0] * len(orders),
                price_scale=price_scale,
                size_scale=size_scale,
                codec=id_codec,
            ),
            1,
        )
    return book


class Oracle:
    """Remembers the last ``keep`` occurrences and the book before them.

    Digests are made when asked for: the occurrences since the last question are applied to a book
    of our engine, or, for an older sequence, all since the book before them.
    """

    def __init__(self, book: OrderBook, keep: int, id_text: Callable[[int], str] = str) -> None:
        self._keep = keep
        self._id_text = id_text
        self._base = book
        self._base_sequence = 0
        self._log: deque[Occurrence] = deque()
        self._cursor = _copy(book)
        self._cursor_sequence = 0

    def extend(self, occurrences: Sequence[Occurrence]) -> None:
        self._log.extend(occurrences)
        # Twice the number, so that the base is moved on in long steps.
        if len(self._log) >= 2 * self._keep:
            count = len(self._log) - self._keep
            self._apply(self._base, [self._log.popleft() for _ in range(count)])
            self._base_sequence += count

    @property
    def sequences(self) -> tuple[int, int]:
        """The first and the last sequence whose book can be told."""
        return self._base_sequence, self._base_sequence + len(self._log)

    def digest_at(self, sequence: int) -> str:
        """Of the book after that occurrence; LookupError where it is not kept."""
        first, last = self.sequences
        if not first <= sequence <= last:
            raise LookupError(f"expected a sequence of {first} to {last}, found {sequence}")
        if not first <= self._cursor_sequence <= sequence:
            self._cursor, self._cursor_sequence = _copy(self._base), first
        start, end = self._cursor_sequence - first, sequence - first
        self._apply(self._cursor, list(islice(self._log, start, end)))
        self._cursor_sequence = sequence
        return self._cursor.digest()

    def _apply(self, book: OrderBook, occurrences: list[Occurrence]) -> None:
        scales = book.price_scale, book.size_scale
        if scales[0] is None or scales[1] is None:
            raise AssertionError("the true book is made with its scales")
        batch = to_batch(occurrences, scales[0], scales[1], self._id_text, book.codec)
        if batch is not None:
            book.apply(batch)


def _copy(book: OrderBook) -> OrderBook:
    copy = OrderBook(book.price_scale, book.size_scale, book.codec)
    copy.restore(book.snapshot(), book.era, book.seq)
    return copy
