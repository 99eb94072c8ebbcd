"""What `/docs` shows of every route beside its parameters: an answer, and how it refuses.

Answers are written as JSON texts, number by number, so that no response model describes them;
tests hold the examples against real answers.
"""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI

__all__ = ["show_examples"]

_HERE: Final = {"exchange": "bitfinex", "symbol": "BTC/USDT"}
_ENVELOPE: Final = {"state": "LIVE", "era": 3, "age_ms": 18, "simulated": False}
_STATUS: Final[dict[str, Any]] = {
    "symbol": "BTC/USDT",
    "exchanges": ["bitfinex"],
    "is_active": True,
    "orders_received": 18211,
    "orders_persisted": 18190,
    "snapshots_taken": 2,
    "started_at": "2026-11-22T07:00:00.921660Z",
    "last_update": "2026-11-22T07:01:31.368800Z",
    "errors": [],
    "state": "LIVE",
    "reason": "snapshot received",
    "era": 3,
    "age_ms": 18,
    "simulated": False,
    "persist": True,
    "sequence": 90412,
    "streams": None,
}
_FIGURES: Final = {
    "total_orders": 500,
    "bid_count": 250,
    "ask_count": 250,
    "total_bid_volume": 70.74631183,
    "total_ask_volume": 85.21404201,
    "best_bid": 64253,
    "best_ask": 64255,
    "spread": 2,
    "mid_price": 64254,
}
_MATCH: Final = {
    **_HERE,
    "order_id": "219282716190",
    "sequence": 90152,
    "side": "ask",
    "price": 64256,
    "size": 1.19989362,
    "event_type": "match",
    "timestamp": "2026-11-22T07:00:21.386Z",
    "metadata": {
        "trade_id": "2728268744",
        "taker_side": "bid",
        "venue_seq": 156,
        "ts_event_ns": 1795330821386000000,
        "ts_recv_ns": 1795330821406248976,
        "era": 3,
        "inferred": True,
    },
}
_VENUE: Final = {
    "exchange": "bitfinex",
    "feed": "raw book R0 and trades, WebSocket v2",
    "symbols": "BTC/USDT (tBTCUST), AVAX/USD (tAVAX:USD)",
    "credentials": "none",
    "depth": "the best 250 orders a side (100 where that is refused)",
    "sequence": "all frames of a connection; not the matching engine's",
    "checksum": "ids and sizes of the best 25 a side; no price, nothing below",
    "event_time": "milliseconds, when the venue made the frame",
    "end_reasons": "none; fills are inferred from trades",
    "trade_link": "none; inferred by price, size and time",
    "commit": "the checksum frame that closes an iteration of the book",
}

_EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "start": _STATUS,
    "stop": {
        "message": "bitfinex BTC/USDT is STOPPED",
        "status": {**_STATUS, "is_active": False, "state": "STOPPED", "reason": "asked to stop"},
        **_ENVELOPE,
        "state": "STOPPED",
    },
    "status": _STATUS,
    "streams": {"streams": [_STATUS]},
    "venues": {"venues": [_VENUE]},
    "orders": {
        **_HERE,
        "start_time": "2026-11-22T07:00:00Z",
        "end_time": None,
        "count": 1,
        "orders": [_MATCH],
        "next_cursor": "AZu96ckAAAAAAAAAmQ",
        **_ENVELOPE,
    },
    "snapshot": {
        **_HERE,
        "sequence": 90390,
        "timestamp": "2026-11-22T07:00:21.721Z",
        "statistics": _FIGURES,
        "bids": [{"order_id": "219282717574", "price": 64253, "size": 0.06}],
        "asks": [{"order_id": "219282717619", "price": 64255, "size": 0.00831003}],
        **_ENVELOPE,
    },
    "statistics": {
        **_HERE,
        "total_orders": 444,
        "unique_orders": 286,
        "first_order": "2026-11-22T07:00:20.990651419Z",
        "last_order": "2026-11-22T07:00:21.990871726Z",
        "by_event_type": {
            **{"open": 145, "change": 151, "match": 2, "done": 118},
            **{"clear": 1, "evict": 27, "trade": 0},
        },
        "by_side": {"bid": 235, "ask": 208},
        "traded_volume": 1.31989362,
        "events_per_second": {"mean": 443.902, "peak": 443, "now": 44.4},
        "snapshots": 1,
        "gaps": {"count": 1, "seconds": 3.1},
        "live": _FIGURES,
        **_ENVELOPE,
    },
    "gaps": {
        **_HERE,
        "gaps": [
            {
                "from": "2026-11-22T06:59:46.929450645Z",
                "to": "2026-11-22T06:59:50.029500645Z",
                "reason": "the connection ended",
                "healed_by": 89400,
            }
        ],
        **_ENVELOPE,
    },
}
_REFUSALS: Final[dict[str, dict[int, str]]] = {
    "start": {
        404: "there is no venue 'nowhere'; there is bitfinex",
        409: (
            "bitfinex BTC/USDT is a simulated market here, a real one can't have its name: it runs "
            "already"
        ),
        422: "snapshot_interval_seconds: input should be greater than or equal to 10, found 5",
        502: "the venue can't be reached",
        503: "the collector of bitfinex does not answer",
    },
    "stop": {404: "bitfinex LTC/USDT was never collected here"},
    "orders": {
        409: "bitfinex BTC/USDT does not persist: its events are live only",
        422: "offset: there is none; go on with cursor, the next_cursor of a page",
    },
    "analysis": {
        409: "bitfinex BTC/USDT does not persist: its events are live only",
        422: "expected at most 10000 windows, found 86400: ask for a longer step or a shorter time",
    },
    "lifecycles": {409: "bitfinex BTC/USDT does not persist: its events are live only"},
    "findings": {
        409: "findings are stored in PostgreSQL, and nothing persists here (L3_PERSIST_ENABLED)",
        503: "the database is away: no answer within 1.5 s",
    },
    "large-orders": {503: "the book was not there within 5 s: ask again"},
    "alerts": {
        404: "there is no venue 'nowhere'; there is bitfinex",
        503: "the database is away: no answer within 1.5 s",
    },
    "alerts/rules": {
        404: "bitfinex LTC/USDT was never collected here",
        422: "cooldown_seconds: input should be greater than or equal to 0, found -1",
        503: "the database is away: no answer within 1.5 s",
    },
    "alerts/rules/{rule}": {404: "there is no rule 7"},
    "bookmarks": {
        409: "expected at most 1000 bookmarks: delete one first",
        422: "note: string should have at most 500 characters",
    },
    "bookmarks/{bookmark}": {404: "there is no bookmark 7"},
}
"""By what stands behind ``/orderbook-heatmap/``, or behind ``/level3/``."""
_OF_A_MARKET: Final = {
    404: "bitfinex LTC/USDT was never collected here",
    422: "start_time: expected a time like 2026-11-22T07:00:00.123456789Z, found 'yesterday'",
}


def show_examples(app: FastAPI) -> None:
    """Adds them to the schema of an application whose routes are all there."""
    bare = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = bare()
            for path, methods in schema["paths"].items():
                for route in methods.values():
                    _show(path, route["responses"])
            app.openapi_schema = schema
        return app.openapi_schema

    # As FastAPI's own documents extend a schema: there is no hook for it.
    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI extends it


def _show(path: str, answers: dict[str, Any]) -> None:
    name = path.partition("/orderbook-heatmap/")[2].removeprefix("level3/")
    name = name.partition("/{exchange}")[0]
    if name in _EXAMPLES:  # what has none is told by its summary
        good = answers.setdefault("200", {"description": "OK"})
        content = good.setdefault("content", {}).setdefault("application/json", {})
        content["example"] = _EXAMPLES[name]
    refusals = _REFUSALS.get(name, {})
    if "{symbol}" in path:
        refusals = {**_OF_A_MARKET, **refusals}
    for status, detail in refusals.items():
        answers[str(status)] = {
            "description": _TITLES[status],
            "content": {"application/json": {"example": {"detail": detail}}},
        }


_TITLES: Final = {
    404: "never collected, or not known to the venue",
    409: "something is in the way",
    422: "a parameter that can't be used, named",
    502: "the venue refuses, or can't be reached",
    503: "a part of the server does not answer",
}
