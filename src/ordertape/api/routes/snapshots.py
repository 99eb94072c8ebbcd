"""The book, live or as it stood."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from ordertape import limits
from ordertape.api.answers import written
from ordertape.api.books import book_text
from ordertape.api.context import Exchange, Symbol, TheApi
from ordertape.api.query import moment
from ordertape.api.stored import stored_book

__all__ = ["router"]

router = APIRouter(tags=["snapshot"])


@router.get(
    "/snapshot/{exchange}/{symbol:path}",
    summary="The book order by order, now or as it stood",
    response_class=Response,
)
async def snapshot(
    request: Request,
    api: TheApi,
    exchange: Exchange,
    symbol: Symbol,
    depth: Annotated[
        int, Query(ge=0, le=limits.depth_max, description="orders a side, 0 all")
    ] = limits.snapshot_depth_default,
    at: Annotated[
        str | None,
        Query(description="a moment of our clock, with it", examples=["2026-11-22T07:00:00Z"]),
    ] = None,
) -> Response:
    meant, when = await api.find_stored(exchange, symbol), moment("at", at)
    stored = meant.stored is not None
    read, run = (stored_book, api.work.run_long) if stored else (book_text, api.work.run)
    return written(await run(request, lambda leave: read(api, meant, when, depth, leave)))
