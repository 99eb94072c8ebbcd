"""The picture's past: tiles that caches may keep, and a recording at a glance."""

from __future__ import annotations

import gzip
import math
from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from ordertape.api.answers import exact
from ordertape.api.context import Api, Exchange, Meant, Symbol, TheApi
from ordertape.api.query import EndTime, StartTime, period
from ordertape.api.work import Leave
from ordertape.errors import SettingRefused
from ordertape.page.heat import BUCKET_NS
from ordertape.page.tiles import TILE_COLUMNS, TileWish, make_tile, pack_tile
from ordertape.times import LAST_NS, parse_time

__all__ = ["router"]

router = APIRouter(tags=["heatmap"])
FOR_EVER = "private, max-age=31536000, immutable"
ASK_AGAIN = "private, no-cache"


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
        request, lambda leave: _tile(api, meant, (lod, index, group), min_size, leave)
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


def _tile(
    api: Api, meant: Meant, asked: tuple[int, int, int], min_size: Decimal | None, leave: Leave
) -> tuple[bytes, str, bool]:
    """Blocking work: (gzipped body, ETag, whether it never changes)."""
    lookup = api.lookup(meant)
    seq = lookup.last_seq()
    newest = lookup.events(seq, seq)
    until = newest[-1].last_ts_recv + 1 if newest else 0
    scales = (newest[-1].price_scale, newest[-1].size_scale) if newest else (0, 0)
    least = 0 if min_size is None else math.ceil(min_size.scaleb(scales[1]))
    if least >= 2**63:
        raise SettingRefused(f"min_size: expected a size that can rest, found {min_size}")
    wish = TileWish(*asked, least, scales)
    over = until > wish.end
    key = (meant.folder.root, wish)
    kept = api.tiles[wish.level].get(key) if over else None
    if kept is not None:
        return *kept, True
    gaps = [
        (parse_time(gap["from"]), None if gap["to"] is None else parse_time(gap["to"]))
        for gap in api.history(meant).gaps(wish.begin, wish.end)
    ]
    made = make_tile(
        meant.folder.data,
        meant.exchange,
        meant.symbol,
        wish,
        gaps=gaps,
        until=until,
        leave=leave,
    )
    packed = pack_tile(made)
    if over:
        api.tiles[wish.level].put(key, packed)
    return *packed, over


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
