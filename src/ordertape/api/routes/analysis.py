"""Metrics of a market over windows of time, and what is fitted to its flow."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from ordertape import limits
from ordertape.analysis.fits import FITS, fit_period
from ordertape.analysis.measure import (
    Period,
    measure,
    measured,
    period_of,
    plain_value,
    require_step,
    values_of,
)
from ordertape.analysis.metrics import METRICS, chosen
from ordertape.api.answers import exact
from ordertape.api.context import Api, Exchange, Meant, Symbol, TheApi
from ordertape.api.query import EndTime, StartTime, period
from ordertape.api.work import Leave
from ordertape.errors import MarketBusy, SettingRefused
from ordertape.models import iso_from_ns
from ordertape.times import NS_PER_SECOND

__all__ = ["router"]

router = APIRouter(tags=["analysis"])
HOUR_NS = 3_600 * NS_PER_SECOND
FitName = Annotated[
    str,
    Path(description="one of those that /metrics lists", json_schema_extra={"enum": [*FITS]}),
]


@router.get(
    "/analysis/{exchange}/{symbol:path}",
    summary="Metrics of a market's flow, a row a window of time",
    response_class=Response,
    responses={
        200: {"description": "as docs/metrics.md says"},
        409: {"description": "it does not persist"},
    },
)
async def analysis(
    request: Request,
    api: TheApi,
    exchange: Exchange,
    symbol: Symbol,
    start_time: StartTime = None,
    end_time: EndTime = None,
    step: Annotated[
        int, Query(ge=1, le=limits.analysis_step_seconds_max, description="seconds a window")
    ] = 60,
    metrics: Annotated[
        str | None,
        Query(max_length=1_000, description="names, with commas between them; all where none are"),
    ] = None,
) -> Response:
    meant = _persistent(api.find(exchange, symbol))
    wanted = chosen(None if metrics is None else metrics.split(","))
    start, end = period(start_time, end_time)

    def answer(leave: Leave) -> dict[str, Any]:
        lookup = api.lookup(meant)
        asked = _bounded(api, meant, start, end)
        require_step(asked, step)
        windows = measure(lookup, asked, step, leave=leave)
        columns = measured(windows, wanted)
        begins = columns.pop("begin")
        return {
            "exchange": meant.exchange,
            "symbol": meant.symbol,
            "start_time": iso_from_ns(asked.start * NS_PER_SECOND),
            "end_time": iso_from_ns((asked.start + step * windows.count) * NS_PER_SECOND),
            "step": step,
            "units": {metric.name: metric.unit for metric in wanted},
            "count": windows.count,
            "windows": [
                {"begin": iso_from_ns(int(begin)), **values_of(columns, nth)}
                for nth, begin in enumerate(begins)
            ],
            **meant.envelope(api.history(meant)),
        }

    return exact(await api.work.run(request, answer))


@router.get(
    "/fits/{name}/{exchange}/{symbol:path}",
    summary="What is fitted to a market's flow over a period",
    response_class=Response,
    responses={
        200: {"description": "as docs/metrics.md says"},
        409: {"description": "it does not persist"},
    },
)
async def fit(
    request: Request,
    api: TheApi,
    name: FitName,
    exchange: Exchange,
    symbol: Symbol,
    start_time: StartTime = None,
    end_time: EndTime = None,
    bar: Annotated[
        int | None, Query(ge=1, le=3_600, description="seconds a bar, of fits that have bars")
    ] = None,
    kernels: Annotated[
        int | None, Query(ge=1, le=4, description="exponentials of a Hawkes kernel")
    ] = None,
) -> Response:
    meant = _persistent(api.find(exchange, symbol))
    start, end = period(start_time, end_time)
    given = {"bar": bar, "kernels": kernels}
    options = {option: value for option, value in given.items() if value is not None}

    def answer(leave: Leave) -> dict[str, Any]:
        asked = _bounded(api, meant, start, end)
        fitted = fit_period(api.lookup(meant), asked, name, options, leave=leave)
        rows = len(next(iter(fitted.table.values())))
        return {
            "exchange": meant.exchange,
            "symbol": meant.symbol,
            "start_time": iso_from_ns(asked.start * NS_PER_SECOND),
            "end_time": iso_from_ns(asked.end * NS_PER_SECOND),
            "fit": name,
            "definition": " ".join(FITS[name].definition.split()),
            "caption": fitted.caption,
            "summary": {key: plain_value(value) for key, value in fitted.summary.items()},
            "count": rows,
            "rows": [
                {key: plain_value(values[nth]) for key, values in fitted.table.items()}
                for nth in range(rows)
            ],
            **meant.envelope(api.history(meant)),
        }

    return exact(await api.work.run(request, answer))


@router.get("/metrics", summary="What each metric and fit is: its unit, definition and source")
async def definitions() -> Response:
    return exact(
        {
            "metrics": [
                {
                    "name": metric.name,
                    "unit": metric.unit,
                    "definition": " ".join(metric.definition.split()),
                }
                for metric in METRICS.values()
            ],
            "fits": [
                {
                    "name": name,
                    "options": {option: default for option, (default, *_) in fit.options.items()},
                    "definition": " ".join(fit.definition.split()),
                }
                for name, fit in FITS.items()
            ],
        }
    )


def _persistent(meant: Meant) -> Meant:
    if not meant.persists:
        raise MarketBusy(
            f"{meant.exchange} {meant.symbol} does not persist: its events are live only"
        )
    return meant


def _bounded(api: Api, meant: Meant, start: int | None, end: int | None) -> Period:
    """Blocking work: the last hour of the tape where no start is given.

    Raises SettingRefused where that is more than an answer may walk.
    """
    lookup = api.lookup(meant)
    if start is None:
        last = lookup.last_ts()
        over = end if end is not None else last
        start = None if over is None else max(over - HOUR_NS, _first_ts(api, meant))
    asked = period_of(lookup, start, end)
    first, behind = (lookup.seq_from(second * NS_PER_SECOND) for second in (asked.start, asked.end))
    if behind - first > limits.analysis_answer_events_max:
        raise SettingRefused(
            f"expected at most {limits.analysis_answer_events_max} events in an answer's time, "
            f"found {behind - first}: ask for a shorter time"
        )
    return asked


def _first_ts(api: Api, meant: Meant) -> int:
    lookup = api.lookup(meant)
    first = lookup.first_seq()
    found = lookup.events(first, first)
    return int(found[0][0]["ts_recv"]) if found else 0
