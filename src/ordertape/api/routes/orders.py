"""Events in pages."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from ordertape import limits
from ordertape.api.answers import written
from ordertape.api.context import Api, Exchange, Meant, Symbol, TheApi
from ordertape.api.query import EndTime, StartTime, period
from ordertape.api.tape import Tape
from ordertape.api.work import Leave
from ordertape.broadcast.encode import order_objects
from ordertape.database.cursor import behind, encode_cursor, text_of
from ordertape.database.pages import Part, read_page
from ordertape.database.sources import LAST_SEQ
from ordertape.database.sources import Query as EventQuery
from ordertape.errors import DatabaseError, MarketBusy, SettingRefused
from ordertape.filters import Filters
from ordertape.models import L3EventType, L3Side, iso_from_ns
from ordertape.numbers import json_text

__all__ = ["router"]

router = APIRouter(tags=["orders"])
Number = Annotated[
    Decimal | None, Query(allow_inf_nan=False, description="exact to the last digit, with it")
]


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
    limit: Annotated[
        int, Query(ge=1, le=limits.page_rows_max, description="most events in the answer")
    ] = limits.page_rows_default,
    cursor: Annotated[str | None, Query(description="next_cursor of the page before")] = None,
    order: Annotated[Literal["asc", "desc"], Query(description="by sequence")] = "asc",
    side: Annotated[L3Side | None, Query(description="of a match, the maker's")] = None,
    event_type: Annotated[L3EventType | None, Query(description="one kind alone")] = None,
    order_id: Annotated[str | None, Query(description="the venue's own text")] = None,
    min_price: Number = None,
    max_price: Number = None,
    min_size: Number = None,
) -> Response:
    if "offset" in request.query_params:
        raise SettingRefused("offset: there is none; go on with cursor, the next_cursor of a page")
    meant = await api.find_stored(exchange, symbol)
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
    wanted = EventQuery(1, LAST_SEQ, limit, order == "desc", filters, start, end)
    query = text_of(meant.exchange, meant.symbol, wanted)
    wanted = behind(wanted, cursor, query)
    return written(
        await api.work.run(request, lambda leave: _answer(api, meant, wanted, query, leave))
    )


def _answer(api: Api, meant: Meant, wanted: EventQuery, query: str, leave: Leave) -> str:
    """Blocking work: the answer as JSON text."""
    head = json_text({"exchange": meant.exchange, "symbol": meant.symbol})[:-1]
    history = api.history(meant)
    if meant.stored is None:
        asked, parts = _of_tape(api, meant, wanted, leave)
    else:
        assert api.database is not None
        parts = [api.database.saved_part(meant.stored, wanted, leave)]
        asked = wanted._replace(first=parts[0].first, last=parts[0].last)
    page = read_page(
        parts,
        asked,
        make=lambda batch, era: order_objects(batch, era, f"{head},"),
        leave=leave,
        failed=_failed(api),
    )
    following = page.next_seq
    shown = {
        "start_time": None if wanted.start is None else iso_from_ns(wanted.start),
        "end_time": None if wanted.end is None else iso_from_ns(wanted.end),
        "count": len(page.orders),
    }
    rest = {
        "next_cursor": None if following is None else encode_cursor(following, query),
        **meant.envelope(history),
    }
    listed = ",".join(page.orders)
    return f'{head},{json_text(shown)[1:-1]},"orders":[{listed}],{json_text(rest)[1:]}'


def _of_tape(
    api: Api, meant: Meant, wanted: EventQuery, leave: Leave
) -> tuple[EventQuery, list[Part]]:
    """The query in seqs, and where each of them is read."""
    tape = Tape(api.lookup(meant), api.history(meant))
    lookup, start, end = tape.lookup, wanted.start, wanted.end
    database = api.database if meant.folder.data == api.server.data else None

    def seq_from(ts: int) -> int:
        return lookup.seq_from(ts) if database is None else database.seq_from(tape, ts, leave)

    first = lookup.first_seq() if start is None else seq_from(start)
    last = lookup.last_seq() if end is None else seq_from(end) - 1
    asked = wanted._replace(first=max(first, wanted.first), last=min(last, wanted.last))
    if asked.first > asked.last:
        return asked, []
    if database is None:
        return asked, [Part(tape, asked.first, asked.last)]
    return asked, database.parts(tape, asked, leave)


def _failed(api: Api) -> Callable[[DatabaseError], None]:
    database = api.database
    return (lambda _error: None) if database is None else database.failed
