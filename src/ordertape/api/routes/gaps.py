"""Noticed losses."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from ordertape.api.answers import exact
from ordertape.api.context import Exchange, Symbol, TheApi
from ordertape.api.query import EndTime, StartTime, period
from ordertape.api.stored import stored_gaps
from ordertape.api.work import Leave

__all__ = ["router"]

router = APIRouter(tags=["gaps"])


@router.get(
    "/gaps/{exchange}/{symbol:path}",
    summary="When events were lost, why, and which snapshot healed it",
    response_class=Response,
)
async def gaps(
    request: Request,
    api: TheApi,
    exchange: Exchange,
    symbol: Symbol,
    start_time: StartTime = None,
    end_time: EndTime = None,
) -> Response:
    meant, times = await api.find_stored(exchange, symbol), period(start_time, end_time)

    def read(leave: Leave) -> dict[str, Any]:
        history = api.history(meant)
        known = (
            history.gaps(*times) if meant.stored is None else stored_gaps(api, meant, times, leave)
        )
        return {"gaps": known, **meant.envelope(history)}

    found = await api.work.run(request, read)
    return exact({"exchange": meant.exchange, "symbol": meant.symbol, **found})
