"""A small LOBSTER day, and the orderbook lines that a book of ours makes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

from ordertape._engine import EventBatch, OrderBook
from ordertape.events import Flag

NAME = "TEST_2012-06-21_34200000_57600000"
NO_ASK, NO_BID = "9999999999,0", "-9999999999,0"

MESSAGES = """\
34200.004241176,1,101,18,5853300,1
34200.1,1,102,10,5853400,-1
34200.2,4,102,4,5853400,-1
34200.25,2,101,8,5853300,1
34200.3,3,77,40,5853000,1
34200.3,4,78,60,5853000,1
34200.4,5,0,7,5853350,1
34200.5,4,102,6,5853400,-1
34200.6,7,0,0,-1,-1
34200.7,6,-1,500,5853350,-1
34200.8,3,79,25,5854000,-1
34200.9,3,999,5,5900000,-1
34201.0,3,101,10,5853300,1
"""
BOOK_AFTER_MESSAGE_1 = "5854000,100,5853300,18,9999999999,0,5853000,150\n"


def files(
    folder: Path, messages: str = MESSAGES, book: str = BOOK_AFTER_MESSAGE_1
) -> tuple[Path, Path]:
    paths = folder / f"{NAME}_message_2.csv", folder / f"{NAME}_orderbook_2.csv"
    paths[0].write_text(messages)
    paths[1].write_text(book)
    return paths


def book_line(book: OrderBook, levels: int) -> str:
    bids, asks = book.depth_scaled(levels)

    def fields(side: Sequence[tuple[int, int, int]], nothing: str) -> Iterator[str]:
        yield from (f"{price},{size}" for price, size, _ in side)
        yield from itertools.repeat(nothing, levels - len(side))

    pairs = zip(fields(asks, NO_ASK), fields(bids, NO_BID), strict=True)
    return ",".join(itertools.chain.from_iterable(pairs))


def books_after_messages(batches: list[EventBatch], levels: int) -> dict[int, str]:
    """The orderbook line after each message that is an event, by the message's number."""
    book, lines = OrderBook(), {}
    for batch in batches:
        begin = 0
        for row in range(len(batch)):
            if batch[row]["flags"] & Flag.LAST:
                assert book.apply(batch[begin : row + 1]).faults == 0
                begin = row + 1
                number = batch[row]["venue_seq"]
                lines[number or 0] = book_line(book, levels)
    return lines
