"""Tries of what goes wrong on the line to PostgreSQL, at the very byte."""

from __future__ import annotations

import random
import tempfile
import threading
from itertools import count
from pathlib import Path

import psycopg

from ordertape.database.address import Address
from support.database_faults import Recording, following, judge, limited, persisted
from support.postgres import InstalledServer
from support.postgres_line import COPY_DATA, Hook, Wire, line_to
from support.processes import load, wait_for

__all__ = ["commit_unknown", "recorded_over", "stopped_in_copy"]

MESSAGES, MESSAGES_MORE = 700, 60
EVENTS_MAX = 20_000
_schemas = count(1)


def stopped_in_copy(server: InstalledServer, folder: str, case: str, seed: int) -> list[str]:
    """``pg_ctl stop -m immediate`` while some bytes of a COPY message are on their way."""
    dice = random.Random(f"{case} {seed}")
    at, fired = dice.randint(1, 6), threading.Event()
    seen = count(1)

    def hook(wire: Wire, kind: bytes, message: bytes) -> bytes:
        if kind == COPY_DATA and next(seen) == at and not fired.is_set():
            fired.set()
            wire.server.sendall(message[: dice.randrange(len(message))])
            server.stop("immediate")
            server.start()
            wire.cut()
        return message

    return recorded_over(server, Path(folder), seed, hook, fired)


def commit_unknown(server: InstalledServer, folder: str, case: str, seed: int) -> list[str]:
    """The answer to a COMMIT behind a COPY never comes; or the COMMIT itself does not arrive."""
    dice = random.Random(f"{case} {seed}")
    at, fired = dice.randint(1, 4), threading.Event()
    seen = count(1)

    def hook(wire: Wire, _kind: bytes, message: bytes) -> bytes:
        if wire.copies and b"COMMIT" in message and not fired.is_set() and next(seen) == at:
            fired.set()
            if case != "request lost":
                wire.answers = False
                wire.spoke.clear()
                wire.server.sendall(message)
                wire.spoke.wait(10)
            if case == "answer lost, line silent":
                return b""
            wire.cut(reset=case == "answer lost, line reset")
            return b""
        return message

    # Patience that a busy machine needs for what is answered.
    patience = {"database_answer_ms_max": round(400 * load())}
    given = patience if case == "answer lost, line silent" else {}
    return recorded_over(server, Path(folder), seed, hook, fired, **given)


def recorded_over(
    server: InstalledServer,
    folder: Path,
    seed: int,
    hook: Hook,
    fired: threading.Event,
    **given: int,
) -> list[str]:
    """A recording whose follower has such a line; what does not hold afterwards."""
    dice = random.Random(f"over {seed}")
    schema = f"try_{next(_schemas)}"
    stop = threading.Event()
    with (
        tempfile.TemporaryDirectory(dir=folder, prefix="ordertape-try-") as data,
        limited(database_batch_rows=dice.randint(50, 400), journal_run_rows=20, **given),
        line_to(server.folder, hook) as line,
    ):
        recording = Recording(Path(data), seed)
        writer = threading.Thread(target=recording.run, args=(MESSAGES, stop))
        try:
            with following(Path(data), Address(schema, url=line.url())) as follower:
                writer.start()
                writer.join()
                wait_for(lambda: persisted(follower, recording), "every event", 60)
                # A follower that was late took all of it in fewer transactions.
                while not fired.is_set() and recording.last_seq < EVENTS_MAX:
                    recording.run(MESSAGES_MORE, stop)
                    wait_for(lambda: persisted(follower, recording), "every event", 60)
            wrong = judge(recording, server.url, schema)
        finally:
            stop.set()
            recording.close()
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
    return wrong if fired.is_set() else [*wrong, "the fault did not happen"]
