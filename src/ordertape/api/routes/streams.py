"""Streams: start, stop, how they are; and what the venues can prove."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from ordertape.api.answers import exact, written
from ordertape.api.context import Exchange, Symbol, TheApi
from ordertape.errors import UnknownMarket
from ordertape.models import L3StreamStatus, StartL3Request, StreamInfo
from ordertape.numbers import json_text
from ordertape.venues.registry import VENUES

__all__ = ["router"]

router = APIRouter(tags=["streams"])


@router.post(
    "/start",
    summary="Start a stream on one venue or several, all or none",
    response_class=Response,
    responses={200: {"model": L3StreamStatus}},
)
async def start(api: TheApi, wish: StartL3Request) -> Response:
    infos = await api.server.streams.start_all(
        wish.exchanges, wish.symbol, wish.persist, wish.snapshot_interval_seconds
    )
    await api.hub.look()
    infos = [api.hub.as_read(info) for info in infos]
    return written(_status_of(wish.symbol, infos).model_dump_json())


def _status_of(symbol: str, infos: list[StreamInfo]) -> L3StreamStatus:
    if len(infos) == 1:
        return L3StreamStatus.from_info(infos[0])
    return L3StreamStatus.from_infos(symbol, infos)


@router.post("/stop/{exchange}/{symbol:path}", summary="Stop a stream", response_class=Response)
async def stop(api: TheApi, exchange: Exchange, symbol: Symbol) -> Response:
    info = await api.server.streams.stop(exchange, symbol)
    await api.hub.look()
    status = L3StreamStatus.from_info(info).model_dump_json()
    message = json_text({"message": f"{info.exchange} {info.symbol} is {info.state}"})
    envelope = json_text(
        {
            "state": info.state,
            "era": info.era,
            "age_ms": info.age_ms,
            "simulated": info.simulated,
        }
    )
    return written(f'{message[:-1]},"status":{status},{envelope[1:]}')


@router.get(
    "/status/{exchange}/{symbol:path}",
    summary="How a stream is, of every market ever collected",
    response_class=Response,
    responses={200: {"model": L3StreamStatus}},
)
async def status(api: TheApi, exchange: Exchange, symbol: Symbol) -> Response:
    meant = api.find(exchange, symbol)
    if meant.info is None:
        raise UnknownMarket(f"{meant.exchange} {meant.symbol} was never collected here")
    return written(L3StreamStatus.from_info(meant.info).model_dump_json())


@router.get("/streams", summary="Every stream", response_class=Response)
async def streams(api: TheApi) -> Response:
    infos = api.streams()
    listed = [L3StreamStatus.from_info(info).model_dump_json() for info in infos]
    return written(f'{{"streams":[{",".join(listed)}]}}')


@router.get("/venues", summary="What each venue shows and can prove", response_class=Response)
async def venues() -> Response:
    return exact({"venues": [venue.capability.as_dict() for venue in VENUES.values()]})
