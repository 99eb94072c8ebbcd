"""What the detectors found."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from ordertape import limits
from ordertape.alerts.rules import Pattern
from ordertape.api.answers import exact
from ordertape.api.context import Exchange, Symbol, TheApi
from ordertape.api.query import EndTime, StartTime, period
from ordertape.database.findings import FindingQuery, StoredFinding
from ordertape.errors import MarketBusy, SettingRefused

__all__ = ["router"]

router = APIRouter(tags=["findings"])


@router.get(
    "/findings/{exchange}/{symbol:path}",
    summary="Patterns of orders that were found, newest first",
    response_class=Response,
)
async def findings(
    api: TheApi,
    exchange: Exchange,
    symbol: Symbol,
    kind: Annotated[Pattern | None, Query(description="of this kind alone")] = None,
    min_score: Annotated[
        float, Query(ge=0, le=1, allow_inf_nan=False, description="of this score or more")
    ] = 0.0,
    start_time: StartTime = None,
    end_time: EndTime = None,
    limit: Annotated[
        int, Query(ge=1, le=limits.findings_page_max, description="most in the answer")
    ] = limits.findings_page_default,
    cursor: Annotated[
        str | None, Query(max_length=256, description="next_cursor of the page before")
    ] = None,
) -> Response:
    """What orders looked like, never what anybody meant: no public feed names traders. Times are
    of when a pattern was found."""
    meant = api.find(exchange, symbol)
    store = api.findings
    if store is None:
        raise MarketBusy(
            "findings are stored in PostgreSQL, and nothing persists here (L3_PERSIST_ENABLED); "
            "`ordertape findings` looks through a tape without it"
        )
    start, end = period(start_time, end_time)
    before = None if cursor is None else _read_cursor(cursor)
    query = FindingQuery(
        *(meant.exchange, meant.symbol, kind, min_score, start, end, before, limit)
    )
    found = await api.in_thread(lambda: store.page(query))
    more = len(found) == limit
    return exact(
        {
            "exchange": meant.exchange,
            "symbol": meant.symbol,
            "count": len(found),
            "findings": [_shown(stored) for stored in found],
            "next_cursor": _cursor(found[-1].found, found[-1].finding.id) if more else None,
            **meant.envelope(),
        }
    )


def _shown(stored: StoredFinding) -> dict[str, Any]:
    finding = stored.finding
    return {**finding.as_json(), "replay": finding.replay(stored.exchange, stored.symbol)}


def _cursor(found: int, finding: str) -> str:
    return base64.urlsafe_b64encode(f"{found} {finding}".encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> tuple[int, str]:
    """Raises SettingRefused."""
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        found, _, finding = text.partition(" ")
        if not 0 <= int(found) < 2**63 or not finding.isascii() or not finding.isprintable():
            raise ValueError
    except (binascii.Error, ValueError):
        raise SettingRefused(f"cursor: expected a next_cursor of ours, found {cursor!r}") from None
    return int(found), finding
