"""Events in pages."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from ordertape import limits
from ordertape.api.answers import written
from ordertape.api.context import Api, Exchange, Meant, Symbol, TheApi
from ordertape.api.cursor import decode_cursor, encode_cursor
from ordertape.api.pages import Filters, read_page
from ordertape.api.query import EndTime, StartTime, period
from ordertape.api.work import Leave
from ordertape.errors import MarketBusy, SettingRefused
from ordertape.models import L3EventType, L3Side, iso_from_ns
from ordertape.numbers import json_text

__all__ = ["router"]

router = APIRouter(tags=["orders"])
Number = Annotated[Decimal | None, Query(allow_inf_nan=False)]


@router.get(
    "/orders/{exchange}/{symbol:path}",
    summary="The events of a market by sequence, a page at a time",
    response_class=Response,
)
async def orders(
    request: Request,
    api: TheApi,
    exchange: Exchange,
    symbol: Symbol,
    start_time: StartTime = None,
    end_time: EndTime = None,
    limit: Annotated[int, Query(ge=1, le=limits.page_rows_max)] = limits.page_orders_default,
    cursor: Annotated[str | None, Query(description="next_cursor of the page before")] = None,
    order: Literal["asc", "desc"] = "asc",
    side: L3Side | None = None,
    event_type: L3EventType | None = None,
    order_id: str | None = None,
    min_price: Number = None,
    max_price: Number = None,
    min_size: Number = None,
) -> Response:
    if "offset" in request.query_params:
        raise SettingRefused("offset: there is none; go on with cursor, the next_cursor of a page")
    meant = api.find(exchange, symbol)
    if not meant.persists:
        raise MarketBusy(
            f"{meant.exchange} {meant.symbol} does not persist: its events are live only"
        )
    start, end = period(start_time, end_time)
    filters = Filters(
        side=None if side is None else side.code,
        kind=None if event_type is None else event_type.kind,
        order_id=order_id,
        min_price=min_price,
        max_price=max_price,
        min_size=min_size,
    )
    query = f"{meant.exchange} {meant.symbol} {start} {end} {order} {filters}"
    begin = None if cursor is None else decode_cursor(cursor, query)

    def read(leave: Leave) -> str:
        return _page(api, meant, (start, end), begin, limit, order == "desc", filters, query, leave)

    return written(await api.work.run(request, read))


def _page(
    api: Api,
    meant: Meant,
    times: tuple[int | None, int | None],
    begin: int | None,
    limit: int,
    descending: bool,
    filters: Filters,
    query: str,
    leave: Leave,
) -> str:
    """Blocking work: the answer as JSON text."""
    lookup, history = api.lookup(meant), api.history(meant)
    first = lookup.first_seq() if times[0] is None else lookup.seq_from(times[0])
    last = lookup.last_seq() if times[1] is None else lookup.seq_from(times[1]) - 1
    if begin is not None and descending:
        last = min(last, begin)
    elif begin is not None:
        first = max(first, begin)
    head = json_text({"exchange": meant.exchange, "symbol": meant.symbol})[:-1]
    page = read_page(
        lookup,
        history,
        filters,
        first=first,
        last=last,
        limit=limit,
        descending=descending,
        start=f"{head},",
        leave=leave,
    )
    shown = {
        "start_time": None if times[0] is None else iso_from_ns(times[0]),
        "end_time": None if times[1] is None else iso_from_ns(times[1]),
        "count": len(page.orders),
    }
    rest = {
        "next_cursor": None if page.next_seq is None else encode_cursor(page.next_seq, query),
        **meant.envelope(history),
    }
    listed = ",".join(page.orders)
    return f'{head},{json_text(shown)[1:-1]},"orders":[{listed}],{json_text(rest)[1:]}'
