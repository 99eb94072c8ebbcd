"""The picture's past: tiles that caches may keep, and a recording at a glance."""

from __future__ import annotations

import gzip
from decimal import Decimal
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from ordertape.api.answers import exact
from ordertape.api.context import Exchange, Symbol, TheApi
from ordertape.api.past import find_tile
from ordertape.api.query import WRITTEN_SHORT, EndTime, StartTime, period
from ordertape.api.work import Leave
from ordertape.errors import SettingRefused, UnknownMarket
from ordertape.filters import Filters
from ordertape.models import iso_from_ns
from ordertape.page.heat import BUCKET_NS
from ordertape.page.tiles import TILE_COLUMNS
from ordertape.tape.exports import Box, export_csv, export_parquet
from ordertape.times import LAST_NS

__all__ = ["router"]

router = APIRouter(tags=["heatmap"])
FOR_EVER = "private, max-age=31536000, immutable"
ASK_AGAIN = "private, no-cache"
Price = Annotated[
    Decimal | None, Query(**WRITTEN_SHORT, description="exact to the last digit, with it")
]


@router.get(
    "/{exchange}/{symbol:path}/tile",
    summary="512 columns of the heatmap",
    response_class=Response,
    responses={
        200: {
            "content": {"application/octet-stream": {}},
            "description": "as docs/page-protocol.md says",
        },
        304: {"description": "it is as it was"},
    },
)
async def tile(
    request: Request,
    api: TheApi,
    exchange: Exchange,
    symbol: Symbol,
    index: Annotated[int, Query(ge=0, description="columns 512 × index on, since 1970")],
    group: Annotated[int, Query(ge=1, le=10**15, description="price units a row")],
    lod: Annotated[
        int, Query(ge=0, le=3, description="level of detail: 100 ms, 1 s, 5 s, 1 min a column")
    ] = 0,
    min_size: Annotated[
        Decimal | None,
        Query(ge=0, lt=10**18, allow_inf_nan=False, description="smaller orders are left out"),
    ] = None,
) -> Response:
    last = LAST_NS // (BUCKET_NS[lod] * TILE_COLUMNS) - 1
    if index > last:
        raise SettingRefused(f"index: expected at most {last} at lod {lod}, found {index}")
    meant = api.find(exchange, symbol)
    body, etag, over = await api.work.run(
        request, lambda leave: find_tile(api, meant, (lod, index, group), min_size, leave)
    )
    headers = {
        "ETag": etag,
        "Cache-Control": FOR_EVER if over else ASK_AGAIN,
        "Vary": "Accept-Encoding",
    }
    known = request.headers.get("if-none-match", "").split(",")
    if etag in (tag.strip().removeprefix("W/") for tag in known):
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
    else:
        body = gzip.decompress(body)
    return Response(body, media_type="application/octet-stream", headers=headers)


@router.get(
    "/{exchange}/{symbol:path}/box",
    summary="The events of a stretch of time and prices as a file",
    response_class=Response,
    responses={
        200: {
            "content": {"text/csv": {}, "application/vnd.apache.parquet": {}},
            "description": "the columns of `ordertape export`",
        },
    },
)
async def box(
    request: Request,
    api: TheApi,
    exchange: Exchange,
    symbol: Symbol,
    start_time: StartTime = None,
    end_time: EndTime = None,
    min_price: Price = None,
    max_price: Price = None,
    form: Annotated[
        Literal["csv", "parquet"], Query(alias="format", description="of the file")
    ] = "csv",
) -> Response:
    start, end = period(start_time, end_time)
    if start is None or end is None:
        raise SettingRefused("expected start_time and end_time")
    meant = api.find(exchange, symbol)
    meant.folder.require()
    filters = Filters(min_price=min_price, max_price=max_price)

    def read(leave: Leave) -> tuple[str, bytes]:
        market = meant.folder.data, meant.exchange, meant.symbol
        wanted = Box(*market, iso_from_ns(start), iso_from_ns(end), leave, filters)
        with TemporaryDirectory(prefix="ordertape-box-") as folder:
            paths = (export_csv if form == "csv" else export_parquet)(wanted, folder)
            if not paths:
                raise UnknownMarket(f"{meant.exchange} {meant.symbol}: no event lies there")
            return paths[0].name, paths[0].read_bytes()

    name, content = await api.work.run(request, read)
    kind = "text/csv" if form == "csv" else "application/vnd.apache.parquet"
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}"}
    return Response(content, media_type=kind, headers=headers)


@router.get(
    "/{exchange}/{symbol:path}/overview",
    summary="A recording at a glance: prices now and then, gaps, new books",
    response_class=Response,
)
async def overview(
    request: Request,
    api: TheApi,
    exchange: Exchange,
    symbol: Symbol,
    start_time: StartTime = None,
    end_time: EndTime = None,
) -> Response:
    meant, times = api.find(exchange, symbol), period(start_time, end_time)

    def read(_leave: Leave) -> dict[str, Any]:
        history = api.history(meant)
        found = api.overviews.of(api.lookup(meant), history, *times)
        return {**found, **meant.envelope(history)}

    answer = await api.work.run(request, read)
    return exact({"exchange": meant.exchange, "symbol": meant.symbol, **answer})
