"""The application: routes, documents, errors, and what lives as long as it runs."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from ordertape.api import front, routes
from ordertape.api.answers import speak_in_sentences
from ordertape.api.bodies import BodyBound
from ordertape.api.context import Api
from ordertape.api.documents import show_examples
from ordertape.api.ending import EndsInTime
from ordertape.api.ports import Server
from ordertape.api.routes import health
from ordertape.api.security.described import describe_access
from ordertape.api.security.guard import Guard
from ordertape.api.security.headers import Headers
from ordertape.api.security.keys import KeyRing
from ordertape.api.startup import StartupInASentence
from ordertape.api.work import Work
from ordertape.broadcast.hub import Hub
from ordertape.settings import Settings

__all__ = ["create_app"]

_DESCRIPTION = """
Level-3 order books, every order of a market, exactly.

Times are ISO 8601 with `Z`, up to nine digits; naive input is UTC. Numbers are plain JSON numbers
with the venue's own digits: read them as decimals. `sequence` is +1 per event of a market. Every
answer says `state`, `era`, `age_ms` and whether it is `simulated`; errors are `{"detail": …}`.

`WS /api/v1/orderbook-heatmap/level3/ws/{symbol}?exchange=&depth=&batch_ms=&since=` sends books and
events as they come.
"""


def create_app(
    settings: Settings,
    running_server: Callable[[Settings], AbstractAsyncContextManager[Server]],
) -> FastAPI:
    """``running_server``: what starts the roles behind the interface, and ends them."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with closing(Work()) as work:  # its threads leave while the roles are asked to end
            async with running_server(settings) as server:
                streams, kept = server.streams, settings.max_orders_memory
                async with Hub(streams.all, streams.changed, server.data, work.live, kept) as hub:
                    app.state.api = api = Api(server, settings, hub, work)
                    api.begin()
                    # What is there now stays: a full collection, which comes about every hundred
                    # pages, would look at all of it again and hold up every answer.
                    gc.collect()
                    gc.freeze()
                    try:
                        yield
                    finally:
                        gc.unfreeze()
                        await api.close()

    app = FastAPIOffline(
        title="ordertape", version="1", description=_DESCRIPTION, lifespan=lifespan
    )
    app.include_router(front.router)
    app.include_router(health.router)
    app.include_router(routes.router)
    app.include_router(routes.page_router)
    show_examples(app)
    describe_access(app)
    speak_in_sentences(app)
    # The last of them sees a request first.  EndsInTime stays there: it reaches the connection.
    app.add_middleware(BodyBound)
    app.add_middleware(Guard, settings, KeyRing(settings.data))
    app.add_middleware(Headers)
    app.add_middleware(StartupInASentence)
    app.add_middleware(EndsInTime)
    return app
