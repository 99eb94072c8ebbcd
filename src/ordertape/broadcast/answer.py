"""A market's book with what is known of it: the fields of ``GET /snapshot`` as JSON text."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ordertape.broadcast.frames import Circumstance
from ordertape.broadcast.picture import BookPicture
from ordertape.numbers import json_text
from ordertape.tape.folder import MarketFolder
from ordertape.tape.history import History
from ordertape.tape.reader import TapeReader
from ordertape.tape.rebuild import rebuild, time_of
from ordertape.times import NS_PER_MILLISECOND

__all__ = ["rebuilt_picture", "snapshot_text"]


def rebuilt_picture(folder: MarketFolder, history: History, at: int | None) -> BookPicture:
    """The book from the tape, as it stood ``at`` a moment (ns, our clock, inclusive) or stands.

    Raises UnknownMarket where nothing was recorded by then, TapeCorrupt.
    """
    book = rebuild(folder.data, folder.exchange, folder.symbol, at)
    reader = TapeReader(folder.data, folder.exchange, folder.symbol, book.seq)
    state = history.state_at(time.time_ns() if at is None else at)
    where = Circumstance(folder.exchange, folder.symbol, state, book.era, history.simulated)
    return BookPicture.of(book, where, time_of(book, reader.batches()))


def snapshot_text(
    picture: BookPicture, history: History, depth: int, at: int | None, known: Mapping[str, Any]
) -> str:
    """``known``: ``state``, ``age_ms`` and ``simulated`` of now, which the collector tells; of the
    past the tape tells the first two.  ``depth``: orders a side, 0 all."""
    members: dict[str, Any] = {**known, "era": picture.where.era}
    if at is not None:
        age_ns = max(0, at - picture.ts_recv)
        members |= {"state": picture.where.state, "age_ms": age_ns // NS_PER_MILLISECOND}
    if (gap := history.gap_at(time.time_ns() if at is None else at)) is not None:
        members["gap"] = gap
    head = json_text({"exchange": picture.where.exchange, "symbol": picture.where.symbol})
    return f"{head[:-1]},{picture.members(depth)},{json_text(members)[1:]}"
