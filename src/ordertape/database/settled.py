"""How far everything that follows the tapes into one database has come, for good.

A commit that is answered may still be taken back by a crash of the server (`synchronous_commit =
off`), and what was copied is then copied again.  What is told here outlives such a crash, so that
what it was copied from may be let go.
"""

from __future__ import annotations

from collections.abc import Mapping

import psycopg

__all__ = ["Settled"]

_PLACES = "SELECT pg_current_wal_insert_lsn() - '0/0', pg_current_wal_flush_lsn() - '0/0'"


class Settled:
    """Told by who copies, asked by who lets go; each in a thread of its own."""

    def __init__(self) -> None:
        self._passed: Mapping[tuple[str, str], int] = {}
        self._waiting: tuple[int, Mapping[tuple[str, str], int]] | None = None
        """What was reached, and where the server's log ended then."""

    def passed(self, exchange: str, symbol: str) -> int:
        """The event up to which a market was read and written down; 0 where none is known."""
        return self._passed.get((exchange, symbol), 0)

    def forget(self) -> None:
        """Nothing is known: the database may be another one."""
        self._passed, self._waiting = {}, None

    def look(self, connection: psycopg.Connection, reached: Mapping[tuple[str, str], int]) -> None:
        """``reached``: up to which event each market's commits were answered by now."""
        row = connection.execute(_PLACES).fetchone()
        assert row is not None
        written, flushed = row
        if self._waiting is not None and flushed >= self._waiting[0]:
            self._passed, self._waiting = self._waiting[1], None
        if self._waiting is None:
            self._waiting = int(written), reached
