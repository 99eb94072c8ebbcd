"""A few connections for threads that read, kept open from one reading to the next.

A query ends when whoever waits for it leaves, or at its timeout.  A database that is away is asked
again after a pause; meanwhile whoever asks is told at once.
"""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

import psycopg

from ordertape import limits
from ordertape.database.address import Address, connect, errors_of
from ordertape.database.patience import NoAnswer, answering_within
from ordertape.errors import DatabaseError, DatabaseUnavailable

__all__ = ["Canceling", "Connections", "reading_all"]

Canceling: TypeAlias = Callable[[Callable[[], None]], AbstractContextManager[None]]
"""Given what cancels a query, a context in which that is called where nobody waits any more."""


_READING: Final = b"SET default_transaction_read_only = on"
"""Whatever a query was made to be, it changes nothing: PostgreSQL refuses it."""
_IN_ORDER: Final = b"SET enable_seqscan = off; SET enable_bitmapscan = off"
"""Everything asked here is found in the order of an index and stops at a limit.  By the statistics
of a table that grows the planner would at times read and sort all of it: 130 ms instead of 15."""


class Connections:
    """At most ``limits.api_database_connections_max``; any thread may use them."""

    def __init__(
        self, address: Address, *, name: str = "ordertape reader", patient: bool = False
    ) -> None:
        """``patient``: nothing else could answer, so that a connection may take longer."""
        self.address = address
        self.opened = 0
        """Grows with every new connection: what was learnt over the ones before may be over."""
        self._name = name
        self._patient = patient
        self._lock = threading.Lock()
        self._room = threading.BoundedSemaphore(limits.api_database_connections_max)
        self._idle: list[_Kept] = []
        self._refused_until, self._reason = 0.0, ""
        self._closed = False

    def close(self) -> None:
        """Closes those nobody uses; the others close as they are let go."""
        with self._lock:
            self._closed = True
        self._close_idle()

    def try_again(self) -> None:
        """Whoever asks next tries at once: the server was started meanwhile."""
        with self._lock:
            self._refused_until = 0.0

    @contextmanager
    def use(
        self, timeout_ms: int, canceling: Canceling = lambda _cancel: nullcontext()
    ) -> Iterator[psycopg.Connection]:
        """A connection in autocommit mode; each statement ends after ``timeout_ms``, all
        of them ``limits.database_grace_ms`` later where the server keeps no time any more.

        Raises DatabaseUnavailable where there is none, DatabaseError where a statement fails.
        """
        wait_ms = limits.database_pool_wait_ms if self._patient else limits.api_database_wait_ms
        if not self._room.acquire(timeout=wait_ms / 1000):
            raise DatabaseUnavailable(f"{self.address.shown}: no connection within {wait_ms} ms")
        kept: _Kept | None = None
        try:
            with errors_of(self.address, timeout_ms):
                kept = self._ready()
                most_ms = timeout_ms + limits.database_grace_ms
                with answering_within(kept.connection, most_ms, self.address.shown):
                    kept.prepare(timeout_ms)
                    cancel = partial(kept.connection.cancel_safe, timeout=timeout_ms / 1000)
                    with canceling(cancel):
                        yield kept.connection
        except DatabaseUnavailable as error:
            if isinstance(error, NoAnswer):
                self._refuse(error)
            self._close_idle()
            raise
        finally:
            if kept is not None:
                self._let_go(kept)
            self._room.release()

    def _ready(self) -> _Kept:
        """One that is still there."""
        with self._lock:
            kept = self._idle.pop() if self._idle else None
        if kept is not None and _is_over(kept.connection):
            # The server was started anew: the others are gone, too.
            kept.connection.close()
            self._close_idle()
            kept = None
        return _Kept(self._connected()) if kept is None else kept

    def _connected(self) -> psycopg.Connection:
        with self._lock:
            if time.monotonic() < self._refused_until:
                raise DatabaseUnavailable(self._reason)
        try:
            timeout_ms = None if self._patient else limits.api_database_connect_ms_max
            made = connect(self.address, name=self._name, timeout_ms=timeout_ms)
        except DatabaseError as error:
            self._refuse(error)
            raise
        with self._lock:
            self.opened += 1
        return made

    def _refuse(self, error: DatabaseError) -> None:
        """For a while whoever asks is told so at once."""
        with self._lock:
            self._reason = str(error)
            self._refused_until = time.monotonic() + limits.api_database_retry_ms / 1000

    def _let_go(self, kept: _Kept) -> None:
        idle = kept.connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        with self._lock:
            if idle and not self._closed:
                self._idle.append(kept)
                return
        kept.connection.close()

    def _close_idle(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for kept in idle:
            kept.connection.close()


@contextmanager
def reading_all(connection: psycopg.Connection) -> Iterator[None]:
    """Inside, queries that read most of a table, in whatever order."""
    with connection.transaction():
        connection.execute(b"SET LOCAL enable_seqscan = on; SET LOCAL enable_bitmapscan = on")
        yield


@dataclass(slots=True)
class _Kept:
    connection: psycopg.Connection
    timeout_ms: int | None = None

    def prepare(self, timeout_ms: int) -> None:
        """Each statement ends after that time."""
        if self.timeout_ms is None:
            self.connection.execute(_READING)
            self.connection.execute(_IN_ORDER)
        if self.timeout_ms != timeout_ms:
            self.connection.execute(f"SET statement_timeout = {timeout_ms}".encode())
            self.timeout_ms = timeout_ms


def _is_over(connection: psycopg.Connection) -> bool:
    """Whether the server ended an idle connection: it says so, or hangs up, of its own accord."""
    if connection.closed:
        return True
    waiting = select.poll()
    waiting.register(connection.fileno(), select.POLLIN)
    return bool(waiting.poll(0))
