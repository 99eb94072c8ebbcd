"""All markets of a data folder into one database, in a thread each: events, lives of orders,
findings, the house."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from functools import partial
from pathlib import Path

import psycopg
import structlog

from ordertape import limits
from ordertape.crash_points import crash_point
from ordertape.database.address import Address, connect, sentence
from ordertape.database.findings import FindingsFollower
from ordertape.database.follower import MarketFollower
from ordertape.database.lifecycles import LivesFollower, copy_lives
from ordertape.database.patience import NoAnswer, answering_within
from ordertape.database.schema import create, is_current
from ordertape.database.settled import Settled
from ordertape.database.thinning import maintain
from ordertape.database.told import (
    Copied,
    DatabaseTold,
    forget_told,
    touch_told,
    write_copied,
    write_told,
)
from ordertape.database.walks_service import Walker, WalksService
from ordertape.database.workers import Worker
from ordertape.errors import DatabaseError, DatabaseUnavailable, OrdertapeError
from ordertape.measures import CopiedMarket, Delays
from ordertape.tape.folder import MarketFolder, markets

__all__ = ["DatabaseFollower", "copy_tape"]

_PROBE = limits.database_keepalive_seconds
_SESSION = f"""
    SET synchronous_commit = off;
    SET client_connection_check_interval = '{_PROBE}s';
    SET idle_in_transaction_session_timeout = '{3 * _PROBE}s';
    SET tcp_keepalives_idle = {_PROBE};
    SET tcp_keepalives_interval = {_PROBE};
    SET tcp_keepalives_count = 3
""".encode()
"""The tape is what must not be lost.  A commit that a crash takes back takes the cursor back with
it, and its events are copied again.  A server that lost us without a word lets our locks go soon:
until then nobody else could go on with our markets."""

_WALKS_SESSION = _SESSION + b"; SET synchronous_commit = on"
"""A walk whose last commit was taken back would have to begin anew, and it has two a second."""


class DatabaseFollower:
    """Follows every market that is or was collected.  Imports are copied by ``copy_tape`` alone.

    The database may be away for as long as it likes: connections are tried again with growing
    pauses, and copying goes on where the cursors stand.  ``simulated_rows_max`` bounds the rows of
    each simulated market: the oldest go.  ``settled`` is told how far they are.
    """

    def __init__(
        self,
        data: Path,
        address: Address,
        *,
        days: int = limits.database_days_default,
        order_index: bool = True,
        simulated_rows_max: int | None = None,
        settled: Settled | None = None,
    ) -> None:
        self.data = data
        self.settled = settled or Settled()
        self.address = address
        self._days = days
        self._order_index = order_index
        self._simulated_rows_max = simulated_rows_max
        self._followers: dict[Path, MarketFollower] = {}
        self._complaints: dict[Path | None, str] = {}
        self._refused_until: dict[Path, float] = {}
        self._refused: dict[str, str] = {}
        """Markets that the database does not take, and why."""
        self._copied: dict[tuple[str, str], int] = {}
        self._delays: dict[tuple[str, str], Delays] = {}
        self._copied_due = 0.0
        """When it is told again how far they are."""
        self._rows_max: int | None = None
        """Events in one transaction, while the database is too slow for as many as usual."""
        self._log = structlog.stdlib.get_logger("ordertape.database")
        self._told: DatabaseTold | None = None
        self._acquired = False
        self._walks = [
            WalksService(
                name, data, address, begin, session=_WALKS_SESSION, ready=self._takes_walks
            )
            for name, begin in (("lives", self._lives_of), ("findings", self._findings_of))
        ]
        self.problem: str | None = None
        """Why nothing is copied now; None while the database takes events."""

    def persisted(self, exchange: str, symbol: str) -> int:
        """seq of the last event of a market that is in the database, 0 where none is known."""
        return self._copied.get((exchange, symbol), 0)

    def run(self, stop: threading.Event) -> None:
        """Works until ``stop`` is set; then once more over what is durable.

        Raises what is neither the database's fault nor a file's, in whichever thread it came up,
        with ``stop`` set and the others ended: a copy that stands still must not look alive.
        """
        workers = [
            Worker(self._keep_house, stop, "database house"),
            *(Worker(walk.run, stop, f"database {walk.name}") for walk in self._walks),
        ]
        for worker in workers:
            worker.start()
        try:
            self._follow(stop)
        finally:
            stop.set()
            self._forget_followers()
            for worker in workers:
                worker.join()
            self._take_back()
            if self._acquired:
                self.address.release()
        for worker in workers:
            worker.finish()

    def _follow(self, stop: threading.Event) -> None:
        """One connection after the other, with growing pauses."""
        backoff_ms = limits.database_backoff_ms_min
        while not stop.is_set():
            began = time.monotonic()
            try:
                if not self._acquired:
                    self.address.acquire(self._tell)
                    self._acquired = True
                self._session(stop)
            except (OrdertapeError, OSError, psycopg.Error) as error:
                self._forget_followers()
                self._complain(None, _sentence(error))
                if isinstance(error, NoAnswer):
                    self._take_less()
            if time.monotonic() - began > limits.database_backoff_ms_max / 1000:
                backoff_ms = limits.database_backoff_ms_min
            # Full jitter, so that many followers don't come back at once.
            stop.wait(random.uniform(0.5, 1) * backoff_ms / 1000)  # noqa: S311 - no secret
            backoff_ms = min(backoff_ms * 2, limits.database_backoff_ms_max)

    def _takes_walks(self) -> bool:
        return self._told is not None and self.problem is None

    def _lives_of(
        self, folder: MarketFolder, connection: psycopg.Connection, market: int
    ) -> Walker:
        days, order_index = self._days, self._order_index
        return LivesFollower(
            folder, connection, market, days=days, order_index=order_index, patient=True
        )

    def _findings_of(
        self, folder: MarketFolder, connection: psycopg.Connection, market: int
    ) -> Walker:
        return FindingsFollower(folder, connection, market, days=self._days)

    def _tell(self, state: str) -> None:
        self._log.info("L3_database_starts", state=state)

    # Copying --------------------------------------------------------------------------------------

    def _session(self, stop: threading.Event) -> None:
        """One connection's life."""
        self.address.ensure(self._tell)
        with connect(self.address, name="ordertape follower") as connection:
            for name in create(connection, self.address.schema):
                self._log.info("L3_database_migrated", migration=name)
            connection.execute(_SESSION)
            self.settled.forget()
            self._say("following")
            self._complaints.pop(None, None)
            self._log.info("L3_database_follows", database=self.address.shown)
            look = 0.0
            while not stop.is_set():
                if time.monotonic() >= look:
                    look = time.monotonic() + limits.keeper_pause_ms / 1000
                    # While no events come, a server that was killed would go unnoticed.
                    with self._answering(connection):
                        self.settled.look(connection, self._reached())
                    self._look_for_markets(connection)
                    self._tell_copied()
                if not self._round(connection, final=False):
                    stop.wait(limits.database_idle_ms / 1000)
            while self._round(connection, final=True):
                pass
            self._tell_copied()
        self._forget_followers()

    def _reached(self) -> dict[tuple[str, str], int]:
        """Up to which event every follower of a market has come."""
        return {
            (exchange, symbol): min(seq, *(walk.passed(exchange, symbol) for walk in self._walks))
            for (exchange, symbol), seq in self._copied.items()
        }

    def _look_for_markets(self, connection: psycopg.Connection) -> None:
        now = time.monotonic()
        for folder in markets(self.data):
            waits = self._refused_until.get(folder.root, 0.0) > now
            if folder.is_collected and not waits and folder.root not in self._followers:
                self._try_market(connection, folder, partial(self._begin, folder, connection))

    def _begin(self, folder: MarketFolder, connection: psycopg.Connection) -> int:
        follower = MarketFollower(
            folder,
            connection,
            self.address,
            days=self._days,
            order_index=self._order_index,
            simulated_rows_max=self._simulated_rows_max,
        )
        crash_point("follower.market_begun")
        self._followers[folder.root] = follower
        key = folder.exchange, folder.symbol
        self._copied[key] = follower.cursor.seq
        follower.delays = self._delays.setdefault(key, follower.delays)
        return 0

    def _answering(self, connection: psycopg.Connection) -> AbstractContextManager[None]:
        return answering_within(connection, limits.database_answer_ms_max, self.address.shown)

    def _round(self, connection: psycopg.Connection, *, final: bool) -> int:
        """One step over every market; the events copied."""
        copied = 0
        for follower in list(self._followers.values()):
            follower.rows_max = self._rows_max
            began = time.monotonic()
            done = self._try_market(
                connection,
                follower.folder,
                partial(follower.step, final=final),
            )
            if done and 4_000 * (time.monotonic() - began) < limits.database_answer_ms_max:
                self._take_more()
            copied += done
            self._copied[follower.folder.exchange, follower.folder.symbol] = follower.cursor.seq
            if follower.folder.root in self._followers and self._refused:
                self._refused.pop(follower.folder.market, None)
                self._say("following")
            if time.monotonic() >= self._copied_due:  # many markets take long
                self._tell_copied()
        return copied

    def _take_less(self) -> None:
        """What got no answer in time would get none the next time either."""
        before = self._rows_max or limits.database_batch_rows
        self._rows_max = max(limits.database_batch_rows_min, before // 2)

    def _take_more(self) -> None:
        if self._rows_max is not None:
            more = 2 * self._rows_max
            self._rows_max = more if more < limits.database_batch_rows else None

    def _try_market(
        self, connection: psycopg.Connection, folder: MarketFolder, action: Callable[[], int]
    ) -> int:
        """One market's fault stops no other; a database that went away, or lost its tables, stops
        all of them."""
        try:
            with self._answering(connection):
                done = action()
        except DatabaseUnavailable:
            raise
        except (OrdertapeError, OSError) as error:
            follower = self._followers.pop(folder.root, None)
            if follower is not None:
                follower.close()
            if isinstance(error, DatabaseError) and not is_current(connection, self.address.schema):
                # `db drop`: the next session makes the tables again and copies what the tape has.
                raise
            pause = limits.database_backoff_ms_max / 1000
            self._refused_until[folder.root] = time.monotonic() + pause
            era = follower.cursor.era if follower is not None else 0
            self._complain(folder, _sentence(error), era)
            return 0
        if folder.root in self._followers and done:
            self._complaints.pop(folder.root, None)
        return done

    def _forget_followers(self) -> None:
        for follower in self._followers.values():
            follower.close()
        self._followers.clear()

    def _complain(self, folder: MarketFolder | None, reason: str, era: int = 0) -> None:
        """Once for each new reason."""
        key = folder.root if folder is not None else None
        if folder is None:
            self._refused.clear()
            self._say("waiting", reason)
        else:
            self._refused[folder.market] = reason.removeprefix(f"{folder.market}: ")
            self._say("following")
        if self._complaints.get(key) == reason:
            return
        self._complaints[key] = reason
        about = {} if folder is None else {"market": folder.market, "era": era}
        self._log.warning("L3_database_failed", reason=reason, **about)

    def _say(self, state: str, reason: str = "") -> None:
        """For the interface and ``ordertape status``: the log is not where people look first."""
        self.problem = reason or None
        told = DatabaseTold(
            state=state,
            reason=reason,
            database=self.address.shown,
            pid=os.getpid(),
            refused=dict(self._refused),
        )
        if told == self._told:
            return
        self._told = told
        try:
            write_told(self.data, told)
        except OSError as error:  # it explains a database and is worth no event
            self._log.warning("L3_database_state_untold", reason=str(error))

    def _take_back(self) -> None:
        try:
            forget_told(self.data)
        except OSError as error:
            self._log.warning("L3_database_state_untold", reason=str(error))

    def _tell_copied(self) -> None:
        """For ``/metrics``: a database that is away is behind by what is on the tape since."""
        self._copied_due = time.monotonic() + limits.keeper_pause_ms / 1000
        told = [
            CopiedMarket(*key, seq, self._delays[key].told()) for key, seq in self._copied.items()
        ]
        copied = Copied(markets=told, written_at=time.time_ns(), pid=os.getpid())
        try:
            write_copied(self.data, copied)
        except OSError as error:  # it explains, too
            self._log.warning("L3_database_state_untold", reason=str(error))
            with suppress(OSError):
                touch_told(self.data)

    # Keeping house --------------------------------------------------------------------------------

    def _keep_house(self, stop: threading.Event) -> None:
        """Partitions, retention and thinning, over a connection of its own."""
        while not stop.wait(limits.database_maintenance_ms / 1000):
            if self.problem is not None:
                continue
            try:
                with (
                    connect(self.address, name="ordertape maintenance") as connection,
                    answering_within(
                        connection, limits.database_maintenance_ms_max, self.address.shown
                    ),
                ):
                    done = maintain(
                        connection,
                        days=self._days,
                        order_index=self._order_index,
                        simulated_rows_max=self._simulated_rows_max,
                    )
            except (OrdertapeError, OSError, psycopg.Error) as error:
                self._log.warning("L3_database_maintenance_failed", reason=_sentence(error))
            else:
                if any(done):
                    self._log.info("L3_database_maintained", **done._asdict())


def copy_tape(
    folder: MarketFolder,
    address: Address,
    *,
    order_index: bool = True,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Copies a whole tape, whatever its age, and keeps its days; the events copied.

    For imports that are wanted in the database too.  Raises DatabaseError.
    """
    with connect(address, name="ordertape import") as connection:
        create(connection, address.schema)
        follower = MarketFollower(
            folder, connection, address, days=None, order_index=order_index, keep=True
        )
        copied = 0
        try:
            while (step := follower.step(final=True)) or not follower.idle:
                copied += step
                if progress is not None:
                    progress(copied)
        finally:
            follower.close()
        copy_lives(folder, connection, follower.market, order_index=order_index)
    return copied


def _sentence(error: Exception) -> str:
    return sentence(error) if isinstance(error, psycopg.Error) else str(error)
