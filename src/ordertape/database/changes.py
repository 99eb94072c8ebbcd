"""Changes to the tables: one process at a time, and the one that gives way where others hold them.

Whoever makes, attaches or drops a table, or renews the view, takes its turn first and looks at
what is there afterwards: nobody attaches what is attached already, or drops what is being made.
Turn before tables, and never the other way round, is the order that keeps changes from waiting
for each other in a circle.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg

from ordertape import limits

__all__ = ["HELD", "changing", "take_turn"]

HELD: Final = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)
"""What a change ends in that met somebody with the tables in use: nothing was done, and it may be
tried again."""


def take_turn(connection: psycopg.Connection, schema: str | None = None) -> None:
    """Waits for the turn of the schema (the connection's own without one), which the transaction
    under way then has until it ends."""
    connection.execute(
        "SELECT pg_advisory_xact_lock(hashtext('ordertape ' || coalesce(%s, current_schema())))",
        (schema,),
    )


@contextmanager
def changing(connection: psycopg.Connection, schema: str | None = None) -> Iterator[None]:
    """A transaction with the turn, whose waits for tables are short.

    Raises one of ``HELD`` where somebody did not let go in time.
    """
    with connection.transaction():
        take_turn(connection, schema)
        timeout = f"SET LOCAL lock_timeout = {limits.database_lock_timeout_ms}"
        connection.execute(timeout.encode())
        yield
