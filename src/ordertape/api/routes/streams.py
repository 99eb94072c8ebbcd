"""Streams: start, stop, how they are; and what the venues can prove."""

from __future__ import annotations

from dataclasses import replace

from fastapi import APIRouter
from starlette.responses import Response

from ordertape.api.answers import exact, written
from ordertape.api.context import Api, Exchange, Meant, Symbol, TheApi
from ordertape.errors import MarketBusy, OrdertapeError, UnknownMarket
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
    streams = api.server.streams
    meant = dict.fromkeys(streams.resolve(exchange, wish.symbol) for exchange in wish.exchanges)
    for exchange, symbol in meant:
        _refuse_demonstration(streams.status(exchange, symbol))
    infos: list[StreamInfo] = []
    begun: list[tuple[str, str]] = []
    for exchange, symbol in meant:
        before = streams.status(exchange, symbol)
        try:
            infos.append(
                await streams.start(exchange, symbol, wish.persist, wish.snapshot_interval_seconds)
            )
        except OrdertapeError as error:
            for started in begun:
                await streams.stop(*started)
            if str(error).startswith(exchange):
                raise
            raise type(error)(f"{exchange} {symbol}: {error}") from error
        if before is None or not before.is_active:
            begun.append((exchange, symbol))
    await api.hub.look()
    return written(_status_of(wish.symbol, infos).model_dump_json())


def _refuse_demonstration(info: StreamInfo | None) -> None:
    if info is not None and info.simulated and info.is_active:
        raise MarketBusy(
            f"{info.exchange} {info.symbol} is a demonstration market here: real data can't be "
            "added to it"
        )


def _status_of(symbol: str, infos: list[StreamInfo]) -> L3StreamStatus:
    if len(infos) == 1:
        return L3StreamStatus.from_info(infos[0])
    return L3StreamStatus.from_infos(symbol, infos)


@router.post("/stop/{exchange}/{symbol:path}", summary="Stop a stream", response_class=Response)
async def stop(api: TheApi, exchange: Exchange, symbol: Symbol) -> Response:
    meant = api.find(exchange, symbol)
    if meant.info is None:
        raise UnknownMarket(f"{meant.exchange} {meant.symbol} is not collected by this server")
    info = await api.server.streams.stop(meant.exchange, meant.symbol)
    await api.hub.look()
    status = L3StreamStatus.from_info(info).model_dump_json()
    message = json_text({"message": f"{info.exchange} {info.symbol} is {info.state}"})
    envelope = json_text(replace(meant, info=info).envelope())
    return written(f'{message[:-1]},"status":{status},{envelope[1:]}')


@router.get(
    "/status/{exchange}/{symbol:path}",
    summary="How a stream is, of every market ever collected",
    response_class=Response,
    responses={200: {"model": L3StreamStatus}},
)
async def status(api: TheApi, exchange: Exchange, symbol: Symbol) -> Response:
    meant = api.find(exchange, symbol)
    return written((await _known(api, meant)).model_dump_json())


@router.get("/streams", summary="Every stream", response_class=Response)
async def streams(api: TheApi) -> Response:
    infos = api.server.streams.all()
    listed = [L3StreamStatus.from_info(info).model_dump_json() for info in infos]
    return written(f'{{"streams":[{",".join(listed)}]}}')


@router.get("/venues", summary="What each venue shows and can prove", response_class=Response)
async def venues() -> Response:
    return exact({"venues": [venue.capability.as_dict() for venue in VENUES.values()]})


async def _known(api: Api, meant: Meant) -> L3StreamStatus:
    """What the collector says, or what is left on the tape of one that is gone."""
    if meant.info is not None:
        return L3StreamStatus.from_info(meant.info)
    return await api.in_thread(lambda: _taped(api, meant))


def _taped(api: Api, meant: Meant) -> L3StreamStatus:
    history, last = api.history(meant), api.lookup(meant).last_seq()
    found = meant.envelope(history)
    return L3StreamStatus.from_info(
        StreamInfo(
            exchange=meant.exchange,
            symbol=meant.symbol,
            state=found["state"],
            reason=history.reason,
            era=found["era"],
            simulated=found["simulated"],
            orders_received=last,
            orders_persisted=last,
            snapshots_taken=history.digests(),
            last_update=api.lookup(meant).last_ts(),
            sequence=last,
            written_seq=last,
            durable_seq=last,
        )
    )
