"""The routes by noun; every one of them is thin."""

from __future__ import annotations

from fastapi import APIRouter

from ordertape.api.routes import gaps, live, orders, snapshots, statistics, streams

__all__ = ["PREFIX", "router"]

PREFIX = "/api/v1/orderbook-heatmap/level3"

router = APIRouter(prefix=PREFIX)
for part in (streams, orders, snapshots, statistics, gaps, live):
    router.include_router(part.router)
