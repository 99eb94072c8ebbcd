"""What the live view shows, drawn from one moment of a market."""

from __future__ import annotations

import re
import time
from decimal import Decimal
from typing import Any

import pytest
from rich.console import Console

from ordertape.events import EventKind, Flag, Reason, Side
from ordertape.roles.status import StreamReport
from ordertape.terminal.tables import View, line, screen


def report() -> StreamReport:
    return StreamReport(
        exchange="bitfinex",
        symbol="BTC/USDT",
        pid=77,
        simulated=True,
        state="LIVE",
        started_at=time.time_ns(),
        last_frame_at=time.time_ns(),
        synced_sequence=1200,
        counters={"frames": 5432, "connects": 2},
        integrity={"summary": "proven: sequence checked, 9 of 9 checksums equal"},
    )


def view(**changes: Any) -> View:
    fields: dict[str, Any] = {
        "exchange": "bitfinex",
        "symbol": "BTC/USDT",
        "simulated": True,
        "state": "LIVE",
        "reason": "",
        "era": 2,
        "sequence": 1234,
        "age_ms": 12,
        "bids": [(Decimal("41643.95858045"), Decimal("0.00006183"), 3)],
        "asks": [(Decimal("41655"), Decimal("1.50"), 1), (Decimal("41656"), Decimal("2"), 4)],
        "bid_orders": 25,
        "ask_orders": 26,
        "events": [
            {
                "seq": 1234,
                "kind": EventKind.DONE,
                "side": Side.ASK,
                "price": Decimal("41655.00832111"),
                "size": Decimal("1E-8"),
                "reason": Reason.FILLED,
                "flags": Flag.INFERRED,
            },
            {
                "seq": 1233,
                "kind": EventKind.OPEN,
                "side": Side.BID,
                "price": Decimal("41643"),
                "size": Decimal("2"),
                "reason": 0,
                "flags": Flag.REENTRY,
            },
            {
                "seq": 1232,
                "kind": EventKind.CLEAR,
                "side": None,
                "price": None,
                "size": None,
                "reason": 0,
                "flags": 0,
            },
        ],
        "rates": {"open": 10.0, "done": 5.5, "trade": 0.0},
        "gaps": 1,
        "faults": 0,
        "report": report(),
    }
    return View(**{**fields, **changes})


def drawn(shown: View, width: int = 140, height: int = 40) -> str:
    console = Console(width=width, height=height, record=True, file=None, quiet=False)
    with console.capture() as captured:
        console.print(screen(shown, width=width, height=height))
    return captured.get()


def test_everything_that_matters_is_on_the_screen() -> None:
    text = drawn(view())
    for expected in (
        "bitfinex BTC/USDT",
        "SIMULATED",
        "LIVE",
        "era 2",
        "sequence 1,234",
        "best bid 41643.95858045",
        "best ask 41655",
        "spread 11.04141955",
        "25 bids, 26 asks",
        "0.00006183",
        "41655.00832111",
        "0.00000001",
        "done filled",
        "open again",
        "clear",
        "events/s 15.5",
        "proven: sequence checked, 9 of 9 checksums equal, 1 gap",
        "5,432 frames",
        "synced to 1,200",
    ):
        assert expected in text, expected


def test_a_real_market_is_not_called_simulated() -> None:
    assert "SIMULATED" not in drawn(view(simulated=False))
    assert "SIMULATED" not in line(view(simulated=False))


def test_a_state_other_than_live_says_why() -> None:
    text = drawn(view(state="STALE", reason="checksum 1, ours is 2"))
    assert "STALE (checksum 1, ours is 2)" in text


@pytest.mark.parametrize(
    ("width", "height"), [(30, 24), (60, 24), (80, 24), (100, 24), (140, 50), (200, 30)]
)
def test_the_screen_fits_the_terminal(width: int, height: int) -> None:
    full = view(
        bids=[(Decimal(100 - n), Decimal(n + 1), n + 1) for n in range(20)],
        asks=[(Decimal(101 + n), Decimal(n + 1), n + 1) for n in range(20)],
        events=[view().events[0]] * 25,
    )
    lines = drawn(full, width, height).rstrip("\n").split("\n")
    assert len(lines) <= height
    assert all(len(text) <= width for text in lines)


@pytest.mark.parametrize("width", [40, 50, 60, 70, 80, 100, 136, 140])
def test_a_narrow_terminal_leaves_columns_out_and_cuts_no_number(width: int) -> None:
    bids = [(Decimal("123456.78901234"), Decimal("0.12345678"), 3)]
    asks = [(Decimal("123457.78901235"), Decimal("12.34567891"), 11)]
    text = drawn(view(bids=bids, asks=asks, sequence=1_234_567_890), width)
    for whole in ("123456.78901234", "123457.78901235", "41655.00832111", "1,234,567,890"):
        assert whole in text, whole
    if width >= 60:
        assert "0.12345678" in text
        assert "12.34567891" in text
        assert "0.00000001" in text
    if width == 60:
        assert "size  price" in text
        assert "orders  size" not in text
    assert re.search(r"\d…", text) is None


def test_before_the_first_checksum_the_proof_is_pending() -> None:
    # The report of the moment before: it still speaks of a stream without a book.
    early = report()
    early.state, early.integrity = "SYNCING", {"summary": "unproven: the venue gives no sequence"}
    assert "proof pending, 1 gap" in line(view(report=early))
    assert "unproven" not in drawn(view(report=early))
    early.state, early.integrity = "LIVE", {"summary": "proof pending: no checksum yet"}
    assert "proof pending: no checksum yet, 1 gap" in line(view(report=early))
    assert "unproven" in line(view(report=replace_summary("unproven: no checksum")))


def replace_summary(text: str) -> StreamReport:
    told = report()
    told.integrity = {"summary": text}
    return told


def test_one_of_a_kind_is_told_in_the_singular() -> None:
    one = report()
    one.counters = {"frames": 1, "connects": 1}
    text = drawn(view(bid_orders=1, ask_orders=1, faults=1, report=one))
    for words in ("1 bid, 1 ask", "1 gap,", "1 fault while", "1 frame, 1 connect,"):
        assert words in text, words
    assert "2 gaps" in line(view(gaps=2))


def test_an_empty_market_can_be_drawn() -> None:
    empty = view(bids=[], asks=[], events=[], report=None, state="", age_ms=None, sequence=0)
    text = drawn(empty)
    assert "WAITING" in text
    assert "no collector writes this market now" in text
    assert "bid – ask –" in line(empty)


def test_a_pipe_gets_one_plain_line() -> None:
    text = line(view())
    assert "\n" not in text
    assert "\x1b" not in text
    assert text.startswith(
        "bitfinex BTC/USDT  SIMULATED  LIVE  era 2  seq 1234  bid 41643.95858045"
    )
    assert "16 events/s" in text
