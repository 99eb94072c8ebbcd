"""The routes by noun; every one of them is thin."""

from __future__ import annotations

from fastapi import APIRouter

from ordertape.api.routes import (
    alerts,
    analysis,
    bookmarks,
    findings,
    gaps,
    heatmap,
    lifecycles,
    live,
    orders,
    page,
    snapshots,
    statistics,
    streams,
)

__all__ = ["PREFIX", "page_router", "router"]

_ROOT = "/api/v1/orderbook-heatmap"
PREFIX = f"{_ROOT}/level3"

router = APIRouter(prefix=PREFIX)
for part in (streams, orders, snapshots, statistics, gaps, live):
    router.include_router(part.router)
page_router = APIRouter(prefix=_ROOT)
page_router.include_router(page.router, prefix="/page")
page_router.include_router(heatmap.router, prefix="/heatmap")
for part in (alerts, bookmarks, findings, analysis, lifecycles):
    page_router.include_router(part.router)
