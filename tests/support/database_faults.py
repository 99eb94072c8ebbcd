"""A market that is recorded while something happens to its database, and the judge of both.

What was recorded stays in memory: the tape, PostgreSQL and the archive are held against that.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from ordertape import EventBatch, limits
from ordertape.database.address import Address, connect
from ordertape.database.follower import MarketFollower
from ordertape.database.service import DatabaseFollower
from ordertape.errors import DatabaseUnavailable, TapeError
from ordertape.events import EventKind, Flag, Side
from ordertape.tape.archive import Archiver
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter
from ordertape.tape.marks import Mark, digest_mark, gap_mark
from ordertape.tape.reader import TapeReader
from ordertape.tape.verify import verify
from support.tape import Market, rows_of

__all__ = ["Recording", "follow", "following", "judge", "limited"]

QUICK = {
    "database_backoff_ms_min": 5,
    "database_backoff_ms_max": 50,
    "database_flush_ms": 10,
    "keeper_pause_ms": 10,
    "database_idle_ms": 2,
}
_ROWS = """
    SELECT sequence, order_id, side::text, price, size, event_type::text,
        (metadata->>'ts_recv_ns')::bigint, (metadata->>'era')::int
    FROM level3_orders WHERE exchange = %s AND symbol = %s ORDER BY sequence
"""
_GAPS = """
    SELECT from_ns, to_ns, reason FROM level3_gaps WHERE exchange = %s AND symbol = %s
    ORDER BY from_ns
"""


@contextmanager
def limited(**given: Any) -> Iterator[None]:
    """Inside, these limits are others, and waits are those of a test."""
    before = {name: getattr(limits, name) for name in {**QUICK, **given}}
    for name, value in {**QUICK, **given}.items():
        setattr(limits, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(limits, name, value)


@contextmanager
def following(data: Path, address: Address, **options: Any) -> Iterator[DatabaseFollower]:
    """A follower in a thread of this process."""
    follower = DatabaseFollower(data, address, **{"days": 36_500, **options})
    stop = threading.Event()
    thread = threading.Thread(target=follower.run, args=(stop,), name="follower")
    thread.start()
    try:
        yield follower
    finally:
        stop.set()
        thread.join()


def follow(folder: MarketFolder, address: Address) -> None:
    """All of a tape into the database, in this thread."""
    with connect(address) as opened:
        follower = MarketFollower(folder, opened, address, days=None)
        while follower.step(final=True):
            pass
        follower.close()


class Recording:
    """A market's journal and archive, written in bursts; with new eras and their gaps."""

    def __init__(self, data: Path, seed: int, symbol: str = "ONE/USD") -> None:
        self.folder = MarketFolder(data, "x", symbol)
        self.dice = random.Random(f"recording {seed}")
        self.market = Market(self.dice.choice(("int", "uuid")), seed)
        self.batches: list[EventBatch] = []
        self.gaps: list[tuple[int, int | None, str]] = []
        self._era = 0
        self._archiver = Archiver(self.folder, file_rows_max=self.dice.randint(300, 1_500))

    @property
    def last_seq(self) -> int:
        return self.market.next_seq - 1

    def open(self) -> JournalWriter:
        return JournalWriter(self.folder)

    def write(self, journal: JournalWriter, messages: int) -> None:
        """So many more messages, durable when it returns."""
        for _ in range(messages):
            if not self.batches or self.dice.random() < 0.004:
                self._begin_era(journal)
            else:
                self._append(journal, self.market.message())
        journal.sync()

    def archive(self) -> None:
        """What the keeper does now and then."""
        self._archiver.step()

    def close(self) -> None:
        self._archiver.close()

    def run(self, messages: int, stop: threading.Event, pause: float = 0.005) -> None:
        """Writes in bursts until so many are written or ``stop`` is set, archiving beside it."""
        with self.open() as journal:
            while messages > 0 and not stop.is_set():
                burst = min(messages, self.dice.randint(1, 60))
                self.write(journal, burst)
                messages -= burst
                self.archive()
                stop.wait(self.dice.uniform(0, 2 * pause))

    def _append(self, journal: JournalWriter, batch: EventBatch) -> None:
        journal.append(batch)
        self.batches.append(batch)

    def _begin_era(self, journal: JournalWriter) -> None:
        lost, healing = self.market.now, bool(self.batches)
        reason = f"a loss of the test, {len(self.gaps)}"
        if healing:
            journal.mark(gap_mark(self.last_seq, lost, None, reason, era=self._era))
        batch = self.market.message(clear=True, step_ns=1_000_000)
        self._era += 1
        self._append(journal, batch)
        if healing:
            healed = {"era": self._era, "healed_by": batch.first_seq}
            journal.mark(gap_mark(batch.last_seq, lost, self.market.now, reason, **healed))
            self.gaps.append((lost, self.market.now, reason))
        journal.mark(Mark("era", batch.first_seq, self.market.now, {"era": self._era}))
        self.market.book.era = self._era
        journal.mark(digest_mark(self.market.book, self.market.now))


def expected_rows(batches: list[EventBatch]) -> list[tuple[Any, ...]]:
    """What SQL is to answer, from what was recorded alone."""
    found, era = [], 0
    sides = {None: None, Side.BID: "bid", Side.ASK: "ask"}
    for row in rows_of(batches):
        if row["flags"] & Flag.SNAPSHOT:
            continue
        era += row["kind"] == EventKind.CLEAR
        found.append(
            (
                row["seq"],
                row["order_id"],
                sides[row["side"]],
                row["price"],
                row["size"],
                EventKind(row["kind"]).name.lower(),
                row["ts_recv"],
                era,
            )
        )
    return found


def judge(recording: Recording, url: str, schema: str) -> list[str]:
    """What does not hold of tape, PostgreSQL and archive, in words; nothing writes meanwhile."""
    wrong = []
    folder = recording.folder
    wanted = rows_of(recording.batches)
    for what in ("journal and archive", "the archive alone"):
        report = verify(folder.data, folder.exchange, folder.symbol)
        if not report.equal or report.last_seq != recording.last_seq:
            wrong.append(f"{what}: verify says {report}, expected the last {recording.last_seq}")
        reader = TapeReader(folder.data, folder.exchange, folder.symbol)
        if rows_of(reader.batches()) != wanted:
            wrong.append(f"{what}: other events than were recorded")
        told = [(g.fields["from_ns"], g.fields["to_ns"]) for g in reader.marks() if g.kind == "gap"]
        if not {(gap[0], gap[1]) for gap in recording.gaps} <= set(told):
            wrong.append(f"{what}: the gaps {told} lack some of {recording.gaps}")
        try:
            Archiver(folder).finish()
        except TapeError as error:
            wrong.append(str(error))
    return wrong + judge_rows(recording, url, schema)


def judge_rows(recording: Recording, url: str, schema: str) -> list[str]:
    """PostgreSQL by SQL alone."""
    folder, wrong = recording.folder, []
    key = (folder.exchange, folder.symbol)
    wanted = expected_rows(recording.batches)
    with psycopg.connect(url, autocommit=True, options=f"-c search_path={schema}") as connection:
        connection.execute("SET timezone = 'UTC'")
        counted = connection.execute(
            "SELECT count(*), count(DISTINCT sequence), min(sequence), max(sequence) "
            "FROM level3_orders WHERE exchange = %s AND symbol = %s",
            key,
        ).fetchone()
        if counted != (len(wanted), len(wanted), 1, len(wanted)):
            wrong.append(f"SQL: rows, distinct, first, last {counted}, expected {len(wanted)}")
        rows = connection.execute(_ROWS, key).fetchall()
        if rows != wanted:
            differing = [pair for pair in zip(rows, wanted, strict=False) if pair[0] != pair[1]][:1]
            wrong.append(f"SQL: columns differ: {differing}")
        gaps = connection.execute(_GAPS, key).fetchall()
        if gaps != recording.gaps:
            wrong.append(f"SQL: gaps {gaps}, expected {recording.gaps}")
    return wrong


def persisted(follower: DatabaseFollower, recording: Recording) -> bool:
    """Whether all that was recorded is said to be in the database."""
    folder = recording.folder
    try:
        return follower.persisted(folder.exchange, folder.symbol) >= recording.last_seq
    except DatabaseUnavailable:
        return False
