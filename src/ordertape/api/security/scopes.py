"""Which key each route needs: one table, held against the application's own routes by a test."""

from __future__ import annotations

import re
from functools import cache
from typing import Final, Literal, TypeAlias

from starlette.routing import Match, compile_path
from starlette.types import Scope as Connection

from ordertape import limits
from ordertape.api.security.keys import Scope

__all__ = ["ROUTES", "WEBSOCKET", "Needed", "messages_per_minute", "needed_scope"]

Needed: TypeAlias = Scope | Literal["public"]
"""``public``: nobody is asked for a key."""
WEBSOCKET: Final = "WEBSOCKET"
"""Stands where a method does."""

_LEVEL3: Final = "/api/v1/orderbook-heatmap/level3"
_PAGE: Final = "/api/v1/orderbook-heatmap/page/ws"
_ALERTS: Final = "/api/v1/orderbook-heatmap/alerts"
_BOOKMARKS: Final = "/api/v1/orderbook-heatmap/bookmarks"
_FINDINGS: Final = "/api/v1/orderbook-heatmap/findings"
_LARGE: Final = "/api/v1/orderbook-heatmap/large-orders"
_HEATMAP: Final = "/api/v1/orderbook-heatmap/heatmap"
_ANALYSIS: Final = "/api/v1/orderbook-heatmap/analysis"
_FITS: Final = "/api/v1/orderbook-heatmap/fits"
_METRICS: Final = "/api/v1/orderbook-heatmap/metrics"
_LIVES: Final = "/api/v1/orderbook-heatmap/lifecycles"

ROUTES: Final[dict[tuple[str, str], Needed]] = {
    ("GET", "/"): "read",
    ("GET", "/alerts"): "read",
    ("GET", "/assets/{name}"): "read",
    ("GET", "/docs"): "read",
    ("GET", "/docs/oauth2-redirect"): "read",
    ("GET", "/healthz"): "public",
    ("GET", "/icon.svg"): "read",
    ("GET", "/metrics"): "read",
    ("GET", "/openapi.json"): "read",
    ("GET", "/plain"): "read",
    ("GET", "/readyz"): "public",
    ("GET", "/redoc"): "read",
    ("GET", "/sessions"): "read",
    ("GET", "/settings"): "read",
    ("GET", "/static-offline-docs/{path:path}"): "public",
    ("GET", "/status"): "read",
    ("GET", _ALERTS): "read",
    ("GET", f"{_ALERTS}/rules"): "read",
    ("POST", f"{_ALERTS}/rules"): "control",
    ("DELETE", f"{_ALERTS}/rules/{{rule}}"): "control",
    ("GET", f"{_FINDINGS}/{{exchange}}/{{symbol:path}}"): "read",
    ("GET", f"{_LARGE}/{{exchange}}/{{symbol:path}}"): "read",
    ("GET", _BOOKMARKS): "read",
    ("POST", _BOOKMARKS): "control",
    ("DELETE", f"{_BOOKMARKS}/{{bookmark}}"): "control",
    ("GET", f"{_HEATMAP}/{{exchange}}/{{symbol:path}}/box"): "read",
    ("GET", f"{_HEATMAP}/{{exchange}}/{{symbol:path}}/overview"): "read",
    ("GET", f"{_HEATMAP}/{{exchange}}/{{symbol:path}}/tile"): "read",
    ("GET", f"{_ANALYSIS}/{{exchange}}/{{symbol:path}}"): "read",
    ("GET", f"{_FITS}/{{name}}/{{exchange}}/{{symbol:path}}"): "read",
    ("GET", _METRICS): "read",
    ("GET", f"{_LIVES}/{{exchange}}/{{symbol:path}}"): "read",
    ("GET", f"{_LEVEL3}/gaps/{{exchange}}/{{symbol:path}}"): "read",
    ("GET", f"{_LEVEL3}/orders/{{exchange}}/{{symbol:path}}"): "read",
    ("GET", f"{_LEVEL3}/snapshot/{{exchange}}/{{symbol:path}}"): "read",
    ("GET", f"{_LEVEL3}/statistics/{{exchange}}/{{symbol:path}}"): "read",
    ("GET", f"{_LEVEL3}/status/{{exchange}}/{{symbol:path}}"): "read",
    ("GET", f"{_LEVEL3}/streams"): "read",
    ("GET", f"{_LEVEL3}/venues"): "read",
    ("POST", f"{_LEVEL3}/start"): "control",
    ("POST", f"{_LEVEL3}/stop/{{exchange}}/{{symbol:path}}"): "control",
    (WEBSOCKET, f"{_LEVEL3}/ws/{{symbol:path}}"): "read",
    (WEBSOCKET, _PAGE): "read",
}


def needed_scope(connection: Connection) -> Needed:
    """What a request or WebSocket needs.

    A route that the table does not have needs ``admin``: forgetting one closes it.  What no route
    has (404, 405) needs ``read``: only who may read hears what there is.
    """
    method = WEBSOCKET if connection["type"] == "websocket" else connection["method"]
    method = "GET" if method == "HEAD" else method
    path = _path(connection)
    for pattern, needed in _patterns(method):
        if pattern.match(path):
            return needed
    routes = connection["app"].routes
    known = any(route.matches(connection)[0] is Match.FULL for route in routes)
    return "admin" if known else "read"


def messages_per_minute(connection: Connection) -> int:
    """How often a WebSocket's client may speak: pages alone have something to say."""
    if _path(connection) == _PAGE:
        return limits.page_messages_per_minute_max
    return limits.socket_messages_per_minute_max


def _path(connection: Connection) -> str:
    """Without what a proxy put before it."""
    path, root = str(connection["path"]), str(connection.get("root_path", "")).rstrip("/")
    return path[len(root) :] if root and path.startswith(f"{root}/") else path


@cache
def _patterns(method: str) -> tuple[tuple[re.Pattern[str], Needed], ...]:
    """By the very expressions that the routes themselves are found by."""
    return tuple(
        (compile_path(path)[0], needed) for (own, path), needed in ROUTES.items() if own == method
    )
