"""``python -m ordertape.database.guard FOLDER``: ends the embedded server once nobody uses it.

Whoever uses the server holds a shared lock on ``users.lock``, which the kernel lets go however the
process ends.  The guard waits for that lock alone, then stops the server: nothing is left behind
after kill -9 either, and no user needs to know of the others.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import IO

from ordertape.database.cluster import Cluster
from ordertape.errors import DatabaseError

__all__ = ["CLUSTER", "GUARD_LOCK", "START_LOCK", "USERS_LOCK", "main", "open_lock", "try_lock"]

CLUSTER = "cluster"
START_LOCK = "start.lock"
"""Held while a server is made or started."""
USERS_LOCK = "users.lock"
"""Shared by the users; the guard's alone while it stops the server."""
GUARD_LOCK = "guard.lock"
"""Held by the one guard."""


def open_lock(folder: Path, name: str) -> IO[bytes]:
    """A lock file, made where it is missing."""
    return os.fdopen(os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "rb+")


def try_lock(file: IO[bytes]) -> bool:
    """Whether the lock is ours alone now."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class _Asked(Exception):
    """SIGTERM."""


def main(arguments: list[str]) -> int:
    """Prints ``watching`` once it does; the exit status."""
    folder = Path(arguments[0])
    guard = open_lock(folder, GUARD_LOCK)
    first = try_lock(guard)
    sys.stdout.write("watching\n")
    sys.stdout.flush()
    if not first:
        return 0
    os.dup2(os.open(os.devnull, os.O_RDWR), 1)
    # A terminal that closes or interrupts is the users' business, who then let go.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _asked)
    try:
        with open_lock(folder, USERS_LOCK) as users:
            with contextlib.suppress(_Asked):
                fcntl.flock(users, fcntl.LOCK_EX)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            Cluster(folder / CLUSTER).stop()
            # In this order: a user who gets the lock next must find no guard.
            guard.close()
    except (DatabaseError, OSError) as error:
        sys.stderr.write(f"guard of the embedded PostgreSQL: {error}\n")
        return 1
    return 0


def _asked(_number: int, _frame: FrameType | None) -> None:
    raise _Asked


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
