"""The whole system under random faults: what is done to it, and what must hold meanwhile and after.

A venue with two faces, a server with its collectors and its keeper, PostgreSQL, clients.  The seed
draws the faults and the pauses between them.
"""

from __future__ import annotations

import os
import random
import signal
import statistics
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg

from ordertape.roles.status import read_report
from ordertape.tape.folder import MarketFolder
from support.postgres import InstalledServer
from support.processes import wait_for
from support.roles_server import Launched
from support.server import API
from support.soak_clients import Clients
from support.soak_memory import growth, own_memory
from support.soak_venues import MARKETS, Venues

__all__ = ["ROLES", "SERVER", "Cause", "Soak"]

ROLES = {
    "collector of bitfinex": b"ordertape.roles.collector\0bitfinex",
    "collector of coinbase": b"ordertape.roles.collector\0coinbase",
    "keeper": b"ordertape.roles.keeper",
}
SERVER = "server"
AGAIN_S = 60.0
"""Until every stream must be LIVE again; how long it took is a figure."""
_SECOND = 10**9
_COUNTS = """
    SELECT count(*), count(DISTINCT sequence), min(sequence), max(sequence)
    FROM otc_analysis.level3_orders WHERE exchange = %s AND symbol = %s
"""


@dataclass(slots=True)
class Cause:
    """Something that was done to our side.  ``venues``: whose streams must say so; ns."""

    what: str
    at: int
    until: int = 0
    venues: tuple[str, ...] = ()
    may: tuple[str, ...] = ()
    """Whose streams may, too."""


@dataclass
class Soak:
    folder: Path
    database: InstalledServer
    venues: Venues
    port: int
    seed: int
    causes: list[Cause] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    again: list[float] = field(default_factory=list)
    memory: dict[tuple[str, int], list[tuple[float, int]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def __post_init__(self) -> None:
        self.data = self.folder / "data"
        self.dice = random.Random(f"soak {self.seed}")
        self.clients = Clients(self.port, self._is_disturbed)
        self._disturbed = 0.0
        self._stop = threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self.server: Launched

    def note(self, what: str) -> None:
        at = time.strftime("%H:%M:%S", time.gmtime())
        print(f"{at} WRONG {what}", flush=True)
        self.wrong.append(f"{at} {what}")

    # The system -----------------------------------------------------------------------------------

    def begin(self) -> None:
        self._launch()
        for exchange, symbol in MARKETS.items():
            body = {"symbol": symbol, "exchanges": [exchange], "snapshot_interval_seconds": 10}
            self._post("/start", body)
        self.wait_live()
        self.clients.begin()
        self._sampler.start()

    def _post(self, path: str, body: dict[str, Any] | None = None) -> None:
        address = f"http://127.0.0.1:{self.port}{API}{path}"
        answer = httpx.post(address, json=body, timeout=60)
        assert answer.status_code == 200, answer.text

    def _launch(self) -> None:
        environment = {
            **self.venues.environment,
            "DATABASE_URL": self.database.url,
            # The events that live readers may ask for are all there after a minute or two.
            "L3_MAX_ORDERS_MEMORY": "10000",
        }
        options = ("--port", str(self.port), "--log-level", "warning")
        self.server = Launched(
            self.data, environment, *options, application="app.main:app", path=f"{API}/streams"
        )
        self.server.wait_up()

    def end(self) -> None:
        """Stops the streams, lets everything reach the database, and ends the server."""
        self.clients.end()
        for exchange, symbol in MARKETS.items():
            self._post(f"/stop/{exchange}/{symbol}")
        self.wait_copied()
        self._stop.set()
        self._sampler.join()
        self.server.end_in_time(signal.SIGTERM)

    def close(self) -> None:
        self._stop.set()
        self.server.close()

    def pids(self) -> dict[str, int]:
        """Of every role that runs."""
        found = {SERVER: self.server.process.pid} if self.server.process.poll() is None else {}
        for pid in self.server.processes():
            with suppress(OSError):
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
                found |= {role: pid for role, words in ROLES.items() if words in command}
        return found

    def live(self) -> bool:
        """By the reports of the collectors themselves, which nobody stands between."""
        for exchange, symbol in MARKETS.items():
            report = read_report(MarketFolder(self.data, exchange, symbol).root)
            if report is None or report.state != "LIVE" or not _lives(report.pid):
                return False
        return True

    def wait_live(self) -> float:
        """Seconds until every stream is LIVE."""
        began = time.monotonic()
        try:
            wait_for(self.live, "every stream LIVE", AGAIN_S, pause=0.05)
        except AssertionError as error:
            self.note(str(error))
        return time.monotonic() - began

    def _is_disturbed(self) -> bool:
        """Whether the server itself was touched a moment ago."""
        return time.monotonic() < self._disturbed

    def _disturb(self, seconds: float) -> None:
        self._disturbed = max(self._disturbed, time.monotonic() + seconds)

    def _sample(self) -> None:
        while not self._stop.wait(5):
            for role, pid in self.pids().items():
                size = own_memory(pid)
                if size is not None:
                    self.memory[role, pid].append((time.monotonic(), size))

    # Faults ---------------------------------------------------------------------------------------

    def fault(self, *, kills: bool) -> str:
        """One that the seed draws, from its beginning to the end of its harm; what it was."""
        calm: list[Callable[[], Cause]] = [
            self._suspend_collector,
            self._suspend_keeper,
            self._suspend_server,
            self._suspend_database,
            self._stop_database,
            self._stop_database,
            self._lock_tables,
            self._read_nothing,
        ]
        deadly = [self._kill_collector, self._kill_collector, self._kill_keeper, self._kill_server]
        chosen = self.dice.choice([*calm, *deadly, self._kill_all] if kills else calm)
        before = time.time_ns()
        cause = chosen()
        cause.at, cause.until = before, time.time_ns()
        took = self.wait_live()
        if cause.venues or cause.may:
            self.again.append(took)
        cause.until = time.time_ns()
        self.causes.append(cause)
        return f"{cause.what}, LIVE again after {took:.2f} s"

    def _role(self, name: str) -> int:
        wait_for(lambda: name in self.pids(), name, AGAIN_S, pause=0.1)
        return self.pids()[name]

    def _kill(self, name: str) -> None:
        pid = self._role(name)
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not _lives(pid), f"the end of the {name}")

    def _kill_collector(self) -> Cause:
        venue = self.dice.choice(list(MARKETS))
        self._kill(f"collector of {venue}")
        return Cause(f"kill -9 of the collector of {venue}", 0, venues=(venue,))

    def _kill_keeper(self) -> Cause:
        self._kill("keeper")
        return Cause("kill -9 of the keeper", 0)

    def _kill_server(self) -> Cause:
        self._disturb(60)
        self.server.process.kill()
        self.server.wait_gone()
        self._again()
        return Cause("kill -9 of the server", 0, venues=tuple(MARKETS))

    def _kill_all(self) -> Cause:
        self._disturb(60)
        self.database.stop("immediate")
        for pid in self.server.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.server.wait_gone()
        self.database.start()
        self._again()
        return Cause("kill -9 of everything", 0, venues=tuple(MARKETS))

    def _again(self) -> None:
        self.server.close()
        self._launch()
        self._disturbed = time.monotonic() + 5

    def _suspend_collector(self) -> Cause:
        venue = self.dice.choice(list(MARKETS))
        seconds = self.dice.uniform(1, 8)
        self._suspended([self._role(f"collector of {venue}")], seconds)
        return Cause(f"the collector of {venue} stopped for {seconds:.1f} s", 0, may=(venue,))

    def _suspend_keeper(self) -> Cause:
        seconds = self.dice.uniform(1, 8)
        self._suspended([self._role("keeper")], seconds)
        return Cause(f"the keeper stopped for {seconds:.1f} s", 0)

    def _suspend_server(self) -> Cause:
        seconds = self.dice.uniform(1, 8)
        self._disturb(seconds + 5)
        self._suspended([self.server.process.pid], seconds)
        return Cause(f"the server stopped for {seconds:.1f} s", 0)

    def _suspend_database(self) -> Cause:
        seconds = self.dice.uniform(3, 15)
        self._suspended(postgres_of(self.database), seconds)
        return Cause(f"PostgreSQL stopped (SIGSTOP) for {seconds:.1f} s", 0)

    def _suspended(self, pids: list[int], seconds: float) -> None:
        for number in (signal.SIGSTOP, signal.SIGCONT):
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
            if number is signal.SIGSTOP:
                self._stop.wait(seconds)

    def _stop_database(self) -> Cause:
        mode, seconds = self.dice.choice(("fast", "immediate")), self.dice.uniform(1, 30)
        self.database.stop(mode)
        self._stop.wait(seconds)
        self.database.start()
        return Cause(f"PostgreSQL away ({mode}) for {seconds:.1f} s", 0)

    def _lock_tables(self) -> Cause:
        seconds = self.dice.uniform(2, 15)
        with psycopg.connect(self.database.url, autocommit=True) as connection:
            connection.execute("SET search_path = otc_analysis")
            with suppress(psycopg.Error), connection.transaction():
                connection.execute("SET LOCAL lock_timeout = '2s'")
                connection.execute("LOCK TABLE cursors IN ACCESS EXCLUSIVE MODE")
                self._stop.wait(seconds)
        return Cause(f"a lock on the cursors for {seconds:.1f} s", 0)

    def _read_nothing(self) -> Cause:
        seconds = self.dice.uniform(10, 30)
        self.clients.read_nothing(seconds)
        return Cause(f"clients that read nothing for {seconds:.1f} s", 0)

    # Judging --------------------------------------------------------------------------------------

    def judge_rows(self) -> None:
        """In the middle of it: every row of PostgreSQL once and none left out."""
        try:
            with psycopg.connect(self.database.url, autocommit=True) as connection:
                for key in MARKETS.items():
                    row = connection.execute(_COUNTS, key).fetchone()
                    if row is not None and row[0] and not row[0] == row[1] == row[3] - row[2] + 1:
                        self.note(f"{key}: rows, distinct, first, last: {row}")
        except psycopg.Error as error:
            self.note(f"the database did not answer the judge: {error}")

    def wait_copied(self) -> float:
        """Until PostgreSQL has all that is durable; seconds."""
        began = time.monotonic()

        def copied() -> bool:
            with psycopg.connect(self.database.url, autocommit=True) as connection:
                for exchange, symbol in MARKETS.items():
                    report = read_report(MarketFolder(self.data, exchange, symbol).root)
                    row = connection.execute(_COUNTS, (exchange, symbol)).fetchone()
                    if report is None or row is None or (row[3] or 0) < report.sequence:
                        return False
            return True

        wait_for(copied, "every event in the database", 120, pause=0.5)
        return time.monotonic() - began

    def slopes(self, warm_up: float) -> dict[str, Any]:
        """Of each role's longest life, in percent an hour."""
        found = {}
        for role in (SERVER, *ROLES):
            lives = [samples for (name, _), samples in self.memory.items() if name == role]
            longest = max(lives, key=len, default=[])
            begin = longest[0][0] + warm_up if longest else 0.0
            grown = growth([sample for sample in longest if sample[0] >= begin])
            if grown is not None:
                found[role] = grown
        return found

    def figures(self) -> dict[str, Any]:
        done = Counter(" ".join(cause.what.split(" for ")[0].split()) for cause in self.causes)
        return {
            "faults": len(self.causes),
            "done": dict(done),
            "live_again_median_s": round(statistics.median(self.again), 2) if self.again else None,
            "live_again_max_s": round(max(self.again), 2) if self.again else None,
            "frames": self.clients.figures["frames"],
            "events_sent": self.clients.figures["events"],
            "answers": self.clients.figures["answers"],
            "slowest_answer_s": round(self.clients.slowest, 2),
        }


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZXT"


def postgres_of(server: InstalledServer) -> list[int]:
    """The processes of a cluster, the first one first."""
    lines = Path(f"{server.folder}/cluster/postmaster.pid").read_text().splitlines()
    first = int(lines[0])
    found = [first]
    for name in os.listdir("/proc"):
        if name.isdecimal():
            with suppress(OSError):
                parent = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[1]
                found += [int(name)] if int(parent) == first else []
    return found
