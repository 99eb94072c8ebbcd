"""Views that people keep with a note: a small file beside the tapes, read by every page."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any, Final

from ordertape import limits
from ordertape.errors import MarketBusy, TapeError
from ordertape.models import iso_from_ns

__all__ = ["Bookmarks"]

_NAME: Final = "bookmarks.json"


class Bookmarks:
    """May be used by several threads.  Raises TapeError where the file can't be read or written."""

    def __init__(self, data: Path) -> None:
        self._path = data / _NAME
        self._lock = threading.Lock()

    def all(self) -> list[dict[str, Any]]:
        """Newest first: ``id``, ``note``, ``view``, ``made`` (ISO time)."""
        with self._lock:
            return self._read()

    def add(self, note: str, view: str) -> dict[str, Any]:
        """Raises MarketBusy where there are too many."""
        with self._lock:
            known = self._read()
            if len(known) >= limits.bookmarks_max:
                raise MarketBusy(
                    f"expected at most {limits.bookmarks_max} bookmarks: delete one first"
                )
            number = max((each["id"] for each in known), default=0) + 1
            made = iso_from_ns(time.time_ns())
            bookmark = {"id": number, "note": note, "view": view, "made": made}
            self._write([bookmark, *known])
            return bookmark

    def remove(self, number: int) -> bool:
        """Whether it was there."""
        with self._lock:
            known = self._read()
            left = [each for each in known if each["id"] != number]
            if len(left) < len(known):
                self._write(left)
            return len(left) < len(known)

    def _read(self) -> list[dict[str, Any]]:
        try:
            found: list[dict[str, Any]] = json.loads(self._path.read_text("utf-8"))["bookmarks"]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise TapeError(f"{_NAME} can't be read: {error}") from error
        return found

    def _write(self, bookmarks: list[dict[str, Any]]) -> None:
        new = self._path.with_name(f"{_NAME}.new")
        try:
            with new.open("w", encoding="utf-8") as file:
                json.dump({"bookmarks": bookmarks}, file, ensure_ascii=False, indent=1)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._path)
        except OSError as error:
            raise TapeError(f"{_NAME} can't be written: {error.strerror}") from error
