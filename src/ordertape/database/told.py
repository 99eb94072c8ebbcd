"""``database.json``: what the keeper of a data folder's database says of it, for whoever looks.

Replaced whole at each change; without a password, as every address that is shown.  Beside it
``copied.json`` says once a second how far each market is copied.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec

from ordertape import limits
from ordertape.measures import CopiedMarket
from ordertape.times import NS_PER_MILLISECOND

__all__ = [
    "Copied",
    "DatabaseTold",
    "forget_told",
    "read_copied",
    "read_told",
    "touch_told",
    "write_copied",
    "write_told",
]

_NAME = "database.json"
_COPIED = "copied.json"


class DatabaseTold(msgspec.Struct, kw_only=True):
    """``state``: ``following``, ``waiting``, and ``reason`` why, or ``silent`` where the keeper is.
    ``refused``: the markets that it does not take while it takes others, and why."""

    state: str
    reason: str = ""
    database: str
    pid: int
    refused: dict[str, str] = {}

    def __str__(self) -> str:
        told = f"{self.state} ({self.reason})" if self.reason else f"{self.state} {self.database}"
        without = "; ".join(f"{market}: {why}" for market, why in sorted(self.refused.items()))
        return f"{told}, but not {without}" if without else told


class Copied(msgspec.Struct, kw_only=True):
    """``written_at``: ns since 1970.  Counts are since the start of the process ``pid``."""

    markets: list[CopiedMarket]
    written_at: int
    pid: int


def write_told(data: Path, told: DatabaseTold) -> None:
    """Replaces what was told."""
    _replace(data / _NAME, msgspec.json.encode(told))


def read_told(data: Path) -> DatabaseTold | None:
    """None where no keeper of the database runs now."""
    try:
        told = msgspec.json.decode((data / _NAME).read_bytes(), type=DatabaseTold)
    except (FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    if not Path(f"/proc/{told.pid}").exists():
        return None
    if told.state == "following" and _is_silent(data, told.pid):
        told.state, told.reason = "silent", "its keeper tells nothing any more"
    return told


def _is_silent(data: Path, pid: int) -> bool:
    """Whether a keeper that follows has not said for long how far: it hangs, or is stopped."""
    try:
        heard = (data / _NAME).stat().st_mtime_ns
    except FileNotFoundError:
        return False  # it was taken back right now
    if (copied := read_copied(data)) is not None and copied.pid == pid:
        heard = max(heard, copied.written_at)
    return time.time_ns() - heard > limits.database_silent_ms_max * NS_PER_MILLISECOND


def touch_told(data: Path) -> None:
    """This keeper goes on, though what it tells can't be written."""
    os.utime(data / _NAME)


def forget_told(data: Path) -> None:
    """Takes back what was told: its process goes on, or its number does, but nobody follows."""
    (data / _NAME).unlink(missing_ok=True)


def write_copied(data: Path, copied: Copied) -> None:
    """Replaces how far the markets are copied."""
    _replace(data / _COPIED, msgspec.json.encode(copied))


def read_copied(data: Path) -> Copied | None:
    """What was last told, however long ago; None where nothing ever was."""
    try:
        return msgspec.json.decode((data / _COPIED).read_bytes(), type=Copied)
    except (FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def _replace(path: Path, text: bytes) -> None:
    temporary = path.with_name(f"{path.name}.new")
    temporary.write_bytes(text)
    os.replace(temporary, path)
