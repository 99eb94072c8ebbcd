"""What a market's events add up to."""

from __future__ import annotations

import time
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from ordertape.api.answers import written
from ordertape.api.books import live_picture
from ordertape.api.context import Api, Exchange, Meant, Symbol, TheApi
from ordertape.api.figures import Figures, figures_of
from ordertape.api.query import EndTime, StartTime, period
from ordertape.api.stored import stored_figures
from ordertape.api.work import Leave
from ordertape.numbers import json_text
from ordertape.tape.lookup import TapeLookup

__all__ = ["router"]

router = APIRouter(tags=["statistics"])


@router.get(
    "/statistics/{exchange}/{symbol:path}",
    summary="Counts, volumes, rates and gaps of a market, and its live book's figures",
    response_class=Response,
)
async def statistics(
    request: Request,
    api: TheApi,
    exchange: Exchange,
    symbol: Symbol,
    start_time: StartTime = None,
    end_time: EndTime = None,
) -> Response:
    meant, times = await api.find_stored(exchange, symbol), period(start_time, end_time)
    stored = meant.stored is not None
    read, run = (stored_figures, api.work.run_long) if stored else (_answer, api.work.run)
    return written(await run(request, lambda leave: read(api, meant, times, leave)))


def _answer(api: Api, meant: Meant, times: tuple[int | None, int | None], leave: Leave) -> str:
    """Blocking work: the answer as JSON text."""
    lookup, history = api.lookup(meant), api.history(meant)
    found: dict[str, Any] = {"exchange": meant.exchange, "symbol": meant.symbol}
    found |= _figures(api, lookup, times, leave).as_dict()
    if meant.channel is not None:
        rate = meant.channel.replica.events_per_second()
        found["events_per_second"]["now"] = round(rate, 3)
    found["snapshots"] = history.digests(*times)
    found["gaps"] = {
        "count": len(history.gaps(*times)),
        "seconds": round(history.gap_seconds(time.time_ns(), *times), 3),
    }
    picture = live_picture(meant)
    live = "null" if picture is None else picture.statistics
    rest = json_text(meant.envelope(history))
    return f'{json_text(found)[:-1]},"live":{live},{rest[1:]}'


def _figures(
    api: Api, lookup: TapeLookup, times: tuple[int | None, int | None], leave: Leave
) -> Figures:
    start, end = times
    if start is None and end is None:
        return api.figures.whole(lookup, leave)
    first = lookup.first_seq() if start is None else lookup.seq_from(start)
    last = lookup.last_seq() if end is None else lookup.seq_from(end) - 1
    return figures_of(lookup, first, last, leave)
