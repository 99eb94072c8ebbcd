"""The first page: the built web page, else streams, their state and best prices without any script.

``web/`` in the repository is built into the folder ``web`` of the package, which a wheel carries.
"""

from __future__ import annotations

import re
from html import escape
from pathlib import Path
from typing import Final

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response

from ordertape.api.context import Api, TheApi
from ordertape.api.past import begin_early
from ordertape.database.told import read_told
from ordertape.models import StreamInfo, iso_from_ns

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

BUILT: Final = Path(__file__).resolve().parent.parent / "web"
"""Made by ``make run`` where Node is installed."""
_FOREVER: Final = "public, max-age=31536000, immutable"
"""Of files whose names change with what is in them."""
_ASK_AGAIN: Final = "no-cache"
_ASSET: Final = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+")

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
<p>{page}</p>
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


_UNBUILT = "The web page is not built: install Node 20.19 or newer and run <code>make run</code>."


@router.get("/")
async def first_page(request: Request, api: TheApi) -> Response:
    """The web page where it was built, else what it would show at a glance."""
    index = BUILT / "index.html"
    if index.is_file():
        begin_early(api, request.query_params)
        return FileResponse(index)
    return await plain_page(api)


@router.get("/alerts")
@router.get("/sessions")
@router.get("/settings")
@router.get("/status")
async def screen(request: Request, api: TheApi) -> Response:
    """The same page, which opens what its address names."""
    return await first_page(request, api)


@router.get("/assets/{name}")
async def asset(name: str) -> Response:
    return _file(BUILT / "assets", name, _FOREVER)


@router.get("/icon.svg")
async def icon() -> Response:
    return _file(BUILT, "icon.svg", _ASK_AGAIN)


def _file(folder: Path, name: str, kept: str) -> Response:
    """A file of the built page; 404 for whatever else is named."""
    path = folder / name
    if _ASSET.fullmatch(name) is None or not path.is_file():
        raise HTTPException(404, "the web page has no such file")
    return FileResponse(path, headers={"Cache-Control": kept})


@router.get("/plain")
async def plain_page(api: TheApi) -> HTMLResponse:
    """Streams and their state in a table, for browsers without scripts."""
    infos = sorted(api.streams(), key=lambda info: (info.exchange, info.symbol))
    running = sum(info.is_active for info in infos)
    head = "".join(f'<th class="{kind}">{name}</th>' for name, kind in _HEAD)
    rows = "".join(_row(api, info) for info in infos)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>" if rows else ""
    summary = f"{running} of {len(infos)} streams run" if infos else "No stream was started yet."
    database = escape(await api.in_thread(lambda: _database(api)))
    page = '<a href="./">the page with charts</a>' if BUILT.is_dir() else _UNBUILT
    return HTMLResponse(_PAGE.format(summary=summary, table=table, database=database, page=page))


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
