"""Where a market's tape lies, and who may write it."""

from __future__ import annotations

import fcntl
import os
import re
import stat
import string
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote

import structlog

from ordertape import limits
from ordertape.errors import MarketBusy, TapeError, UnknownMarket

__all__ = [
    "MarketFolder",
    "exchange_folders",
    "market_folders",
    "markets",
    "names_like",
    "slug",
    "sync_directory",
]

_log = structlog.stdlib.get_logger("ordertape.tape")
_PLAIN = frozenset(string.ascii_letters + string.digits + "._-")


def slug(name: str) -> str:
    """A folder name for a symbol or exchange, reversible: what is not [A-Za-z0-9._-] is %XX."""
    if not name:
        raise TapeError("expected the name of a market, found an empty one")
    if not _is_text(name):
        raise TapeError(f"expected the name of a market, found bytes that are no text: {name!a}")
    if not name.strip("."):
        return name.replace(".", "%2E")
    return "".join(
        char if char in _PLAIN else "".join(f"%{byte:02X}" for byte in char.encode())
        for char in name
    )


class MarketFolder:
    """``data/<exchange>/<symbol>``: journal, archive and the locks of their writers."""

    def __init__(self, data: str | os.PathLike[str], exchange: str, symbol: str) -> None:
        self.data = Path(data)
        self.exchange = exchange
        self.symbol = symbol
        self.root = self.data / slug(exchange) / slug(symbol)
        self.journal = self.root / "journal"
        self.archive = self.root / "archive"
        self.lock = self.root / "writer.lock"

    @property
    def market(self) -> str:
        """As errors name it."""
        return f"{self.exchange} {self.symbol}"

    @property
    def exists(self) -> bool:
        """Whether anything was ever recorded; what a failed import leaves is nothing."""
        return _holds(self.journal, ".journal") or _holds(self.archive, (".parquet", ".cold"))

    @property
    def is_collected(self) -> bool:
        """Whether events are or were received here; an import has an archive alone."""
        try:
            return stat.S_ISDIR(self.journal.stat().st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True  # as for what a folder holds

    def require(self) -> None:
        """Raises UnknownMarket where nothing was ever recorded."""
        if not self.exists:
            raise UnknownMarket(f"no tape of {self.market} in {self.data}")

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Holds the right to write this market's events.  Raises MarketBusy."""
        with self._held(self.lock, "is being written"):
            yield

    @contextmanager
    def archiving(self) -> Iterator[None]:
        """Holds the right to write this market's archive.  Raises MarketBusy."""
        with self._held(self.root / "archive.lock", "is being archived"):
            yield

    @contextmanager
    def _held(self, path: Path, what: str) -> Iterator[None]:
        self.root.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                owner = os.pread(fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
                raise MarketBusy(f"{self.market} {what} by process {owner} ({path})") from None
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
            yield
        finally:
            os.close(fd)

    def __repr__(self) -> str:
        return f"MarketFolder({str(self.data)!r}, {self.exchange!r}, {self.symbol!r})"


def _holds(folder: Path, suffix: str | tuple[str, ...]) -> bool:
    try:
        with os.scandir(folder) as entries:
            return any(entry.name.endswith(suffix) and entry.is_file() for entry in entries)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True  # whoever reads this market meets the fault; the others have none


def _is_text(name: str) -> bool:
    """Whether it has none of the surrogates that stand for bytes which are no UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def markets(data: str | os.PathLike[str]) -> list[MarketFolder]:
    """The markets that have a tape under ``data``, by exchange and symbol."""
    return [
        folder
        for exchange in exchange_folders(Path(data))
        for folder in market_folders(exchange)
        if folder.exists
    ]


def exchange_folders(data: Path) -> list[Path]:
    """The folders in which an exchange's markets may lie."""
    return [path for path in _folders_in(data) if _is_text(path.name)]


def market_folders(exchange: Path) -> list[MarketFolder]:
    """The folders of an exchange's folder that are named as markets are, with a tape or without."""
    found = []
    for path in _folders_in(exchange):
        if not _is_text(path.name):
            continue  # somebody else's folder
        folder = MarketFolder(exchange.parent, unquote(exchange.name), unquote(path.name))
        if folder.root == path:
            found.append(folder)
    return found


def _folders_in(folder: Path) -> list[Path]:
    """What can't be looked into is told in the log, and the others are found all the same."""
    try:
        with os.scandir(folder) as entries:
            return sorted(folder / entry.name for entry in entries if _is_folder(entry))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        _tell_unread(error.strerror, folder)
        return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError as error:  # a link to itself
        _tell_unread(error.strerror, Path(entry.path))
        return False


@lru_cache(limits.archive_files_known)
def _tell_unread(reason: str, path: Path) -> None:
    """Once a process, who looks again and again."""
    _log.warning("L3_folder_unread", path=str(path), reason=reason)


def names_like(form: re.Pattern[str], folder: Path) -> list[re.Match[str]]:
    """The names of files in a folder that have this form; none where there is no folder."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.is_file()]
    except FileNotFoundError:
        return []
    return [found for name in names if (found := form.fullmatch(name))]


def sync_directory(path: Path) -> None:
    """Makes names that were created, renamed or removed in a folder durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
