"""``database.json``: what the keeper of a data folder's database says of it, for whoever looks.

Replaced whole at each change; without a password, as every address that is shown.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

__all__ = ["DatabaseTold", "read_told", "write_told"]

_NAME = "database.json"


class DatabaseTold(msgspec.Struct, kw_only=True):
    """``state``: ``following`` or ``waiting``, and ``reason`` why it waits."""

    state: str
    reason: str = ""
    database: str
    pid: int

    def __str__(self) -> str:
        return f"{self.state} ({self.reason})" if self.reason else f"{self.state} {self.database}"


def write_told(data: Path, told: DatabaseTold) -> None:
    """Replaces what was told."""
    temporary = data / f"{_NAME}.new"
    temporary.write_bytes(msgspec.json.encode(told))
    os.replace(temporary, data / _NAME)


def read_told(data: Path) -> DatabaseTold | None:
    """None where no keeper of the database runs now."""
    try:
        told = msgspec.json.decode((data / _NAME).read_bytes(), type=DatabaseTold)
    except (FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    return told if Path(f"/proc/{told.pid}").exists() else None
