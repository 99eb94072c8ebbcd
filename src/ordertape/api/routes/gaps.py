"""Noticed losses."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from ordertape.api.answers import exact
from ordertape.api.context import Exchange, Symbol, TheApi
from ordertape.api.query import EndTime, StartTime, period

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
    meant, times = api.find(exchange, symbol), period(start_time, end_time)
    history = await api.work.run(request, lambda _leave: api.history(meant))
    return exact(
        {
            "exchange": meant.exchange,
            "symbol": meant.symbol,
            "gaps": history.gaps(*times),
            **meant.envelope(history),
        }
    )
