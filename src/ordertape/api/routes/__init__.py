"""The routes by noun; every one of them is thin."""

from __future__ import annotations

from fastapi import APIRouter

from ordertape.api.routes import (
    alerts,
    analysis,
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

__all__ = [
    "ALERTS_PREFIX",
    "ANALYSIS_PREFIX",
    "HEATMAP_PREFIX",
    "LIVES_PREFIX",
    "PAGE_PREFIX",
    "PREFIX",
    "page_router",
    "router",
]

PREFIX = "/api/v1/orderbook-heatmap/level3"

PAGE_PREFIX = "/api/v1/orderbook-heatmap/page"
HEATMAP_PREFIX = "/api/v1/orderbook-heatmap/heatmap"
LIVES_PREFIX = "/api/v1/orderbook-heatmap"

ALERTS_PREFIX = "/api/v1/orderbook-heatmap"
ANALYSIS_PREFIX = "/api/v1/orderbook-heatmap"

router = APIRouter(prefix=PREFIX)
for part in (streams, orders, snapshots, statistics, gaps, live):
    router.include_router(part.router)
page_router = APIRouter()
page_router.include_router(page.router, prefix=PAGE_PREFIX)
page_router.include_router(heatmap.router, prefix=HEATMAP_PREFIX)
page_router.include_router(alerts.router, prefix=ALERTS_PREFIX)
page_router.include_router(lifecycles.router, prefix=LIVES_PREFIX)
page_router.include_router(analysis.router, prefix=ANALYSIS_PREFIX)
