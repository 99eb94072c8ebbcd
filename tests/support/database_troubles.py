"""What a database may do to its follower while a market is recorded: away, slow, full, dropped.

Each takes a server that may be hurt, a case and a seed, and gives back what did not hold.
"""

from __future__ import annotations

import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import TypeAlias

import psycopg

from ordertape import limits
from ordertape.database import schema as tables
from ordertape.database.address import Address, connect
from ordertape.database.connections import Connections
from ordertape.database.dropping import drop
from ordertape.database.service import DatabaseFollower, copy_tape
from ordertape.database.thinning import maintain
from ordertape.errors import DatabaseUnavailable, MarketBusy
from support.database_faults import (
    Recording,
    following,
    judge,
    judge_rows,
    limited,
    persisted,
)
from support.postgres import InstalledServer
from support.postgres_line import Wire, line_to
from support.postgres_small import SmallServer
from support.processes import slowness, wait_for

__all__ = ["TROUBLES", "away", "full", "trouble"]

Server: TypeAlias = InstalledServer | SmallServer
CATCH_UP = 3.0
"""Times the live rate."""
_schemas = count(1)


class Scene:
    """A market that is being recorded, its follower, and where its rows go."""

    def __init__(self, server: Server, data: Path, seed: int, url: str = "") -> None:
        self.server, self.data = server, data
        self.dice = random.Random(f"scene {seed}")
        self.schema = f"trouble_{next(_schemas)}"
        self.address = Address(self.schema, url=url or server.url)
        self.recording = Recording(data, seed)
        self.follower: DatabaseFollower
        self._stop = threading.Event()
        self._writer: threading.Thread

    @contextmanager
    def recorded(self, pause: float = 0.005) -> Iterator[None]:
        """Inside, it is recorded and followed; ``pause``: mean seconds between two bursts."""
        self._stop.clear()
        self._writer = threading.Thread(target=self._write, args=(pause,))
        with following(self.data, self.address) as self.follower:
            self._writer.start()
            try:
                self.wait_copied()
                yield
                self.stop_recording()
                self.wait_copied()
            finally:
                self.stop_recording()

    def _write(self, pause: float) -> None:
        self.recording.run(10**6, self._stop, pause)

    def stop_recording(self) -> None:
        self._stop.set()
        self._writer.join()

    def wait_copied(self, seconds: float = 60) -> None:
        """Until PostgreSQL has what is recorded now."""
        wait_for(lambda: self.recording.last_seq > 0, "a first event")
        last = self.recording.last_seq
        folder = self.recording.folder
        wait_for(
            lambda: self.follower.persisted(folder.exchange, folder.symbol) >= last,
            f"event {last}",
            seconds,
        )

    def record_more(self, events: int = 300) -> None:
        last = self.recording.last_seq
        wait_for(lambda: self.recording.last_seq > last + events, "more events")

    def connection(self) -> psycopg.Connection:
        return connect(Address(self.schema, url=self.server.url))

    def judge(self) -> list[str]:
        found = judge(self.recording, self.server.url, self.schema)
        with psycopg.connect(self.server.url, autocommit=True) as opened:
            opened.execute(f"DROP SCHEMA IF EXISTS {self.schema} CASCADE".encode())
        return found


@contextmanager
def scene(server: Server, seed: int, url: str = "", **given: int) -> Iterator[Scene]:
    with tempfile.TemporaryDirectory(prefix="ordertape-trouble-") as folder, limited(**given):
        made = Scene(server, Path(folder), seed, url)
        try:
            yield made
        finally:
            made.recording.close()


# Away ---------------------------------------------------------------------------------------------


def away(server: InstalledServer, case: str, seed: int) -> list[str]:
    """``case``: "60 s", say.  What came meanwhile is copied at three times the live rate."""
    seconds = float(case.split()[0])
    with scene(server, seed) as made:
        # About 200 events a second: as fast as it can, recording would be all that a small machine
        # does, and nothing were three times as fast.
        with made.recorded(pause=0.15):
            server.stop("fast")
            began, first = time.monotonic(), made.recording.last_seq
            time.sleep(seconds)
            missed = made.recording.last_seq - first
            rate = missed / (time.monotonic() - began)
            server.start()
            back, last = time.monotonic(), made.recording.last_seq
            folder = made.recording.folder
            wait_for(
                lambda: made.follower.persisted(folder.exchange, folder.symbol) >= last,
                "what came meanwhile",
                120,
            )
            copied = (last - first) / (time.monotonic() - back)
        wrong = made.judge()
    # Of a few seconds most is the server's own start.
    if seconds >= 30 and copied < CATCH_UP * rate:
        wrong.append(f"caught up at {copied:.0f} events/s, recorded at {rate:.0f}")
    return wrong


# Full ---------------------------------------------------------------------------------------------


def full(server: SmallServer, _case: str, seed: int) -> list[str]:
    """Its disk is full, of rows or of its own log; ten seconds after there is room again all that
    came meanwhile is there."""
    with scene(server, seed) as made:
        with made.recorded():
            made.record_more()
            server.fill(made.dice.choice((0, 0, 64, 300, 900)))
            wait_for(lambda: made.follower.problem is not None, "the follower to say so", 60)
            made.record_more()
            archived = made.recording.folder.archive
            files = len(list(archived.iterdir())) if archived.is_dir() else 0
            made.record_more(3_000)
            wrong = [] if len(list(archived.iterdir())) > files else ["the archive stood still"]
            server.free()
            if not server.running:  # its log found no room: whoever runs it starts it again
                server.start()
            began, last = time.monotonic(), made.recording.last_seq
            folder = made.recording.folder
            wait_for(
                lambda: made.follower.persisted(folder.exchange, folder.symbol) >= last,
                "what came meanwhile",
                60,
            )
            if (took := time.monotonic() - began) > 10 * slowness():
                wrong.append(f"all there {took:.1f} s after there was room again")
        return wrong + made.judge()


# The rest -----------------------------------------------------------------------------------------


def _slow(server: InstalledServer, seed: int) -> list[str]:
    """Each message of a COPY may take its time, up to a third of a second."""
    dice = random.Random(f"slow {seed}")

    def hook(wire: Wire, _kind: bytes, message: bytes) -> bytes:
        if wire.copies and dice.random() < 0.1:
            time.sleep(dice.uniform(0.0, 0.3))
        return message

    with line_to(server.folder, hook) as line, scene(server, seed, line.url()) as made:
        with made.recorded():
            made.record_more()
        return made.judge()


def _locked(server: InstalledServer, seed: int) -> list[str]:
    """Somebody holds the cursors for longer than the follower waits; the archive goes on."""
    patience = limits.database_answer_ms_max
    with scene(server, seed, database_answer_ms_max=400, database_batch_rows_min=50) as made:
        with made.recorded(), made.connection() as opened, opened.transaction():
            opened.execute("LOCK TABLE cursors IN ACCESS EXCLUSIVE MODE")
            made.record_more()
            wait_for(lambda: made.follower.problem is not None, "the follower to say so")
            raise psycopg.Rollback
        # A busy machine may take as long for every answer.
        vars(limits).update(database_answer_ms_max=patience)
        return made.judge()


def _crowded(server: InstalledServer, seed: int) -> list[str]:
    """No connection is left, not even the ones for superusers; readers are told in time."""
    wrong = []
    with scene(server, seed) as made:
        with made.recorded(), ExitStack() as crowd, made.connection() as opened:
            _crowd_out(made, opened, crowd)
            readers, began = Connections(made.address), time.monotonic()
            try:
                with readers.use(1_000):
                    wrong.append("a reader found a connection where none was left")
            except DatabaseUnavailable:
                pass
            if (took := time.monotonic() - began) > 2.5 * slowness():
                wrong.append(f"a reader was told after {took:.1f} s")
            made.record_more()
        return wrong + made.judge()


def _crowd_out(made: Scene, opened: psycopg.Connection, crowd: ExitStack) -> None:
    """Until every connection is the crowd's, and the follower is the one that finds none."""
    pids = [opened.info.backend_pid]
    (most,) = opened.execute("SELECT current_setting('max_connections')::int").fetchone() or (0,)

    def out() -> bool:
        opened.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> ALL (%s)",
            (pids,),
        )
        with suppress(psycopg.OperationalError):
            while True:
                pids.append(crowd.enter_context(psycopg.connect(made.server.url)).info.backend_pid)
        problem = made.follower.problem or ""
        told = "too many clients" in problem or "connection slots" in problem
        # Whoever was ended, or refused just now, goes a moment later: then a place is free again.
        return told and len(pids) == most

    wait_for(out, "the follower to find no connection", 30)


def _dropped(server: InstalledServer, seed: int) -> list[str]:
    """``db drop`` in the middle: the tables are made again, and all the tape has is in them."""
    with scene(server, seed) as made:
        with made.recorded():
            made.record_more(made.dice.randint(1, 400))
            with made.connection() as opened:
                drop(opened, made.schema)
            made.record_more()
        return made.judge()


def _imported(server: InstalledServer, seed: int) -> list[str]:
    """Another market's whole tape is copied beside it."""
    with scene(server, seed) as made:
        other = Recording(made.data, seed + 1, "TWO/USD")
        with made.recorded():
            with other.open() as journal:
                other.write(journal, 400)
            # The follower that has it already copies it, and says so.
            with limited(database_batch_rows=70), suppress(MarketBusy):
                copy_tape(other.folder, made.address)
            wait_for(lambda: persisted(made.follower, other), "the other market")
            made.record_more()
        wrong = judge_rows(other, server.url, made.schema)
        other.close()
        return wrong + made.judge()


def _maintained(server: InstalledServer, seed: int) -> list[str]:
    """Rounds of partitions, retention and thinning, one after the other, while days pass by."""
    with scene(server, seed) as made:
        with made.recorded():
            with made.connection() as opened:
                for _ in range(40):
                    maintain(opened, days=36_500, order_index=True)
                    made.recording.market.now += made.dice.choice((0, 0, 3 * 3_600 * 10**9))
            made.record_more()
        return made.judge()


def _migrated(server: InstalledServer, seed: int) -> list[str]:
    """A newer version begins beside an older one: its migration waits for no reader of ours, and
    every event is there under the newer one."""
    newer = [
        *tables.migrations(),
        (9_000, "a column", "ALTER TABLE markets ADD COLUMN of_tomorrow int NOT NULL DEFAULT 7"),
    ]
    with scene(server, seed) as made:
        with made.recorded():
            made.record_more()
        known: Callable[[], list[tuple[int, str, str]]] = tables.migrations
        tables.migrations = lambda: newer
        try:
            with made.recorded():
                made.record_more()
        finally:
            tables.migrations = known
        with made.connection() as opened:
            row = opened.execute("SELECT of_tomorrow FROM markets").fetchone()
        return ([] if row == (7,) else [f"the newer column holds {row}"]) + made.judge()


TROUBLES: dict[str, Callable[[InstalledServer, int], list[str]]] = {
    "slow line": _slow,
    "locked table": _locked,
    "out of connections": _crowded,
    "tables dropped while following": _dropped,
    "import while following": _imported,
    "partitions, retention and thinning": _maintained,
    "migration and restart": _migrated,
}


def trouble(server: InstalledServer, case: str, seed: int) -> list[str]:
    return TROUBLES[case](server, seed)
