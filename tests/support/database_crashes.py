"""The keeper killed at a named place of its follower, its archiver's round or its housekeeping."""

from __future__ import annotations

import random
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import psycopg

from ordertape.crash_points import POINTS, VARIABLE
from ordertape.errors import MarketBusy
from ordertape.roles.status import StreamReport, write_report
from ordertape.tape.archive import Archiver
from ordertape.tape.reader import TapeReader
from ordertape.tape.verify import verify
from support.database_faults import Recording, judge, judge_rows
from support.forked import Template
from support.postgres import InstalledServer
from support.processes import wait_for
from support.tape import rows_of

__all__ = ["PLACES", "crash_at"]

PLACES = tuple(name for name in POINTS if name.startswith(("follower.", "keeper.")))
FORGETTING = ("keeper.oldest_forgotten", "keeper.book_forgotten")
_OFTEN = {
    "follower.tape_durable": 5,
    "follower.rows_prepared": 5,
    "follower.half_copied": 5,
    "follower.cursor_moved": 5,
    "follower.committed": 5,
    "keeper.market_archived": 5,
    "keeper.leaves_made": 2,
    "keeper.days_dropped": 2,
    **dict.fromkeys(FORGETTING, 3),
}
"""How many times a place is met while a recording is copied; once, where nothing is said."""
_schemas = count(1)


def crash_at(server: InstalledServer, template: Template, case: str, seed: int) -> list[str]:
    """One keeper that dies there, one that goes on; then tape, rows and archive against what was
    recorded."""
    dice = random.Random(f"{case} {seed}")
    schema = f"crash_{next(_schemas)}"
    with tempfile.TemporaryDirectory(prefix="ordertape-crash-") as folder, _ending(template):
        data = Path(folder) / "data"
        recording = Recording(data, seed)
        environment = {
            "DATABASE_URL": server.url,
            "OTC_SCHEMA": schema,
            "ORDERTAPE_LOGS": f"{folder}/logs",
            "ORDERTAPE_DATABASE_DAYS": "36500",
        }
        options = ["--data", str(data), "--database"]
        if case in FORGETTING:
            options += ["--archive-bytes-max", "30000"]
        asked = {VARIABLE: f"{case}:{dice.randint(1, _OFTEN.get(case, 1))}"}
        with recording.open() as journal:
            recording.write(journal, dice.randint(60, 200))
            if case in FORGETTING:
                _simulated(recording)
            victim = template.start("support.keeping", options, {**environment, **asked})
            deadline = time.monotonic() + 120
            while victim.status is None and time.monotonic() < deadline:
                if recording.last_seq < 2_000:
                    recording.write(journal, dice.randint(1, 60))
                elif case == "keeper.ending":
                    victim.kill(signal.SIGTERM)
                if case in FORGETTING:
                    _archive(recording)
                time.sleep(0.01)
            if victim.status != -signal.SIGKILL:
                return [f"{case} was not met: {victim.ending()}"]
            again = template.start("support.keeping", options, environment)
            recording.write(journal, dice.randint(1, 60))
            wait_for(
                lambda: _copied(server, schema) >= recording.last_seq, "every event", 180, 0.02
            )
        if again.stop() != 0:
            return [f"the keeper after {case}: {again.ending()}"]
        if case in FORGETTING:
            wrong = [*_rest(recording), *judge_rows(recording, server.url, schema)]
        else:
            wrong = judge(recording, server.url, schema)
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE".encode())
    return wrong


@contextmanager
def _ending(template: Template) -> Iterator[None]:
    """Nothing writes into the folder of a try that is over, whatever came of it."""
    try:
        yield
    finally:
        template.end()


def _copied(server: InstalledServer, schema: str) -> int:
    with psycopg.connect(server.url, autocommit=True) as connection:
        try:
            row = connection.execute(f"SELECT max(seq) FROM {schema}.cursors".encode()).fetchone()
        except psycopg.Error:
            return 0
    return int(row[0] or 0) if row else 0


def _simulated(recording: Recording) -> None:
    """What only a simulated market's archive has: it may forget its oldest."""
    folder = recording.folder
    report = StreamReport(
        exchange=folder.exchange, symbol=folder.symbol, pid=0, simulated=True, state="LIVE"
    )
    write_report(folder.root, report)


def _archive(recording: Recording) -> None:
    """Small files, so that there are oldest ones."""
    with suppress(MarketBusy):
        Archiver(recording.folder, file_rows_max=200).finish()


def _rest(recording: Recording) -> list[str]:
    """What an archive that forgot its oldest still has is what was recorded."""
    folder = recording.folder
    report = verify(folder.data, folder.exchange, folder.symbol)
    found = rows_of(TapeReader(folder.data, folder.exchange, folder.symbol).batches())
    wanted = rows_of(recording.batches)
    wrong = [] if report.equal else [f"verify: {report}"]
    if not found or found != wanted[-len(found) :]:
        wrong.append("the rest is not what was recorded")
    if len(found) == len(wanted):
        wrong.append("nothing was forgotten")
    return wrong
