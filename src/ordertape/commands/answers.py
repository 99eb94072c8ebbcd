"""What ``ordertape book`` answers: the fields of ``GET /snapshot``."""

from __future__ import annotations

import time
from typing import Any

from ordertape._engine import OrderBook
from ordertape.events import Side
from ordertape.models import L3Statistics
from ordertape.roles.status import read_report
from ordertape.tape.folder import MarketFolder
from ordertape.tape.history import history_of
from ordertape.tape.reader import TapeReader
from ordertape.times import NS_PER_MILLISECOND, iso_from_ns

__all__ = ["book_answer"]


def book_answer(
    folder: MarketFolder, reader: TapeReader, book: OrderBook, at_ns: int | None, depth: int
) -> dict[str, Any]:
    """The answer for a book rebuilt at a moment, or as it stands (``at_ns`` None).

    ``depth``: orders a side, 0 all.  ``age_ms``: since the venue's last frame, which a running
    collector knows; in the past, since the last event.
    """
    now_ns = time.time_ns() if at_ns is None else at_ns
    found = history_of(reader)
    last_report = read_report(folder.root)
    simulated = found.simulated or (last_report is not None and last_report.simulated)
    running = at_ns is None and last_report is not None and last_report.fresh
    report = last_report if running else None
    state = found.state_at(now_ns)
    if at_ns is None and report is None and state != "FAILED":
        state = "STOPPED"  # nobody collects: what the last mark says is no longer so
    age_ms = (
        report.age_ms()
        if report is not None
        else max(0, now_ns - book.ts_recv) // NS_PER_MILLISECOND
    )
    answer: dict[str, Any] = {
        "exchange": folder.exchange,
        "symbol": folder.symbol,
        "sequence": book.seq,
        "timestamp": iso_from_ns(_venue_time(reader, book)),
        "statistics": L3Statistics.from_book(book).model_dump(),
        "bids": _orders(book, Side.BID, depth),
        "asks": _orders(book, Side.ASK, depth),
        "state": report.state if report is not None else state,
        "era": book.era,
        "age_ms": age_ms,
        "simulated": simulated,
    }
    if (gap := found.gap_at(now_ns)) is not None:
        answer["gap"] = gap
    return answer


def _orders(book: OrderBook, side: Side, depth: int) -> list[dict[str, Any]]:
    return [
        {"order_id": order_id, "price": price, "size": size}
        for order_id, price, size in book.orders(side, depth)
    ]


def _venue_time(reader: TapeReader, book: OrderBook) -> int:
    """The venue's clock at the book's last event where it gives one, else ours (ns)."""
    for batch in reader.since(book.seq).batches():
        if len(batch):
            ts_event = batch[0]["ts_event"]
            return int(ts_event) if ts_event is not None else book.ts_recv
    return book.ts_recv
