"""The first page: streams, their state, best prices and gaps, without any script."""

from __future__ import annotations

from html import escape

from fastapi import APIRouter
from starlette.responses import HTMLResponse

from ordertape.api.context import Api, TheApi
from ordertape.database.told import read_told
from ordertape.models import StreamInfo, iso_from_ns

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="2">
<title>ordertape</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem }}
table {{ border-collapse: collapse; width: 100% }}
th, td {{ padding: .3rem .8rem .3rem 0; text-align: left; border-bottom: 1px solid #8884 }}
td.n {{ font-variant-numeric: tabular-nums; text-align: right }}
th.n {{ text-align: right }}
</style>
<h1>ordertape</h1>
<p>{summary}</p>
{table}
<p>database: {database}</p>
<p><a href="docs">docs</a>: every route, to be tried from there</p>
"""
_HEAD = (
    ("market", ""),
    ("state", ""),
    ("best bid", "n"),
    ("best ask", "n"),
    ("sequence", "n"),
    ("era", "n"),
    ("age ms", "n"),
    ("gaps", "n"),
    ("last event", ""),
)


@router.get("/")
async def first_page(api: TheApi) -> HTMLResponse:
    infos = sorted(api.streams(), key=lambda info: (info.exchange, info.symbol))
    running = sum(info.is_active for info in infos)
    head = "".join(f'<th class="{kind}">{name}</th>' for name, kind in _HEAD)
    rows = "".join(_row(api, info) for info in infos)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>" if rows else ""
    summary = f"{running} of {len(infos)} streams run" if infos else "No stream was started yet."
    database = escape(await api.in_thread(lambda: _database(api)))
    return HTMLResponse(_PAGE.format(summary=summary, table=table, database=database))


def _database(api: Api) -> str:
    if api.database is None:
        return "off"
    told = read_told(api.server.data)
    return "its keeper is being started" if told is None else str(told)


def _row(api: Api, info: StreamInfo) -> str:
    channel = api.hub.channel(info.exchange, info.symbol)
    bid, ask = channel.replica.best() if channel is not None else (None, None)
    gaps = channel.replica.history.gap_count if channel is not None else ""
    name = f"{info.exchange} {info.symbol}" + (" (simulated)" if info.simulated else "")
    state = info.state + (f": {info.reason}" if info.state not in ("LIVE", "STOPPED") else "")
    last = iso_from_ns(info.last_update) if info.last_update else ""
    cells = (name, state, bid, ask, info.sequence, info.era, info.age_ms, gaps, last)
    shown = (
        f'<td class="{kind}">{escape("" if cell is None else str(cell))}</td>'
        for cell, (_, kind) in zip(cells, _HEAD, strict=True)
    )
    return f"<tr>{''.join(shown)}</tr>"
