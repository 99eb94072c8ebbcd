"""Files and folders that are looked at many times a second, read again only when they changed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from ordertape import limits
from ordertape.kept import Kept
from ordertape.tape.folder import MarketFolder, exchange_folders, market_folders

__all__ = ["KnownMarkets", "KnownReading"]

Value = TypeVar("Value")
_Stamp = tuple[int, int] | None


class KnownReading(Generic[Value]):
    """What ``read`` makes of a path, as long as the path's inode and time stay the same.

    What changed a moment ago is read each time: two changes in one tick of the clock have the same
    time.
    """

    def __init__(self, read: Callable[[Path], Value]) -> None:
        self._read = read
        self._known: Kept[Path, tuple[_Stamp, Value]] = Kept(limits.readings_kept)

    def of(self, path: Path) -> Value:
        """Raises what ``read`` raises."""
        stamp = _stamp(path)
        known = self._known.get(path)
        if known is not None and known[0] == stamp:
            return known[1]
        value = self._read(path)
        if stamp is None or time.time_ns() - stamp[1] > limits.reading_settled_ms * 10**6:
            self._known.put(path, (stamp, value))
        return value


class KnownMarkets:
    """The markets that have a tape under ``data``, as ``markets`` finds them.

    A folder without a tape is looked into again each time; one that had a tape is believed until
    its exchange's folder changes.
    """

    def __init__(self, data: Path) -> None:
        self._data = data
        self._exchanges = KnownReading(exchange_folders)
        self._folders = KnownReading(market_folders)
        self._with_tape: set[Path] = set()
        self.now: dict[tuple[str, str], MarketFolder] = {}
        """By exchange and symbol, as ``look`` found them last; touches no disk."""

    def look(self) -> dict[tuple[str, str], MarketFolder]:
        """The markets there are now, by exchange and symbol."""
        found = {
            (folder.exchange, folder.symbol): folder
            for exchange in self._exchanges.of(self._data)
            for folder in self._folders.of(exchange)
            if folder.root in self._with_tape or folder.exists
        }
        self._with_tape = {folder.root for folder in found.values()}
        self.now = dict(sorted(found.items()))
        return self.now


def _stamp(path: Path) -> _Stamp:
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_ino, status.st_mtime_ns
