"""Roles that are held by one process of a data folder: a lock file that names its holder.

The kernel lets a lock go with its process, however that ends, so no lock outlives one.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ordertape import limits
from ordertape.errors import RoleBusy

__all__ = ["hold", "holder"]


@contextmanager
def hold(
    path: Path,
    what: str,
    *,
    patience_ms: float = limits.lock_patience_ms,
    poll_ms: float = limits.lock_poll_ms,
    give_up: Callable[[], bool] = bool,
) -> Iterator[None]:
    """Holds the lock file; ``what`` says in a sentence which role that is.

    Raises RoleBusy where another process still holds it after ``patience_ms``, or as soon as
    ``give_up`` answers true.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        deadline = time.monotonic() + patience_ms / 1000
        while not _locked(fd):
            if time.monotonic() >= deadline or give_up():
                owner = _owner(fd)
                raise RoleBusy(f"{what} runs already as process {owner or 'unknown'} ({path})")
            time.sleep(poll_ms / 1000)
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(fd)


def holder(path: Path) -> int | None:
    """The process that holds a lock file (0 where it did not say so yet), None where none does.

    It looks by taking the lock for a moment, which is why ``hold`` has patience.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return None if _locked(fd) else _owner(fd)
    finally:
        os.close(fd)


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _owner(fd: int) -> int:
    text = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
    return int(text) if text.isdecimal() else 0
