"""``python -m ordertape.roles.keeper --data DIR``: moves what is durable from journals to archives.

One keeper works in a data folder; a second one waits for the first to leave.  It leaves at SIGTERM
or SIGINT, and with ``--watch-parent`` when its standard input closes.
"""

from __future__ import annotations

import argparse
import fcntl
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ordertape import limits
from ordertape.errors import OrdertapeError
from ordertape.roles.children import when_parent_leaves
from ordertape.roles.logs import configure_logs, logger
from ordertape.settings import load_settings
from ordertape.tape.archive import Archiver
from ordertape.tape.archive_files import list_files
from ordertape.tape.bases import list_bases
from ordertape.tape.folder import MarketFolder, markets

__all__ = ["Keeper", "main", "prune"]


class Keeper:
    """Archives every market of a data folder, again and again.

    ``archive_bytes_max`` bounds each market's archive: what is beyond it is forgotten, the oldest
    first.  None keeps everything; only the demonstration forgets.
    """

    def __init__(self, data: Path, archive_bytes_max: int | None = None) -> None:
        self.data = data
        self._archive_bytes_max = archive_bytes_max
        self._archivers: dict[Path, Archiver] = {}
        self._complaints: dict[Path, str] = {}
        self._log = logger("keeper")

    def run(self, stop: threading.Event) -> None:
        """Works until ``stop`` is set; once more over everything after that."""
        with self._alone(stop) as alone:
            if not alone:
                return
            self._log.info("L3_keeper_begins", data=str(self.data))
            while not stop.is_set():
                self.round()
                stop.wait(limits.keeper_pause_ms / 1000)
            self.round()
            for archiver in self._archivers.values():
                archiver.close()
            self._log.info("L3_keeper_ends", data=str(self.data))

    def round(self) -> int:
        """One step over every market; the events moved.  One market's fault stops no other."""
        return sum(self._step(folder) for folder in markets(self.data))

    def _step(self, folder: MarketFolder) -> int:
        try:
            archiver = self._archivers.get(folder.root)
            if archiver is None:
                archiver = self._archivers[folder.root] = Archiver(folder)
            moved = archiver.step()
            if self._archive_bytes_max is not None:
                prune(folder, self._archive_bytes_max)
        except (OrdertapeError, OSError) as error:
            self._archivers.pop(folder.root, None)
            if self._complaints.get(folder.root) != str(error):
                self._complaints[folder.root] = str(error)
                self._log.warning("L3_archive_failed", market=folder.market, reason=str(error))
            return 0
        self._complaints.pop(folder.root, None)
        return moved

    @contextmanager
    def _alone(self, stop: threading.Event) -> Iterator[bool]:
        """Whether this is the folder's keeper, which may take until another one leaves."""
        self.data.mkdir(parents=True, exist_ok=True)
        with (self.data / "keeper.lock").open("a") as lock:
            while not stop.is_set():
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    stop.wait(limits.keeper_pause_ms / 1000)
                else:
                    yield True
                    return
            yield False


def prune(folder: MarketFolder, bytes_max: int) -> int:
    """Removes the oldest files of an archive until the rest is no larger; how many events went.

    The newest file stays, and so does the book that every remaining one goes on from.
    """
    with folder.archiving():
        files = list_files(folder.archive)
        size = sum(path.stat().st_size for path in folder.archive.iterdir())
        gone = 0
        while size > bytes_max and len(files) > 1:
            oldest = files.pop(0)
            bases = list_bases(folder.archive)
            leaving = [base.path for base in bases if base.seq < oldest.last_seq]
            for path in (oldest.path, *leaving):
                size -= path.stat().st_size
                path.unlink()
            gone += oldest.last_seq - oldest.first_seq + 1
    return gone


def main(arguments: list[str] | None = None) -> int:
    """Runs until told to leave; the exit status."""
    parser = argparse.ArgumentParser(prog="ordertape.roles.keeper")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--archive-bytes-max", type=int, help="forget the oldest beyond this")
    parser.add_argument("--watch-parent", action="store_true", help="leave when stdin closes")
    options = parser.parse_args(arguments)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if options.watch_parent:
        when_parent_leaves(stop.set)
    try:
        settings = load_settings(data=options.data)
        configure_logs(settings.logs)
        Keeper(settings.data, options.archive_bytes_max).run(stop)
    except (OrdertapeError, OSError) as error:
        sys.stderr.write(f"keeper: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
