"""What follows from the tapes of every market into one database: lives of orders, findings.
Events never wait for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

import psycopg
import structlog

from ordertape import limits
from ordertape.database.address import Address, connect, sentence
from ordertape.database.patience import answering_within
from ordertape.errors import DatabaseUnavailable, OrdertapeError, TapeCorrupt
from ordertape.lifecycles.files import forget_damaged
from ordertape.tape.folder import MarketFolder, markets

__all__ = ["Walker", "WalksService"]


class Walker(Protocol):
    """Walks one market's tape over a connection."""

    folder: MarketFolder

    def step(self) -> int | None:
        """Takes what comes next; None where the tape has nothing more for now."""
        ...

    def close(self) -> None: ...

    def resume(self, connection: psycopg.Connection, market: int) -> bool:
        """Goes on over another connection; False where the database does not stand where it left
        it, and it has to be begun anew."""
        ...

    @property
    def passed(self) -> int:
        """The event up to which everything is told and committed."""
        ...


class WalksService:
    """Walks every market whose events are copied.  ``begin`` makes the walker of a market, given
    its number.  ``ready``: whether the database takes any; ``session``: what a connection is told
    first."""

    def __init__(
        self,
        name: str,
        data: Path,
        address: Address,
        begin: Callable[[MarketFolder, psycopg.Connection, int], Walker],
        *,
        session: bytes,
        ready: Callable[[], bool],
    ) -> None:
        self.name, self.data, self.address = name, data, address
        self._begin = begin
        self._session_text, self._ready = session, ready
        self._walkers: dict[Path, Walker] = {}
        self._left: dict[Path, Walker] = {}
        """Those whose connection ended: to go on is nothing, to walk there again takes long."""
        self._refused_until: dict[Path, float] = {}
        self._passed: dict[tuple[str, str], int] = {}
        self._due: dict[Path, float] = {}
        """When each market is looked at again whose tape had no more."""
        self._complaints: dict[Path | None, str] = {}
        self._log = structlog.stdlib.get_logger("ordertape.database")

    def passed(self, exchange: str, symbol: str) -> int:
        """The event up to which a market was walked; 0 while it is not."""
        return self._passed.get((exchange, symbol), 0)

    def run(self, stop: threading.Event) -> None:
        """Works until ``stop`` is set."""
        try:
            while not stop.wait(limits.database_idle_ms / 1000):
                if self._ready():
                    self._connected(stop)
        finally:
            for walker in self._left.values():
                walker.close()

    def _connected(self, stop: threading.Event) -> None:
        """One connection's life, and a pause where it ended on its own."""
        try:
            with connect(self.address, name=f"ordertape {self.name}") as connection:
                connection.execute(self._session_text)
                self._session(connection, stop)
        except (OrdertapeError, OSError, psycopg.Error) as error:
            self._complain(None, error)
            stop.wait(limits.database_backoff_ms_max / 1000)
        finally:
            self._left.update(self._walkers)
            self._walkers.clear()
            self._passed.clear()

    def _session(self, connection: psycopg.Connection, stop: threading.Event) -> None:
        look = 0.0
        while not stop.is_set() and self._ready():
            if time.monotonic() >= look:
                look = time.monotonic() + limits.keeper_pause_ms / 1000
                self._look_for_markets(connection)
            due = time.monotonic()
            for root, walker in [*self._walkers.items()]:
                # Each at its own pace: some market always has something.
                if self._due.get(root, 0.0) > due:
                    continue
                if self._step(connection, walker) is None:
                    self._due[root] = time.monotonic() + limits.lives_pause_ms / 1000
            followed = [self._due.get(root, 0.0) for root in self._walkers]
            stop.wait(max(0.0, min([*followed, look]) - time.monotonic()))

    def _look_for_markets(self, connection: psycopg.Connection) -> None:
        """Those that the follower of events knows already."""
        with self._answering(connection):
            known = {
                (exchange, symbol): market
                for market, exchange, symbol in connection.execute(
                    "SELECT market, exchange, symbol FROM markets WHERE origin = 'tape'"
                )
            }
        now = time.monotonic()
        for folder in markets(self.data):
            market = known.get((folder.exchange, folder.symbol))
            waits = self._refused_until.get(folder.root, 0.0) > now
            if market is None or waits or folder.root in self._walkers:
                continue
            if folder.is_collected:
                with self._of_one(folder), self._answering(connection):
                    self._walkers[folder.root] = self._walker(folder, connection, market)

    def _walker(self, folder: MarketFolder, connection: psycopg.Connection, market: int) -> Walker:
        left = self._left.get(folder.root)
        if left is not None:
            resumed = left.resume(connection, market)
            del self._left[folder.root]
            if resumed:
                return left
            left.close()
        return self._begin(folder, connection, market)

    def _step(self, connection: psycopg.Connection, walker: Walker) -> int | None:
        with self._of_one(walker.folder), self._answering(connection):
            done = walker.step()
            self._passed[walker.folder.exchange, walker.folder.symbol] = walker.passed
            return done
        return None

    @contextmanager
    def _of_one(self, folder: MarketFolder) -> Iterator[None]:
        """One market's fault stops no other: it is tried again later."""
        try:
            yield
        except (DatabaseUnavailable, psycopg.OperationalError, psycopg.InterfaceError):
            raise
        except (OrdertapeError, OSError, psycopg.Error) as error:
            if isinstance(error, TapeCorrupt):
                forget_damaged(folder)
            walker = self._walkers.pop(folder.root, None)
            if walker is not None:
                walker.close()
            self._passed.pop((folder.exchange, folder.symbol), None)
            pause = limits.database_backoff_ms_max / 1000
            self._refused_until[folder.root] = time.monotonic() + pause
            self._complain(folder, error)

    def _answering(self, connection: psycopg.Connection) -> AbstractContextManager[None]:
        return answering_within(connection, limits.database_answer_ms_max, self.address.shown)

    def _complain(self, folder: MarketFolder | None, error: Exception) -> None:
        """Once for each new reason."""
        reason = sentence(error) if isinstance(error, psycopg.Error) else str(error)
        key = None if folder is None else folder.root
        if self._complaints.get(key) != reason:
            self._complaints[key] = reason
            about = {} if folder is None else {"market": folder.market}
            self._log.warning("L3_database_walk_failed", what=self.name, reason=reason, **about)
