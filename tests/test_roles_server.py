"""A server, its roles and every way in which one of them ends: real processes, nothing left."""

from __future__ import annotations

import fcntl
import json
import os
import signal
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from ordertape.database.address import address_of
from ordertape.database.guard import START_LOCK, open_lock
from ordertape.roles.children import Child
from ordertape.roles.locks import holder
from ordertape.roles.server import control_path
from ordertape.roles.wanted import WantedStream, WantedStreams
from ordertape.settings import load_settings
from ordertape.tape.folder import MarketFolder
from ordertape.tape.marks import Mark
from ordertape.tape.reader import TapeReader
from ordertape.tape.verify import verify
from support.processes import SYMBOL, simulated_venue, wait_for
from support.roles_server import launched, rows

COLLECTOR = "the collector of bitfinex"
KEEPER = "the keeper"
SIMULATED = "the collector of the simulated bitfinex"
EMBEDDED = {"DATABASE_URL": ""}


@pytest.fixture(scope="module")
def venue() -> Iterator[dict[str, str]]:
    with simulated_venue(pairs=("tBTCUST", "tETHUST")) as environment:
        yield environment


def limits(**given: int) -> dict[str, str]:
    """The environment of a server that keeps these limits instead of its own."""
    return {"LIMITS": json.dumps(given)}


def marks(data: Path, kind: str) -> list[Mark]:
    return [mark for mark in TapeReader(data, "bitfinex", SYMBOL).marks() if mark.kind == kind]


def gaps(data: Path) -> dict[int, dict[str, Any]]:
    """By beginning; a healed one as it was healed."""
    return {mark.fields["from_ns"]: mark.fields for mark in marks(data, "gap")}


def locks_held(data: Path) -> list[str]:
    ours = [*data.glob("*.lock"), *data.glob("bitfinex/*.lock"), *data.glob("bitfinex/*/*.lock")]
    return [str(path) for path in ours if holder(path) is not None]


def assert_whole(data: Path, eras: int) -> None:
    """Every event once, every gap a row, every mark equal, no lock held."""
    report = verify(data, "bitfinex", SYMBOL)
    assert report.equal, str(report)
    assert report.eras == eras
    batches = list(TapeReader(data, "bitfinex", SYMBOL).batches())
    assert batches[0].first_seq == 1
    assert all(a.last_seq + 1 == b.first_seq for a, b in pairwise(batches))
    assert len(gaps(data)) == eras - 1
    assert locks_held(data) == []


def test_a_stream_goes_on_after_the_server_ended_and_after_it_was_killed(
    tmp_path: Path, venue: dict[str, str]
) -> None:
    data = tmp_path / "data"
    venue = venue | EMBEDDED
    with launched(data, venue) as server:
        server.wait_up()
        begun = server.start("tBTCUST")
        assert begun["symbol"] == SYMBOL
        assert server.start("BTC-USDT")["started_at"] == begun["started_at"]
        server.wait_live(events=30)
        server.end_in_time(signal.SIGINT)  # Ctrl-C
        assert "Traceback" not in server.words()
    assert marks(data, "state")[-1].fields["to"] == "STOPPED"
    assert locks_held(data) == []
    with launched(data, venue) as server:
        live = server.wait_live(era=2, events=30)
        address = address_of(load_settings(data=data, database_url=None))
        wait_for(lambda: rows(address) > live["sequence"], "rows in the database")
        os.kill(server.process.pid, signal.SIGKILL)
        server.wait_gone()
    wait_for(lambda: not address.embedded.running, "the end of PostgreSQL")
    assert marks(data, "state")[-1].fields["to"] == "STOPPED"
    with launched(data, venue) as server:
        server.wait_live(era=3, events=30)
        stopped = server.stop()
        assert stopped["state"] == "STOPPED"
        assert stopped["orders_persisted"] == stopped["orders_received"] > 0
        wait_for(lambda: rows(address) == stopped["sequence"], "every event once in the database")
        server.send(signal.SIGTERM)
        server.wait_gone()
    assert not address.embedded.running
    assert_whole(data, eras=3)


def test_a_killed_collector_and_a_killed_keeper_are_started_again(
    tmp_path: Path, venue: dict[str, str]
) -> None:
    data = tmp_path / "data"
    with launched(data, venue) as server:
        server.wait_up()
        server.start()
        server.wait_live(events=30)
        before = server.get()["roles"]
        for role in (COLLECTOR, KEEPER):
            os.kill(before[role], signal.SIGKILL)
        server.wait_live(era=2, events=30)
        after = server.wait(lambda told: told["roles"][KEEPER], "the next keeper")["roles"]
        assert after[COLLECTOR] != before[COLLECTOR]
        assert after[KEEPER] != before[KEEPER]
        server.send(signal.SIGHUP)  # the terminal is closed
        server.wait_gone()
        assert "Traceback" not in server.words()
    assert marks(data, "state")[-1].fields["to"] == "STOPPED"
    assert_whole(data, eras=2)
    (gap,) = gaps(data).values()
    assert gap["reason"] == "not collected"
    assert gap["to_ns"] > gap["from_ns"]


def test_roles_that_hang_are_noticed_started_again_and_delay_no_end(
    tmp_path: Path, venue: dict[str, str]
) -> None:
    """Stopped, as a debugger or a dying disk does it: no signal but kill -9 reaches them."""
    data = tmp_path / "data"
    sooner = limits(role_silence_ms=6_000, status_stale_ms=2_000)
    with launched(data, venue | sooner) as server:
        server.wait_up()
        server.start()
        server.wait_live(events=30)
        before = server.get()["roles"]
        for role in (COLLECTOR, KEEPER):
            os.kill(before[role], signal.SIGSTOP)

        def stale(told: dict[str, Any]) -> bool:
            (stream,) = told["streams"]
            said = (stream["state"], stream["reason"])
            return said == ("STALE", "its collector does not answer")

        server.wait(stale, "the silence noticed")
        server.wait_live(era=2, events=30)
        after = server.wait(lambda told: told["roles"][KEEPER] != before[KEEPER], "the next keeper")
        os.kill(after["roles"][COLLECTOR], signal.SIGSTOP)
        server.end_in_time(signal.SIGINT)
    assert_whole(data, eras=2)


def test_a_database_that_begins_slowly_keeps_the_server_from_nothing(
    tmp_path: Path, venue: dict[str, str]
) -> None:
    """As after a crash, when it recovers: here somebody else is starting it all the time."""
    data = tmp_path / "data"
    (data / "postgresql").mkdir(parents=True)
    with open_lock(data / "postgresql", START_LOCK) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with launched(data, venue | EMBEDDED | limits(database_begin_ms=500)) as server:
            server.wait_up()
            server.start()
            server.wait_live(events=30)
            server.end_in_time(signal.SIGINT)
            said = server.words()
            assert "L3_database_begins_late" in said
            assert "Traceback" not in said
    assert_whole(data, eras=1)


def test_a_second_server_says_so_in_one_sentence(tmp_path: Path, venue: dict[str, str]) -> None:
    data = tmp_path / "data"
    with launched(data, venue) as first:
        first.wait_up()
        with launched(data, venue, application="app.main:app") as second:
            second.wait_gone()
            said = second.words()
            assert second.process.returncode != 0
        pid = first.get()["pid"]
        assert f"a server of {data} runs already: process {pid} at http://127.0.0.1:" in said
        assert "Traceback" not in said
        first.wait_up()


def test_a_second_worker_ends_the_whole_in_one_sentence(
    tmp_path: Path, venue: dict[str, str]
) -> None:
    data = tmp_path / "data"
    with launched(data, venue, "--workers", "2") as server:
        server.wait_gone()
        said = server.words()
        assert f"the server of {data} is one process, and process " in said
        assert "start uvicorn without --workers" in said
        assert "Traceback" not in said
    assert locks_held(data) == []


@pytest.mark.contract("--reload")
def test_a_reload_keeps_the_streams_and_a_killed_reloader_leaves_nothing(
    tmp_path: Path, venue: dict[str, str]
) -> None:
    data, watched = tmp_path / "data", tmp_path / "watched"
    watched.mkdir()
    (watched / "module.py").write_text("")
    with launched(data, venue, "--reload", "--reload-dir", str(watched)) as server:
        first = server.wait_up()["pid"]
        server.start()
        server.wait_live()
        (watched / "module.py").write_text("changed = True\n")
        second = server.wait(lambda told: told["pid"] != first, "the reload")["pid"]
        server.wait_live(era=2)
        os.kill(server.process.pid, signal.SIGKILL)
        server.wait_gone()
    assert second != first
    assert_whole(data, eras=2)


def test_a_server_attaches_to_a_collector_that_runs_and_leaves_it_running(
    tmp_path: Path, venue: dict[str, str]
) -> None:
    data = tmp_path / "data"
    control = control_path(data, "bitfinex")
    collector = Child(
        "the collector",
        "ordertape.roles.collector",
        ["bitfinex", "--data", str(data), "--control", str(control)],
        {**venue, "ORDERTAPE_LOGS": str(tmp_path / "logs")},
    )
    collector.first_line()
    with launched(data, venue) as server:
        server.wait_up()
        server.start()
        server.wait_live()
        assert server.get()["roles"][COLLECTOR] is None
        server.send(signal.SIGTERM)
        server.wait_gone()
        assert collector.status is None
    assert collector.stop() == 0
    assert_whole(data, eras=1)


def test_a_stream_that_does_not_persist_leaves_no_tape_and_is_not_started_again(
    tmp_path: Path, venue: dict[str, str]
) -> None:
    data = tmp_path / "data"
    with launched(data, venue) as server:
        server.wait_up()
        server.start(persist=False)
        live = server.wait_live(events=30)
        assert (live["persist"], live["orders_persisted"]) == (False, 0)
        memory = Path(live["data"])
        assert MarketFolder(memory, "bitfinex", SYMBOL).journal.is_dir()
        assert memory.stat().st_mode & 0o777 == 0o700
        batches = TapeReader(memory, "bitfinex", SYMBOL).batches()
        assert sum(len(batch) for batch in batches) >= 30
        os.kill(server.get()["roles"][COLLECTOR], signal.SIGKILL)
        server.wait(lambda told: told["roles"][COLLECTOR], "the next collector")
        wait_for(lambda: not memory.exists(), "the end of the memory folder")
        server.start(persist=False)
        server.wait_live()
        server.send(signal.SIGTERM)
        server.wait_gone()
    assert not memory.exists()
    assert not MarketFolder(data, "bitfinex", SYMBOL).exists
    with launched(data, venue) as server:
        assert server.wait_up()["streams"] == []


def test_where_nothing_persists_a_wanted_stream_runs_without_a_tape(
    tmp_path: Path, venue: dict[str, str]
) -> None:
    data = tmp_path / "data"
    WantedStreams(data, "bitfinex").add(SYMBOL, WantedStream(snapshot_interval_seconds=60))
    with launched(data, venue | {"L3_PERSIST_ENABLED": "false"}) as server:
        assert server.wait_live(events=30)["persist"] is False
        server.send(signal.SIGTERM)
        server.wait_gone()
    assert not MarketFolder(data, "bitfinex", SYMBOL).exists
    assert list(WantedStreams(data, "bitfinex").streams) == [SYMBOL]


def test_a_demonstration_has_its_name_for_itself_and_is_not_wanted_afterwards(
    tmp_path: Path, venue: dict[str, str]
) -> None:
    data = tmp_path / "data"
    with launched(data, venue | {"DEMONSTRATION": "1"}) as server:
        server.wait_up()
        live = server.wait_live(events=30)
        assert live["simulated"] is True
        refused = server.start("tBTCUST")
        assert refused["kind"] == "MarketBusy"
        assert refused["detail"].startswith("bitfinex BTC/USDT is a simulated market here")
        assert refused["detail"].endswith(": it runs already")
        real = server.start("ETH/USDT")
        assert real["kind"] == "MarketBusy"
        assert "ETH/USDT can't be started in a demonstration" in real["detail"]
        assert "`ordertape serve`" in real["detail"]
        server.stop()
        stopped = server.start()["detail"]
        assert stopped.endswith("it runs again with the next `make run`")
    with launched(data, venue | {"DEMONSTRATION": "1"}) as server:
        server.wait_live(era=2)
        os.kill(server.get()["roles"][SIMULATED], signal.SIGKILL)
        server.wait_live(era=3)
        os.kill(server.get()["roles"]["the simulated bitfinex"], signal.SIGKILL)
        server.wait_live(era=4)
        server.send(signal.SIGTERM)
        server.wait_gone()
    assert_whole(data, eras=4)
    with launched(data, venue) as server:
        server.wait_up()
        states = {s["symbol"]: s["state"] for s in server.get()["streams"]}
        assert states == {"BTC/USDT": "STOPPED"}
