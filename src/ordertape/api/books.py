"""The book of a market as it stands or stood, as an answer."""

from __future__ import annotations

import time
from typing import Any

from ordertape._engine import OrderBook
from ordertape.api.context import Api, Meant
from ordertape.api.work import Leave
from ordertape.broadcast.frames import BookPicture, Circumstance
from ordertape.numbers import json_text
from ordertape.tape.history import History
from ordertape.tape.rebuild import rebuild

__all__ = ["book_text", "live_picture"]


def book_text(api: Api, meant: Meant, at: int | None, depth: int, leave: Leave) -> str:
    """Blocking work: the answer of ``GET /snapshot`` as JSON text.

    ``at`` (ns, our clock, inclusive; None: now).  Raises UnknownMarket where nothing was recorded
    by then.
    """
    history = api.history(meant)
    picture = live_picture(meant) if at is None else None
    if picture is None:
        picture = _rebuilt(api, meant, history, at)
    leave()
    now = time.time_ns() if at is None else at
    members: dict[str, Any] = meant.envelope(history, picture.where.era)
    if at is not None:
        members |= {
            "state": picture.where.state,
            "age_ms": max(0, at - picture.ts_recv) // 10**6,
            "simulated": picture.where.simulated,
        }
    if (gap := history.gap_at(now)) is not None:
        members["gap"] = gap
    head = json_text({"exchange": meant.exchange, "symbol": meant.symbol})
    return f"{head[:-1]},{picture.members(depth)},{json_text(members)[1:]}"


def live_picture(meant: Meant) -> BookPicture | None:
    """The live book, where one runs and has begun."""
    return None if meant.channel is None else meant.channel.replica.picture()


def _rebuilt(api: Api, meant: Meant, history: History, at: int | None) -> BookPicture:
    folder = meant.folder
    book = rebuild(folder.data, folder.exchange, folder.symbol, at=at)
    state = history.state_at(time.time_ns() if at is None else at)
    where = Circumstance(meant.exchange, meant.symbol, state, book.era, history.simulated)
    return BookPicture.of(book, where, _venue_time(api, meant, book))


def _venue_time(api: Api, meant: Meant, book: OrderBook) -> int:
    """The venue's clock at the book's last event, 0 where it gives none (ns)."""
    for batch in api.lookup(meant).events(book.seq, book.seq):
        return batch[len(batch) - 1]["ts_event"] or 0
    return 0
