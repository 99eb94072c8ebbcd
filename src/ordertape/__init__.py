"""ordertape records, keeps, rebuilds, replays and reads level-3 order books.

``import ordertape as ot`` gives the names below; each is imported when it is first used, so that
the import itself takes milliseconds.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ordertape._engine import Counters, Effects, EventBatch, OrderBook
    from ordertape.analysis.frames import fit_analysis, plot_analysis, read_analysis
    from ordertape.database.repository import L3Repository
    from ordertape.errors import OrdertapeError
    from ordertape.events import EventKind, Flag, Reason, Side
    from ordertape.findings.walk import read_findings
    from ordertape.lifecycles.log import read_lifecycles
    from ordertape.live import live
    from ordertape.models import (
        L3EventType,
        L3Order,
        L3Orderbook,
        L3Side,
        L3Snapshot,
        L3StreamStatus,
        StartL3Request,
    )
    from ordertape.replay.capture import read_capture
    from ordertape.tape.arrow_reader import read_arrow
    from ordertape.tape.databento import read_databento
    from ordertape.tape.lobster import read_lobster
    from ordertape.tape.reader import read_tape
    from ordertape.tape.rebuild import rebuild

__all__ = [
    "Counters",
    "Effects",
    "EventBatch",
    "EventKind",
    "Flag",
    "L3EventType",
    "L3Order",
    "L3Orderbook",
    "L3Repository",
    "L3Side",
    "L3Snapshot",
    "L3StreamStatus",
    "OrderBook",
    "OrdertapeError",
    "Reason",
    "Side",
    "StartL3Request",
    "fit_analysis",
    "live",
    "plot_analysis",
    "read_analysis",
    "read_arrow",
    "read_capture",
    "read_databento",
    "read_findings",
    "read_lifecycles",
    "read_lobster",
    "read_tape",
    "rebuild",
]

_HOMES = {
    "Counters": "_engine",
    "Effects": "_engine",
    "EventBatch": "_engine",
    "EventKind": "events",
    "Flag": "events",
    "L3EventType": "models",
    "L3Order": "models",
    "L3Orderbook": "models",
    "L3Repository": "database.repository",
    "L3Side": "models",
    "L3Snapshot": "models",
    "L3StreamStatus": "models",
    "OrderBook": "_engine",
    "OrdertapeError": "errors",
    "Reason": "events",
    "Side": "events",
    "StartL3Request": "models",
    "fit_analysis": "analysis.frames",
    "live": "live",
    "plot_analysis": "analysis.frames",
    "read_analysis": "analysis.frames",
    "read_arrow": "tape.arrow_reader",
    "read_capture": "replay.capture",
    "read_databento": "tape.databento",
    "read_findings": "findings.walk",
    "read_lifecycles": "lifecycles.log",
    "read_lobster": "tape.lobster",
    "read_tape": "tape.reader",
    "rebuild": "tape.rebuild",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
