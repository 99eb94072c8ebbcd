"""``python -m ordertape.roles.keeper --data DIR``: moves what is durable to where it is kept.

From the journals to the archives; with ``--database`` into PostgreSQL as well, in a thread of its
own, so that a slow or absent database never delays an archive.  Each of the two has one keeper in
a data folder; a second one waits for the first to leave.  A keeper leaves at SIGTERM or SIGINT,
and with ``--watch-parent`` when its standard input closes.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from structlog.stdlib import BoundLogger

from ordertape import limits
from ordertape.crash_points import crash_point
from ordertape.database.address import address_of
from ordertape.database.service import DatabaseFollower
from ordertape.database.settled import Settled
from ordertape.database.workers import Worker
from ordertape.errors import OrdertapeError, RoleBusy
from ordertape.lifecycles.files import forget_before, stored_lives
from ordertape.lifecycles.log import store_next
from ordertape.resources import keep_memory_small, require_files
from ordertape.roles.children import Progress, handler_of, keep_beating, when_parent_leaves
from ordertape.roles.locks import hold
from ordertape.roles.logs import configure_logs, logger, market_logger
from ordertape.roles.status import read_report
from ordertape.settings import Settings, load_settings
from ordertape.tape.archive import Archiver
from ordertape.tape.archive_files import last_file, list_files
from ordertape.tape.bases import list_bases
from ordertape.tape.cold import cool, days_ago
from ordertape.tape.folder import MarketFolder, markets

__all__ = ["Keeper", "follow_into_database", "main", "prune"]


class Keeper:
    """Archives every market of a data folder, again and again.

    ``archive_bytes_max`` bounds the archive of each simulated market: what is beyond it is
    forgotten, the oldest first.  None keeps everything, and what is real is kept anyway.
    ``cold_days``: after how many days files become cold; None: never.  ``followed``: how far
    everything that follows the tapes has come; None where nothing does.
    ``progress`` hears of every round.
    """

    def __init__(
        self,
        data: Path,
        archive_bytes_max: int | None = None,
        cold_days: int | None = None,
        followed: Settled | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.data = data
        self._followed = followed
        self._cold_days = cold_days
        self._cold_due = 0.0
        self._archive_bytes_max = archive_bytes_max
        self._archivers: dict[Path, Archiver] = {}
        self._complaints: dict[Path, str] = {}
        self._lives: dict[Path, tuple[int, int]] = {}
        """Where a market's archive ended when nothing more could be stored, and what was stored."""
        self._log = logger("keeper")
        self._progress = progress or Progress(limits.keeper_round_ms_max)

    def run(self, stop: threading.Event) -> None:
        """Works until ``stop`` is set; once more over everything after that."""
        what = f"the keeper of {self.data}"
        with _alone(self.data / "keeper.lock", what, stop) as alone:
            if not alone:
                return
            self._log.info("L3_keeper_begins", data=str(self.data))
            crash_point("keeper.begun")
            while not stop.is_set():
                self.round()
                if not any(archiver.behind for archiver in self._archivers.values()):
                    stop.wait(limits.keeper_pause_ms / 1000)
            crash_point("keeper.ending")
            self.round()
            for archiver in self._archivers.values():
                archiver.close()
            self._log.info("L3_keeper_ends", data=str(self.data))

    def round(self) -> int:
        """One step over every market; the events moved.  One market's fault stops no other."""
        self._progress.next_round()
        moved = sum(self._step(folder) for folder in markets(self.data))
        if self._cold_days is not None and time.monotonic() >= self._cold_due:
            self._cool(days_ago(self._cold_days))
        self._store_lives()
        return moved

    def _store_lives(self) -> None:
        """Of one file of an archive, so that nobody waits."""
        for folder in markets(self.data):
            here = 0, -1
            try:
                newest = last_file(folder.archive)
                if newest is None:
                    continue
                here = newest.last_seq, stored_lives(folder).seq
                if self._lives.get(folder.root) == here:
                    continue
                if store_next(folder) is not None:
                    return
            except (OrdertapeError, OSError) as error:
                # The next file of the archive has another try; until then the tape answers.
                if self._lives.get(folder.root) != here:
                    _log_of(folder).warning("L3_lives_failed", reason=str(error))
            self._lives[folder.root] = here

    def _cool(self, before: int) -> None:
        """Makes one file cold, so that nobody waits; where there is none, looks again later."""
        for folder in markets(self.data):
            try:
                if (cooled := next(cool(folder, before), None)) is not None:
                    _log_of(folder).info("L3_file_cold", **cooled.told())
                    return
            except (OrdertapeError, OSError) as error:
                _log_of(folder).warning("L3_cold_failed", reason=str(error))
        self._cold_due = time.monotonic() + limits.cold_pause_s

    def _step(self, folder: MarketFolder) -> int:
        try:
            archiver = self._archivers.get(folder.root)
            if archiver is None:
                archiver = self._archivers[folder.root] = Archiver(folder)
            moved = archiver.step()
            crash_point("keeper.market_archived")
            if self._archive_bytes_max is not None and _is_simulated(folder):
                prune(folder, self._archive_bytes_max, lambda: self._passed(folder))
        except (OrdertapeError, OSError) as error:
            self._archivers.pop(folder.root, None)
            if self._complaints.get(folder.root) != str(error):
                self._complaints[folder.root] = str(error)
                _log_of(folder).warning("L3_archive_failed", reason=str(error))
            return 0
        self._complaints.pop(folder.root, None)
        return moved

    def _passed(self, folder: MarketFolder) -> int:
        """The event up to which everybody has come by who is to."""
        stored = stored_lives(folder).seq
        if self._followed is None:
            return stored
        return min(stored, self._followed.passed(folder.exchange, folder.symbol))


def _log_of(folder: MarketFolder) -> BoundLogger:
    return market_logger("keeper", folder.market, lambda: _era(folder))


def _era(folder: MarketFolder) -> int:
    """As its collector told it last, 0 where none ever did."""
    report = read_report(folder.root)
    return 0 if report is None else report.era


def _is_simulated(folder: MarketFolder) -> bool:
    report = read_report(folder.root)
    return report is not None and report.simulated


@contextmanager
def _alone(path: Path, what: str, stop: threading.Event) -> Iterator[bool]:
    """Whether this is the one that holds the lock, which may take until another one leaves."""
    with ExitStack() as held:
        try:
            held.enter_context(
                hold(
                    path,
                    what,
                    patience_ms=float("inf"),
                    poll_ms=limits.role_poll_ms,
                    give_up=stop.is_set,
                )
            )
        except RoleBusy:
            yield False
        else:
            yield True


def follow_into_database(
    settings: Settings,
    stop: threading.Event,
    simulated_rows_max: int | None = None,
    settled: Settled | None = None,
) -> None:
    """Copies every collected market into PostgreSQL until ``stop`` is set, and keeps house there.

    ``simulated_rows_max`` bounds each simulated market there; ``settled`` is told how far they are.
    Raises SettingRefused where DATABASE_URL can't be used.
    """
    address = address_of(settings)
    what = f"the keeper of the database of {settings.data}"
    with _alone(settings.data / "database.lock", what, stop) as alone:
        if alone:
            DatabaseFollower(
                settings.data,
                address,
                days=settings.database_days,
                order_index=settings.database_order_index,
                simulated_rows_max=simulated_rows_max,
                settled=settled,
            ).run(stop)


def prune(folder: MarketFolder, bytes_max: int, passed: Callable[[], int] | None = None) -> int:
    """Removes the oldest files of an archive until the rest is no larger; how many events went.

    The newest file stays, and so does the book that every remaining one goes on from.  ``passed``:
    the event up to which all followers have come; what they have not read stays until the archive
    is ``limits.demo_archive_held_factor`` times as large.
    """
    with folder.archiving():
        files = list_files(folder.archive)
        _forget_books(folder, files[0].first_seq - 1 if files else 0)  # a crash may have left some
        size = sum(path.stat().st_size for path in folder.archive.iterdir())
        if size <= bytes_max or len(files) < 2:
            return 0
        reached = files[-1].last_seq if passed is None else passed()
        bytes_held = bytes_max * limits.demo_archive_held_factor
        gone, before = 0, files[0].first_seq
        while len(files) > 1 and size > (bytes_max if files[0].last_seq <= reached else bytes_held):
            oldest = files.pop(0)
            size -= oldest.path.stat().st_size
            oldest.path.unlink()
            crash_point("keeper.oldest_forgotten")
            size -= _forget_books(folder, oldest.last_seq)
            gone += oldest.last_seq - oldest.first_seq + 1
        if gone:
            forget_before(folder, files[0].first_seq)
        if gone and files[0].first_seq > reached + 1:
            _log_of(folder).warning(
                "L3_forgotten_unread",
                first_seq=max(before, reached + 1),
                last_seq=files[0].first_seq - 1,
                reason=f"its followers came up to event {reached}, and the archive took more than "
                f"{bytes_held} bytes",
            )
    return gone


def _forget_books(folder: MarketFolder, before: int) -> int:
    """Removes the books of an archive before the one that it begins with; their bytes."""
    size = 0
    for base in list_bases(folder.archive):
        if base.seq < before:
            size += base.path.stat().st_size
            base.path.unlink()
            crash_point("keeper.book_forgotten")
    return size


def main(arguments: list[str] | None = None) -> int:
    """Runs until told to leave; the exit status."""
    parser = argparse.ArgumentParser(prog="ordertape.roles.keeper")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--database", action="store_true", help="into PostgreSQL, too")
    parser.add_argument(
        "--archive-bytes-max", type=int, help="forget the oldest of simulated markets beyond this"
    )
    parser.add_argument(
        "--database-rows-max", type=int, help="the same of simulated markets in PostgreSQL"
    )
    parser.add_argument("--watch-parent", action="store_true", help="leave when stdin closes")
    options = parser.parse_args(arguments)
    stop, settled = threading.Event(), Settled()
    told = handler_of(stop.set)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, told)
    if options.watch_parent:
        when_parent_leaves(stop.set)
    progress = Progress(limits.keeper_round_ms_max)
    keep_beating(progress, to_parent=options.watch_parent)
    try:
        require_files()
        keep_memory_small()
        settings = load_settings(data=options.data)
        configure_logs(settings.logs)
        follower = Worker(
            lambda stop: follow_into_database(settings, stop, options.database_rows_max, settled),
            stop,
            "database follower",
        )
        if options.database:
            address_of(settings)  # a setting that can't be used is told before anything begins
            follower.start()
        try:
            Keeper(
                settings.data,
                options.archive_bytes_max,
                settings.archive_cold_days,
                settled if options.database else None,
                progress,
            ).run(stop)
        finally:
            stop.set()
            if options.database:
                follower.finish()
    except (OrdertapeError, OSError) as error:
        sys.stderr.write(f"keeper: {error}\n")
        return 1
    except MemoryError:
        sys.stderr.write("keeper: there is not enough memory (see ulimit -v)\n")
        return 1
    except Exception as error:  # a defect: whoever runs us starts us again, and the log says why
        logger("keeper").exception("L3_unexpected_error")
        sys.stderr.write(f"keeper: unexpected {type(error).__name__}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
