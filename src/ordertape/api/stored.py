"""What PostgreSQL alone knows of a market: books, figures and gaps, by ``L3Repository``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from ordertape.api.context import Api, Meant
from ordertape.api.work import Leave
from ordertape.database.replay import replayed
from ordertape.database.repository import L3Repository
from ordertape.models import L3Snapshot
from ordertape.numbers import json_text
from ordertape.tape.times import format_time

__all__ = ["stored_book", "stored_figures", "stored_gaps"]

Result = TypeVar("Result")


def stored_book(api: Api, meant: Meant, at: int | None, depth: int, leave: Leave) -> str:
    """Blocking work: the answer of ``GET /snapshot`` as JSON text: the newest whole book, or the
    one at a moment (ns, inclusive), replayed.

    Raises UnknownMarket where nothing was saved by then, DatabaseError.
    """

    async def read(repository: L3Repository) -> L3Snapshot:
        newest = None
        if at is None:
            newest = await repository.get_latest_snapshot(meant.exchange, meant.symbol)
        if newest is not None:
            return newest
        async with repository.connection() as connection:
            book = await replayed(connection, meant.exchange, meant.symbol, at)
        return L3Snapshot.from_book(meant.exchange, meant.symbol, book)

    book = _asked(api, leave, read)
    if depth:
        book = book.model_copy(update={"bids": book.bids[:depth], "asks": book.asks[:depth]})
    text = book.model_dump_json(exclude={"ts_recv_ns", "era"})
    return f"{text[:-1]},{json_text(meant.envelope(era=book.era or 0))[1:]}"


def stored_figures(
    api: Api, meant: Meant, times: tuple[int | None, int | None], leave: Leave
) -> str:
    """Blocking work: the answer of ``GET /statistics`` as JSON text."""
    names = (meant.exchange, meant.symbol)
    found = _asked(api, leave, lambda repository: repository.get_statistics(*names, *times))
    return json_text({**found, **meant.envelope()})


def stored_gaps(
    api: Api, meant: Meant, times: tuple[int | None, int | None], leave: Leave
) -> list[dict[str, Any]]:
    """Blocking work: gaps as ``History.gaps`` shows them."""
    names = (meant.exchange, meant.symbol)
    found = _asked(api, leave, lambda repository: repository.get_gaps(*names, *times))
    return [
        {
            "from": format_time(gap["from_ns"]),
            "to": None if gap["to_ns"] is None else format_time(gap["to_ns"]),
            "reason": gap["reason"],
            "healed_by": gap["healed_by"],
        }
        for gap in found
    ]


def _asked(api: Api, leave: Leave, read: Callable[[L3Repository], Awaitable[Result]]) -> Result:
    """What the repository says, in a loop of this thread's own: rows made into objects would hold
    up the server's.  A client that leaves cancels the query with the task."""
    assert api.database is not None
    address = api.database.address

    async def run() -> Result:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None

        def cancel() -> None:
            loop.call_soon_threadsafe(task.cancel)

        with leave.calling(cancel):
            async with L3Repository(address=address, settings=api.settings) as repository:
                return await read(repository)

    try:
        return asyncio.run(run())
    except asyncio.CancelledError:
        leave()
        raise
