"""API, database, collector and keeper killed at once, and what they are again after a new start."""

from __future__ import annotations

import atexit
import os
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path

import httpx

from ordertape.database.address import Address
from ordertape.database.cluster import Cluster
from ordertape.database.embedded import EmbeddedServer
from ordertape.database.guard import CLUSTER
from ordertape.roles.demonstration import free_port
from ordertape.roles.status import StreamReport, read_report
from ordertape.tape.folder import MarketFolder
from ordertape.tape.reader import TapeReader
from support.database_faults import following, limited
from support.processes import slowness, wait_for
from support.roles_server import Launched
from support.server import API
from support.soak_judge import judge_tape
from support.truth import EXCHANGE, PRODUCT, Truth, tape_against

__all__ = ["AT_ONCE", "Together", "kill_together", "the_world"]

AT_ONCE = "API, database, collector and keeper at once"
AGAIN_S = 5.0
"""From a server that answers to a LIVE stream, on a machine of its own."""
TRIES_A_TAPE = 6


class Together:
    """One venue, and a data folder that several tries go on with."""

    def __init__(self, folder: Path, truth: Truth) -> None:
        self.folder, self.truth = folder, truth
        self.data = folder / "data"
        self._tries = 0
        self.port = free_port()
        self.server: Launched | None = None
        self.end: Callable[[], None] = self.close
        """Venue and folder go, too."""

    def next_try(self) -> None:
        self.close()
        self._tries += 1
        if self._tries > TRIES_A_TAPE:
            shutil.rmtree(self.data)
            self.truth.forget()
            self._tries = 1

    def launch(self, **environment: str) -> Launched:
        """A server, with the embedded database, that runs the stream."""
        self.server = Launched(
            self.data,
            {**self.truth.environment, "DATABASE_URL": "", **environment},
            *("--port", str(self.port), "--log-level", "warning"),
            application="app.main:app",
            path=f"{API}/streams",
        )
        return self.server

    def start(self) -> None:
        """The stream is wanted; after a restart it is so by itself."""
        body = {"symbol": PRODUCT, "exchanges": [EXCHANGE], "snapshot_interval_seconds": 10}
        answer = httpx.post(f"http://127.0.0.1:{self.port}{API}/start", json=body, timeout=60)
        assert answer.status_code == 200, answer.text

    def wait_live(self, after: int = 0, events: int = 1) -> StreamReport:
        """The report of a collector that began behind ``after`` (ns) and is LIVE."""
        found: list[StreamReport] = []

        def there() -> bool:
            report = read_report(MarketFolder(self.data, EXCHANGE, PRODUCT).root)
            if (
                report is not None
                and report.state == "LIVE"
                and report.started_at > after
                and report.events >= events
            ):
                found.append(report)
            return bool(found)

        wait_for(there, "the stream LIVE", 90, 0.02)
        return found[-1]

    def kill_everything(self) -> None:
        """PostgreSQL and its guard, too."""
        assert self.server is not None
        server, self.server = self.server, None
        cluster = Cluster(self.data / "postgresql" / CLUSTER)
        for pid in [*server.processes(), *cluster._processes()]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        server.wait_gone()
        server.close()
        wait_for(lambda: not cluster._processes(), "the end of PostgreSQL")

    def close(self) -> None:
        if self.server is not None:
            self.kill_everything()

    def judge(self, durable: int) -> list[str]:
        """With nothing running: the tape against what the venue said, PostgreSQL against it."""
        last = max(b.last_seq for b in TapeReader(self.data, EXCHANGE, PRODUCT).batches())
        with EmbeddedServer(self.data) as embedded, limited():
            address = Address("otc_analysis", embedded=embedded)
            with following(self.data, address) as follower:
                wait_for(lambda: follower.persisted(EXCHANGE, PRODUCT) >= last, "every event")
            wrong, _ = judge_tape(self.data, EXCHANGE, embedded.url)
        return wrong + tape_against(self.truth, self.data, durable=durable)


@cache
def the_world() -> Together:
    """The one of this process; it goes with the process, or when it is ended."""
    opened = ExitStack()
    folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="ordertape-together-")))
    world = Together(folder, opened.enter_context(Truth(rate=300)))
    opened.callback(world.close)
    world.end = opened.close
    # The last to be registered goes first: before the folder's own watch at the end.
    atexit.register(opened.close)
    return world


def kill_together(case: str, seed: int) -> list[str]:
    """One kill of all at a random time; the streams run again by themselves, LIVE in time."""
    world, dice = the_world(), random.Random(f"{case} {seed}")
    world.next_try()
    world.launch().wait_up()
    world.start()
    world.wait_live(events=dice.randint(1, 200))
    time.sleep(dice.uniform(0.0, 0.7))
    report = read_report(MarketFolder(world.data, EXCHANGE, PRODUCT).root)
    assert report is not None
    world.kill_everything()
    killed = time.time_ns()
    server = world.launch()
    server.wait_up()
    up = time.monotonic()
    world.wait_live(after=killed)
    took = time.monotonic() - up
    world.wait_live(after=killed, events=dice.randint(1, 100))
    server.send(signal.SIGTERM)
    server.wait_gone()
    world.server = None
    server.close()
    wrong = world.judge(report.synced_sequence)
    if took > AGAIN_S * slowness():
        wrong.append(f"LIVE {took:.1f} s after the server answered")
    return wrong
