"""Whether the process answers, whether its roles do their work, and what they measured.

Anybody may ask the first two, so they name no address, folder or account: what exactly is wrong
stands in the log, on the page and in ``ordertape status``.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from copy import copy
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.requests import Request
from prometheus_client.exposition import choose_encoder
from starlette.responses import Response

from ordertape import limits
from ordertape.api.answers import exact, written
from ordertape.api.context import Api, TheApi
from ordertape.api.metrics import Kept, Reading, disk_free, registry_of
from ordertape.database.told import read_copied, read_told
from ordertape.errors import OrdertapeError
from ordertape.models import StreamInfo
from ordertape.numbers import counted, json_text
from ordertape.tape.archive_files import last_file
from ordertape.tape.folder import MarketFolder
from ordertape.tape.segment import segments

__all__ = ["router"]

router = APIRouter(tags=["operation"])


@router.get("/healthz", summary="The process answers", response_class=Response)
async def healthz() -> Response:
    return exact({"status": "ok"})


@router.get(
    "/readyz",
    summary="Every role does its work; 503 and what is not ready otherwise",
    response_class=Response,
)
async def readyz(
    api: TheApi,
    streams: Annotated[
        bool, Query(description="whether every stream that runs must be LIVE, too")
    ] = False,
) -> Response:
    infos = api.streams()
    wrong = await asyncio.to_thread(_not_ready, api)
    waiting = [info for info in infos if info.is_active and info.state != "LIVE"]
    wrong += [_stream_not_live(info) for info in infos if streams and _should_be_live(info)]
    listed = [
        {"exchange": info.exchange, "symbol": info.symbol, "state": info.state} for info in waiting
    ]
    answer = {"ready": not wrong, "not_ready": wrong, "streams_not_live": listed}
    return written(json_text(answer), 503 if wrong else 200)


def _should_be_live(info: StreamInfo) -> bool:
    return info.state not in ("LIVE", "STOPPED")


def _stream_not_live(info: StreamInfo) -> dict[str, str]:
    return {"part": f"{info.exchange} {info.symbol}", "reason": f"it is {info.state}"}


@router.get("/metrics", summary="What all roles measured, for Prometheus", response_class=Response)
async def metrics(request: Request, api: TheApi) -> Response:
    infos = api.streams()
    streams = api.server.measured()
    clients = api.hub.client_figures()
    delays = {key: channel.delays.told() for key, channel in api.hub.channels.items()}
    encode, content_type = choose_encoder(request.headers.get("accept", ""))

    def page() -> bytes:
        reading = Reading(
            ready=not _not_ready(api),
            disk_free_bytes=disk_free(api.server.data),
            infos=infos,
            streams=streams,
            processes=api.server.processes(),
            starts=api.server.starts(),
            kept={
                (info.exchange, info.symbol): kept
                for info in infos
                if info.is_active and (kept := _kept(api, info)) is not None
            },
            following=None if api.database is None else _follows(api),
            copied=None if api.database is None else read_copied(api.server.data),
            clients=clients,
            pages=copy(api.hub.page_counts),
            client_delays=delays,
        )
        return encode(registry_of(reading))

    # Not where answers wait for each other: the more of them do, the more this one is asked.
    return Response(await asyncio.to_thread(page), media_type=content_type)


def _follows(api: Api) -> bool:
    told = read_told(api.server.data)
    return told is not None and told.state == "following"


def _kept(api: Api, info: StreamInfo) -> Kept | None:
    """None where the market's folder can't be read: the others have their figures."""
    folder = MarketFolder(api.server.data, info.exchange, info.symbol)
    size = 0
    try:
        for segment in segments(folder.journal):
            with suppress(FileNotFoundError):  # the keeper let it go meanwhile
                size += segment.path.stat().st_size
        newest = last_file(folder.archive)
    except (OrdertapeError, OSError):
        return None
    return Kept(size, newest.last_seq if newest is not None else 0)


def _not_ready(api: Api) -> list[dict[str, str]]:
    """Blocking work: what does not do its work, and why in words that give nothing away."""
    wrong = dict(api.server.not_ready())
    if api.database is not None:
        told = read_told(api.server.data)
        if told is None:
            wrong["database"] = "its keeper has not begun"
        elif told.state != "following":
            silent = told.state == "silent"
            wrong["database"] = "its keeper fell silent" if silent else "it does not answer"
        elif told.refused:
            wrong["database"] = f"it does not take {counted(len(told.refused), 'market')}"
    if disk_free(api.server.data) < limits.ready_disk_bytes_min:
        wrong["disk"] = "it is full"
    return [{"part": part, "reason": reason} for part, reason in sorted(wrong.items())]
