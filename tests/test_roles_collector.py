"""The collector as a process of its own, recording a simulated venue into real files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ordertape.errors import SyncFailed
from ordertape.replay.capture import CaptureReplay
from ordertape.roles.collector import Collector
from ordertape.roles.status import read_report
from ordertape.settings import load_settings
from ordertape.tape.folder import MarketFolder
from ordertape.tape.marks import Mark
from ordertape.tape.reader import TapeReader
from ordertape.tape.rebuild import rebuild
from ordertape.tape.verify import verify
from support.processes import (
    SYMBOL,
    report_of,
    simulated_venue,
    start_collector,
    wait_for,
    wait_live,
)

NOWHERE = {
    "ORDERTAPE_BITFINEX_WS_URL": "ws://127.0.0.1:9/ws/2",
    "ORDERTAPE_BITFINEX_REST_URL": "http://127.0.0.1:9",
}


def marks(data: Path, kind: str, symbol: str = SYMBOL) -> list[Mark]:
    return [mark for mark in TapeReader(data, "bitfinex", symbol).marks() if mark.kind == kind]


def test_a_start_loads_nothing_that_a_collector_can_do_without() -> None:
    """LIVE again soon after a kill is a promise, and these libraries take a third of a start."""
    program = "import sys, ordertape.roles.collector; print(*sys.modules)"
    told = subprocess.check_output([sys.executable, "-c", program], text=True)
    loaded = {name.partition(".")[0] for name in told.split()}
    assert "picows" in loaded
    unneeded = {"httpx", "numpy", "psycopg", "pyarrow", "rich", "typer"}
    assert loaded & unneeded == set()


def test_collect_kill_restart_verify(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with simulated_venue() as environment:
        first = start_collector(data, environment)
        wait_live(data, first, events=50)
        os.kill(first.pid, signal.SIGKILL)
        assert first.stop() == -signal.SIGKILL
        killed = report_of(data, first)
        second = start_collector(data, environment)
        live = wait_live(data, second, events=50)
        assert second.stop() == 0, second.ending()
    assert killed is not None
    assert live.era == 2
    assert live.sequence > killed.sequence
    report = verify(data, "bitfinex", SYMBOL)
    assert report.equal, str(report)
    assert report.eras == 2
    gaps = {mark.fields["from_ns"]: mark.fields for mark in marks(data, "gap")}
    (gap,) = gaps.values()
    assert gap["reason"] == "not collected"
    assert gap["to_ns"] > gap["from_ns"]
    clear = next(
        batch for batch in TapeReader(data, "bitfinex", SYMBOL, from_seq=gap["healed_by"]).batches()
    )
    assert clear[0]["kind"] == 5


def test_a_clean_stop_is_told_on_the_tape_and_leaves_no_lock(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with simulated_venue() as environment:
        collector = start_collector(data, environment)
        wait_live(data, collector, events=20)
        began = time.monotonic()
        assert collector.stop() == 0, collector.ending()
        assert time.monotonic() - began < 10
    with MarketFolder(data, "bitfinex", SYMBOL).writing():
        pass
    states = [(mark.fields["from"], mark.fields["to"]) for mark in marks(data, "state")]
    assert states == [
        ("STOPPED", "CONNECTING"),
        ("CONNECTING", "SYNCING"),
        ("SYNCING", "LIVE"),
        ("LIVE", "STOPPED"),
    ]
    report = read_report(MarketFolder(data, "bitfinex", SYMBOL).root)
    assert report is not None
    assert report.state == "STOPPED"
    assert not report.fresh
    assert report.synced_sequence == report.sequence
    assert marks(data, "gap") == []
    assert marks(data, "simulated")[0].fields == {"simulated": True}


def test_one_market_fails_and_the_other_goes_on(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with simulated_venue(pairs=("tBTCUST",)) as environment:
        # Without the list of markets the unknown one is found out by the venue alone.
        environment["ORDERTAPE_BITFINEX_REST_URL"] = NOWHERE["ORDERTAPE_BITFINEX_REST_URL"]
        collector = start_collector(data, environment, symbols=(SYMBOL, "ETH/USDT"))
        wait_live(data, collector, events=10)
        wait_for(
            lambda: (
                (r := report_of(data, collector, "ETH/USDT")) is not None and r.state == "FAILED"
            ),
            "ETH/USDT FAILED",
        )
        before = wait_live(data, collector)
        after = wait_live(data, collector, events=before.events + 20)
        assert collector.stop() == 0
    assert after.counters["connects"] == 1
    assert after.counters["gaps"] == 0
    failed = report_of(data, collector, "ETH/USDT")
    assert failed is not None
    assert "error 10001" in failed.reason


def test_a_collector_whose_every_market_failed_ends_with_a_sentence(tmp_path: Path) -> None:
    with simulated_venue(pairs=("tBTCUST",)) as environment:
        environment["ORDERTAPE_BITFINEX_REST_URL"] = NOWHERE["ORDERTAPE_BITFINEX_REST_URL"]
        collector = start_collector(tmp_path / "data", environment, symbols=("ETH/USDT",))
        wait_for(lambda: collector.status is not None, "its end")
    assert collector.stop() == 1
    assert collector.last_words.startswith("collector: nothing is collected any more: ")


def test_a_market_is_written_by_one_collector_alone(tmp_path: Path) -> None:
    data = tmp_path / "data"
    first = start_collector(data, NOWHERE)
    wait_for(lambda: report_of(data, first) is not None, "the first one")
    second = start_collector(data, NOWHERE)
    wait_for(lambda: second.status is not None, "the second one's end")
    assert second.stop() == 1
    assert f"is being written by process {first.pid}" in second.last_words
    assert first.stop() == 0


def test_all_markets_are_opened_or_none(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with MarketFolder(data, "bitfinex", "ETH/USDT").writing():
        collector = start_collector(data, NOWHERE, symbols=(SYMBOL, "ETH/USDT"))
        wait_for(lambda: collector.status is not None, "its end")
        assert collector.stop() == 1
    assert read_report(MarketFolder(data, "bitfinex", SYMBOL).root) is None


def test_real_and_simulated_data_are_not_mixed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with simulated_venue() as environment:
        simulated = start_collector(data, environment)
        wait_live(data, simulated)
        assert simulated.stop() == 0
        settings = load_settings(data=data, bitfinex_ws_url="ws://127.0.0.1:9")
        with pytest.raises(Exception, match="is simulated, real data can't be added"):
            Collector(settings, "bitfinex", [SYMBOL]).run()


def test_a_collector_leaves_when_its_parent_does(tmp_path: Path) -> None:
    data = tmp_path / "data"
    collector = start_collector(data, NOWHERE, "--watch-parent")
    wait_for(lambda: report_of(data, collector) is not None, "its start")
    assert collector._process.stdin is not None
    collector._process.stdin.close()
    wait_for(lambda: collector.status is not None, "its end", 10)
    assert collector.stop() == 0


def test_a_dropped_connection_is_a_gap_with_its_reason(tmp_path: Path) -> None:
    """The venue is killed and comes back on the same port."""
    data = tmp_path / "data"
    with simulated_venue() as environment:
        port = int(environment["ORDERTAPE_BITFINEX_REST_URL"].rpartition(":")[2])
        collector = start_collector(data, environment)
        wait_live(data, collector, events=20)
    wait_for(
        lambda: (r := report_of(data, collector)) is not None and r.state == "CONNECTING",
        "the loss",
    )
    with simulated_venue(port=port):
        wait_for(
            lambda: (
                (r := report_of(data, collector)) is not None and (r.era, r.state) == (2, "LIVE")
            ),
            "the second era",
        )
        assert collector.stop() == 0
    reasons = {mark.fields["from_ns"]: mark.fields["reason"] for mark in marks(data, "gap")}
    (reason,) = reasons.values()
    assert reason.startswith("closed by the venue") or "connection" in reason
    assert verify(data, "bitfinex", SYMBOL).equal


def test_a_capture_beside_the_tape_gives_the_same_book(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with simulated_venue() as environment:
        collector = start_collector(data, environment, "--capture")
        wait_live(data, collector, events=100)
        assert collector.stop() == 0
    (capture,) = (MarketFolder(data, "bitfinex", SYMBOL).root / "capture").iterdir()
    replay = CaptureReplay(capture, "bitfinex", SYMBOL)
    events = sum(sum(batch.counts()) for batch in replay.batches())
    taped = rebuild(data, "bitfinex", SYMBOL)
    # What was not yet complete when the collector stopped is completed by the capture's end.
    assert events >= taped.seq
    at_stop = CaptureReplay(capture, "bitfinex", SYMBOL)
    for batch in at_stop.batches():
        if batch.last_seq == taped.seq:
            assert at_stop.stream.book.digest() == taped.digest()
            return
    pytest.fail(f"no message of the capture ends at {taped.seq}")


def test_a_disk_that_does_not_keep_ends_the_process_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync, calls = os.fdatasync, 0

    def failing(fd: int) -> None:
        nonlocal calls
        calls += 1
        if calls > 3:
            raise OSError(5, "Input/output error")
        sync(fd)

    with simulated_venue() as environment:
        monkeypatch.setattr(os, "fdatasync", failing)
        settings = load_settings(
            data=tmp_path / "data",
            bitfinex_ws_url=environment["ORDERTAPE_BITFINEX_WS_URL"],
            bitfinex_rest_url=environment["ORDERTAPE_BITFINEX_REST_URL"],
        )
        with pytest.raises(SyncFailed, match="what was written may be lost"):
            Collector(settings, "bitfinex", [SYMBOL], simulated=True).run()
