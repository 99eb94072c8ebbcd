"""Alert rules, the alerts that fired, and what is large right now."""

from __future__ import annotations

import asyncio
import base64
import binascii
from decimal import Decimal
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query
from fastapi import Path as PathParameter
from starlette.responses import Response

from ordertape import limits
from ordertape.alerts.rules import RuleWish
from ordertape.alerts.store import AlertQuery
from ordertape.alerts.threshold import Threshold
from ordertape.api.answers import exact
from ordertape.api.context import Exchange, Symbol, TheApi
from ordertape.api.query import WRITTEN_SHORT, EndTime, StartTime, period
from ordertape.errors import ChildFailed, NotFound, SettingRefused
from ordertape.page.large import life_as_json
from ordertape.page.scene import Scene, Watcher

__all__ = ["router"]

router = APIRouter(tags=["alerts"])
MEMORY = "nothing persists here (L3_PERSIST_ENABLED): rules and alerts end with the server"
Limit = Annotated[int, Query(ge=1, le=limits.alerts_page_max, description="most in the answer")]
NO_NUL = r"^[^\x00]*$"
"""PostgreSQL's texts have none."""
OUT_OF_WINDOW = 8
"""Flag of a life."""


@router.get("/alerts/rules", summary="Every alert rule", response_class=Response)
async def rules(api: TheApi) -> Response:
    found = await api.in_thread(api.alerts.store.rules)
    return exact(
        {
            "rules": [rule.as_json() for rule in found],
            "webhooks": api.alerts.webhooks.as_json(),
            **_kept(api.alerts.store.kept),
        }
    )


@router.post(
    "/alerts/rules",
    summary="Make a rule: from now on its alerts fire",
    response_class=Response,
    status_code=201,
)
async def make_rule(api: TheApi, wish: RuleWish) -> Response:
    meant = api.find(wish.exchange, wish.symbol)
    meant.folder.require()
    if wish.webhook is not None:
        api.alerts.webhooks.require(wish.webhook)
    ours = wish.model_copy(update={"exchange": meant.exchange, "symbol": meant.symbol})
    rule = await api.in_thread(lambda: api.alerts.store.add(ours))
    api.alerts.added(rule)
    return exact({**rule.as_json(), **_kept(api.alerts.store.kept)}, 201)


@router.delete("/alerts/rules/{rule}", summary="Delete a rule", response_class=Response)
async def delete_rule(
    api: TheApi, rule: Annotated[int, PathParameter(ge=1, le=2**63 - 1, description="its id")]
) -> Response:
    was_there = await api.in_thread(lambda: api.alerts.store.remove(rule))
    # Also where it is gone already: the answer to who removed it may have been lost.
    api.alerts.removed(rule)
    if not was_there:
        raise NotFound(f"there is no rule {rule}")
    return exact({"message": f"rule {rule} is deleted; its alerts stay"})


@router.get("/alerts", summary="Alerts that fired, newest first", response_class=Response)
async def alerts(
    api: TheApi,
    exchange: Annotated[
        str | None,
        Query(max_length=limits.name_text_max, pattern=NO_NUL, description="of one venue alone"),
    ] = None,
    symbol: Annotated[
        str | None,
        Query(max_length=limits.name_text_max, pattern=NO_NUL, description="of one market alone"),
    ] = None,
    rule: Annotated[
        int | None, Query(ge=1, le=2**63 - 1, description="of the rule with this id alone")
    ] = None,
    start_time: StartTime = None,
    end_time: EndTime = None,
    limit: Limit = limits.alerts_page_default,
    cursor: Annotated[
        str | None, Query(max_length=128, description="next_cursor of the page before")
    ] = None,
) -> Response:
    if symbol is not None:
        if exchange is None:
            raise SettingRefused("symbol: expected exchange beside it, found none")
        exchange, symbol = api.server.streams.resolve(exchange, symbol)
    start, end = period(start_time, end_time)
    before = None if cursor is None else _read_cursor(cursor)
    query = AlertQuery(exchange, symbol, rule, start, end, before, limit)
    found = await api.in_thread(lambda: api.alerts.store.alerts(query))
    more = len(found) == limit
    return exact(
        {
            "count": len(found),
            "alerts": [alert.as_json() for alert in found],
            "next_cursor": _cursor(found[-1].ts, found[-1].id) if more else None,
            **_kept(api.alerts.store.kept),
        }
    )


@router.get(
    "/large-orders/{exchange}/{symbol:path}",
    summary="Large orders that rest now, largest first",
    response_class=Response,
)
async def large_orders(
    api: TheApi,
    exchange: Exchange,
    symbol: Symbol,
    size: Annotated[
        Decimal | None,
        Query(gt=0, lt=10**18, **WRITTEN_SHORT, description="large: of this size or more"),
    ] = None,
    notional: Annotated[
        Decimal | None,
        Query(gt=0, lt=10**18, **WRITTEN_SHORT, description="large: size times price or more"),
    ] = None,
    quantile: Annotated[
        Decimal | None,
        Query(gt=0, lt=1, **WRITTEN_SHORT, description="large: of the sizes that rest"),
    ] = None,
    limit: Limit = limits.alerts_page_default,
) -> Response:
    """One of `size`, `notional` (size times price) and `quantile` says what is large; 0.995 of
    what rests where none is given. `threshold` of the answer is what that was."""
    given = [value for value in (size, notional, quantile) if value is not None]
    if len(given) > 1:
        raise SettingRefused(f"expected one of size, notional and quantile, found {len(given)}")
    threshold = Threshold(size, notional, quantile if given else Decimal("0.995"))
    meant = api.find(exchange, symbol)
    meant.folder.require()
    look = _Look(threshold, limit)
    market = api.pages.watch(meant.folder.data, meant.exchange, meant.symbol, look)
    try:
        async with asyncio.timeout(limits.large_orders_wait_ms / 1000):
            found = await look.answer
    except TimeoutError:
        seconds = limits.large_orders_wait_ms / 1000
        raise ChildFailed(f"the book was not there within {seconds:g} s: ask again") from None
    finally:
        api.pages.unwatch(market, look)
    head = {"exchange": meant.exchange, "symbol": meant.symbol}
    return exact({**head, **found, **meant.envelope()})


class _Look(Watcher):
    """Looks at a market's book once, as soon as there is one."""

    def __init__(self, threshold: Threshold, limit: int) -> None:
        self._threshold, self._limit = threshold, limit
        self._loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[dict[str, Any]] = self._loop.create_future()

    def begin(self, scene: Scene) -> None:
        found = _large(scene, self._threshold, self._limit)
        self._say(lambda: self.answer.set_result(found))

    def failed(self, reason: str) -> None:
        error = ChildFailed(f"the tape can't be read: {reason}")
        self._say(lambda: self.answer.set_exception(error))

    def _say(self, what: Any) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(lambda: None if self.answer.done() else what())


def _large(scene: Scene, threshold: Threshold, limit: int) -> dict[str, Any]:
    book, alive = scene.followed.book, scene.followed.lives.alive()
    scales = book.price_scale or 0, book.size_scale or 0
    measured = threshold.measured(scene.followed)
    prices, sizes = np.asarray(alive.column("price")), np.asarray(alive.column("size"))
    # One that left the window is known, and does not rest where anybody sees it.
    seen = (np.asarray(alive.column("flags")) & OUT_OF_WINDOW) == 0
    large = [nth for nth in measured.large(prices, sizes, scales) if seen[nth]]
    large.sort(key=lambda nth: (-int(sizes[nth]), nth))
    return {
        "sequence": scene.followed.seq,
        "threshold": {"size": measured.size, "notional": measured.notional},
        "count": len(large[:limit]),
        "orders": [_numbers(life_as_json(alive, nth, scales)) for nth in large[:limit]],
    }


def _numbers(life: dict[str, Any]) -> dict[str, Any]:
    """With numbers as every answer has them; frames have texts."""
    names = ("price_first", "price", "size_first", "size", "filled", "bid_first", "ask_first")
    found = {name: life[name] for name in names}
    return life | {name: None if value is None else Decimal(value) for name, value in found.items()}


def _kept(where: str) -> dict[str, str]:
    return {"kept": where} if where != "memory" else {"kept": where, "detail": MEMORY}


def _cursor(ts: int, alert: str) -> str:
    return base64.urlsafe_b64encode(f"{ts} {alert}".encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> tuple[int, str]:
    """Raises SettingRefused."""
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        ts, _, alert = text.partition(" ")
        if not alert.isalnum() or not 0 <= int(ts) < 2**63:
            raise ValueError
    except (binascii.Error, ValueError):
        raise SettingRefused(f"cursor: expected a next_cursor of ours, found {cursor!r}") from None
    return int(ts), alert
