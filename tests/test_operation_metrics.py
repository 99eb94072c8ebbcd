"""``/healthz``, ``/readyz`` and ``/metrics`` of a whole server, its roles real processes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import httpx
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.sync.client import connect

from ordertape.api.metrics import METRICS
from ordertape.database.told import read_told
from ordertape.measures import BOUNDS_SECONDS, Delays, Nearest, role_measures
from ordertape.roles.children import Child
from ordertape.roles.status import read_report
from ordertape.stream.gap_kinds import GapKind
from ordertape.tape.folder import MarketFolder
from support.processes import PAIR, SYMBOL, wait_for
from support.server import API, serving

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "operations.md").read_text("utf-8")
FAULTS = [
    {"kind": "checksum lie", "connection": 1, "message": 500, "holds": '"cs"', "times": 2},
    {"kind": "drop", "connection": 1, "message": 2_000, "times": 1},
]
Samples: TypeAlias = dict[str, float]


class Running:
    """A server whose venue is simulated and goes wrong as ``FAULTS`` say."""

    def __init__(self, address: str, data: Path) -> None:
        self.address, self.data = address, data
        self.client = httpx.Client(base_url=address, timeout=120)

    def page(self) -> str:
        answer = self.client.get("/metrics")
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("text/plain; version=")
        return answer.text

    def samples(self) -> Samples:
        """Each sample by its name and labels, as ``name{a="b"}``."""
        return {
            sample.name
            + "".join(f",{k}={v}" for k, v in sorted(sample.labels.items()) if k not in _MARKET): (
                sample.value
            )
            for family in text_string_to_metric_families(self.page())
            for sample in family.samples
            if sample.labels.get("symbol", SYMBOL) == SYMBOL
        }

    def wait(self, name: str, at_least: float = 1, seconds: float = 60) -> Samples:
        """The samples once one of them is so large."""
        found: Samples = {}

        def there() -> bool:
            found.clear()
            found.update(self.samples())
            return found.get(name, -1) >= at_least

        wait_for(there, f"{name} ≥ {at_least}", seconds, pause=0.1)
        return found

    def ready(self, **query: str) -> tuple[int, dict[str, object]]:
        answer = self.client.get("/readyz", params=query)
        return answer.status_code, answer.json()


_MARKET = ("exchange", "symbol")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("operation")
    options = ["--rate", "1000", "--symbol", PAIR, "--faults", json.dumps(FAULTS)]
    venue = Child("the venue", "ordertape.simulator", [*options, "--watch-parent"])
    try:
        listening = json.loads(venue.first_line())
        environment = {
            "ORDERTAPE_BITFINEX_WS_URL": listening["url"],
            "ORDERTAPE_BITFINEX_REST_URL": listening["rest_url"],
            "DATABASE_URL": "",
        }
        with serving(folder, environment) as address:
            server = Running(address, folder / "data")
            with server.client:
                wish = {"symbol": SYMBOL, "exchanges": ["bitfinex"]}
                answer = server.client.post(f"{API}/start", json=wish)
                assert answer.status_code == 200, answer.text
                yield server
    finally:
        venue.stop()


def test_the_process_answers_and_becomes_ready(running: Running) -> None:
    assert running.client.get("/healthz").json() == {"status": "ok"}
    ready = {"ready": True, "not_ready": [], "streams_not_live": []}
    wait_for(lambda: running.ready(streams="true") == (200, ready), "a ready server", pause=0.1)
    assert running.ready()[0] == 200


def test_every_metric_of_the_document_is_there_and_every_one_there_stands_in_it(
    running: Running,
) -> None:
    shown = dict(re.findall(r"^\| `(ordertape_\w+)` \| (\w+) \|", PAGE, re.MULTILINE))
    assert shown == {name: metric.kind for name, metric in METRICS.items()}
    running.wait("ordertape_database_delay_seconds_count")
    running.wait("ordertape_checksums_total,result=equal")
    with connect(f"{running.address.replace('http', 'ws', 1)}{API}/ws/{SYMBOL}") as reader:
        reader.recv(timeout=120)
        found = running.page()
        told = {
            f"{family.name}_total" if family.type == "counter" else family.name
            for family in text_string_to_metric_families(found)
        }
    assert told == METRICS.keys()


def test_what_clients_are_sent_is_counted(running: Running) -> None:
    address = f"{running.address.replace('http', 'ws', 1)}{API}/ws/{SYMBOL}"
    before = running.samples()
    with connect(address, max_queue=None) as reader:
        for _ in range(200):
            reader.recv(timeout=120)
        after = running.wait("ordertape_client_delay_seconds_count", 50)
        assert after["ordertape_clients"] == before["ordertape_clients"] + 1
        assert after["ordertape_frames_sent_total"] >= before["ordertape_frames_sent_total"] + 200
        assert after["ordertape_bytes_sent_total"] > before["ordertape_bytes_sent_total"]
        assert quantile(after, "ordertape_client_delay_seconds", 0.5) < 1
    assert after["ordertape_clients_too_slow_total"] == 0


def test_metrics_move_with_what_happens(running: Running) -> None:
    before = running.wait("ordertape_events_total")
    after = running.wait("ordertape_events_total", before["ordertape_events_total"] + 1_000)
    for name in (
        *("frames_total", "frame_bytes_total", "venue_delay_seconds_count"),
        *("durable_delay_seconds_count", "durable_delay_seconds_sum"),
        *("role_cpu_seconds_total,role=collector of bitfinex", "stream_era"),
    ):
        assert after[f"ordertape_{name}"] >= before[f"ordertape_{name}"], name
        assert after[f"ordertape_{name}"] > 0, name
    assert after["ordertape_book_orders,side=bid"] > 0
    assert after["ordertape_unarchived_events"] > 0
    assert after["ordertape_journal_bytes"] >= 64 * 2**20
    assert after["ordertape_role_resident_bytes,role=server"] > 10**7
    assert after["ordertape_role_resident_bytes,role=keeper"] > 10**7
    assert after["ordertape_stream_simulated"] == 0  # as a real collector, at a simulated address


def test_the_venue_s_faults_are_counted_by_their_kinds(running: Running) -> None:
    running.wait("ordertape_checksums_total,result=different", 2)
    found = running.wait("ordertape_gaps_total,reason=sequence")
    assert found["ordertape_gaps_total,reason=checksum"] == 1
    assert found["ordertape_resyncs_total"] >= 1
    found = running.wait("ordertape_connects_total", 2)
    kinds = {name.partition("reason=")[2] for name in found if "gaps_total" in name}
    assert kinds == {kind.value for kind in GapKind}


def test_delays_are_those_of_the_promises(running: Running) -> None:
    """Nothing is durable before its sync, nothing in the database before it is durable."""
    found = running.wait("ordertape_database_delay_seconds_count", 1_000)
    durable = quantile(found, "ordertape_durable_delay_seconds", 0.5)
    database = quantile(found, "ordertape_database_delay_seconds", 0.5)
    assert 0.02 <= durable <= database
    rows = found["ordertape_database_delay_seconds_count"]
    assert rows <= found["ordertape_events_total"]
    behind = found["ordertape_database_behind_events"]
    assert behind <= found["ordertape_events_total"]


def quantile(samples: Samples, name: str, share: float) -> float:
    """The upper bound of the bucket that it lies in."""
    count = samples[f"{name}_count"]
    bounds = (*BOUNDS_SECONDS, float("inf"))
    return next(b for b in bounds if samples[f"{name}_bucket,le={_le(b)}"] >= share * count)


def _le(bound: float) -> str:
    return "+Inf" if bound == float("inf") else str(bound)


def test_a_stopped_collector_and_an_absent_database_are_not_ready_and_said_so(
    running: Running,
) -> None:
    report = read_report(MarketFolder(running.data, "bitfinex", SYMBOL).root)
    assert report is not None
    os.kill(report.pid, signal.SIGSTOP)

    def silent() -> bool:
        status, told = running.ready()
        parts = {part["part"]: part["reason"] for part in told["not_ready"]}
        return status == 503 and parts.get("collector of bitfinex") == "it fell silent"

    wait_for(silent, "a silent collector", pause=0.2)
    status, told = running.ready(streams="true")
    assert status == 503
    assert {"part": f"bitfinex {SYMBOL}", "reason": "it is STALE"} in told["not_ready"]
    assert running.samples()["ordertape_ready"] == 0
    os.kill(report.pid, signal.SIGKILL)  # the server starts another
    running.wait("ordertape_role_starts_total,role=collector of bitfinex", 2)
    running.wait("ordertape_gaps_total,reason=not_collected")
    wait_for(lambda: running.ready()[0] == 200, "a ready server", pause=0.1)


def test_every_restart_of_a_collector_is_seen_by_the_alarms(running: Running) -> None:
    """``increase`` of the gaps and ``changes`` of the start: a new process counts what the ones
    before did, and started later."""
    gaps, started = "ordertape_gaps_total,reason=", "ordertape_role_started_timestamp_seconds,role="
    collector, server = f"{started}collector of bitfinex", f"{started}server"
    before = running.wait(f"{gaps}sequence")
    for _ in range(2):
        report = read_report(MarketFolder(running.data, "bitfinex", SYMBOL).root)
        assert report is not None
        os.kill(report.pid, signal.SIGKILL)
        found = running.wait(f"{gaps}not_collected", before[f"{gaps}not_collected"] + 1)
        assert found[f"{gaps}not_collected"] == before[f"{gaps}not_collected"] + 1
        assert all(found[name] >= before[name] for name in before if name.startswith(gaps))
        assert found[collector] > before[collector]
        assert found[server] == before[server]
        before = found
        wait_for(lambda: running.ready(streams="true")[0] == 200, "LIVE again", pause=0.1)


def test_nothing_that_anybody_may_ask_names_a_place_or_an_account(running: Running) -> None:
    told = running.client.get("/healthz").text + running.client.get("/readyz").text + running.page()
    database = read_told(running.data)
    assert database is not None
    assert str(running.data) not in told
    assert database.database not in told
    assert "127.0.0.1" not in told


# The parts ----------------------------------------------------------------------------------------


def test_delays_count_each_once_in_the_bucket_whose_bound_holds_it() -> None:
    delays, together = Delays(), Delays()
    several = [-5, 0, 1_000_000, 1_000_001, 10**9, 10**13]
    for delay in several:
        delays.note(delay)
    together.note_all(np.array(several, dtype=np.int64))
    told = delays.told()
    assert told == together.told()
    assert (sum(told.counts), told.negative, told.sum_ns) == (6, 1, sum(several) + 5)
    assert (told.counts[0], told.counts[1], told.counts[-1]) == (3, 1, 1)


def test_the_least_delay_of_long_ago_is_forgotten() -> None:
    minute, nearest = 60 * 10**9, Nearest()
    assert nearest.least(0) is None
    nearest.note(-3, 0)
    nearest.note(7, minute)
    assert nearest.least(minute) == -3
    assert nearest.least(2 * minute) == 7
    assert nearest.least(4 * minute) is None


def test_a_role_is_told_once_however_many_processes_have_or_wait_for_it() -> None:
    """Prometheus takes no page on which a sample stands twice."""
    ours, parent = os.getpid(), os.getppid()
    (alone,) = role_measures([("keeper", ours)])
    both = role_measures([("keeper", ours), ("keeper", parent), ("gone", 2**22 + 1)])
    assert [process.role for process in both] == ["keeper"]
    assert both[0].resident_bytes > alone.resident_bytes > 10**6
    assert both[0].open_files > alone.open_files > 2
    assert alone.cpu_seconds > 0


def test_a_process_started_when_it_did_however_often_it_is_asked() -> None:
    before = time.time()
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        (first,) = role_measures([("one", child.pid)])
        (both,) = role_measures([("one", child.pid), ("one", os.getpid())])
        (older,) = role_measures([("one", os.getpid())])
    finally:
        child.communicate(b"\n")
    assert before - 0.1 <= first.started_at <= time.time()  # in ticks of a hundredth
    assert both.started_at == first.started_at > older.started_at
