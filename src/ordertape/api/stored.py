"""What PostgreSQL alone knows of a market: books, figures and gaps."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import psycopg

from ordertape import limits
from ordertape.api.context import Api, Meant
from ordertape.api.work import Leave
from ordertape.database.books import latest_book
from ordertape.database.gaps import gaps_between
from ordertape.database.replay import replayed
from ordertape.database.statistics import market_statistics
from ordertape.models import L3Snapshot
from ordertape.numbers import json_text
from ordertape.times import iso_from_ns

__all__ = ["stored_book", "stored_figures", "stored_gaps"]


def stored_book(api: Api, meant: Meant, at: int | None, depth: int, leave: Leave) -> str:
    """Blocking work: the answer of ``GET /snapshot`` as JSON text: the newest whole book, or the
    one at a moment (ns, inclusive), replayed.

    Raises UnknownMarket where nothing was saved by then, DatabaseError.
    """
    names = (meant.exchange, meant.symbol)
    with _connection(api, leave) as connection:
        book = latest_book(connection, *names) if at is None else None
        if book is None:
            book = L3Snapshot.from_book(*names, replayed(connection, *names, at))
    if depth:
        book = book.model_copy(update={"bids": book.bids[:depth], "asks": book.asks[:depth]})
    text = book.model_dump_json(exclude={"ts_recv_ns", "era"})
    return f"{text[:-1]},{json_text(meant.envelope(era=book.era or 0))[1:]}"


def stored_figures(
    api: Api, meant: Meant, times: tuple[int | None, int | None], leave: Leave
) -> str:
    """Blocking work: the answer of ``GET /statistics`` as JSON text."""
    with _connection(api, leave) as connection:
        found = market_statistics(connection, meant.exchange, meant.symbol, *times)
    return json_text({**found, **meant.envelope()})


def stored_gaps(
    api: Api, meant: Meant, times: tuple[int | None, int | None], leave: Leave
) -> list[dict[str, Any]]:
    """Blocking work: gaps as ``History.gaps`` shows them."""
    with _connection(api, leave, limits.database_page_ms_max) as connection:
        found = gaps_between(connection, meant.exchange, meant.symbol, *times)
    return [
        {
            "from": iso_from_ns(gap.from_ns),
            "to": None if gap.to_ns is None else iso_from_ns(gap.to_ns),
            "reason": gap.reason,
            "healed_by": gap.healed_by,
        }
        for gap in found
    ]


def _connection(
    api: Api, leave: Leave, timeout_ms: int = limits.database_statement_timeout_ms
) -> AbstractContextManager[psycopg.Connection]:
    """For the only one that can answer; a client that leaves cancels its query."""
    assert api.database is not None
    return api.database.connections.use(timeout_ms, leave.calling)
