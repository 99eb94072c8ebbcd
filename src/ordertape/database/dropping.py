"""``db drop``: what the tapes give back is dropped, what no tape holds stays unless it is named."""

from __future__ import annotations

from typing import Final, NamedTuple

import psycopg
from psycopg import sql

from ordertape import limits
from ordertape.database.changes import HELD, changing
from ordertape.database.schema import OURS, functions_there, refuse_foreign, relations_there
from ordertape.errors import DatabaseUnavailable, SchemaRefused

__all__ = ["Dropped", "drop"]

_UNTAPED: Final[tuple[str, ...]] = ("alert_rules", "alerts")
"""What people asked for and were told.  Both stay where one of them holds anything: an alert names
its rule by a number that is given once.  ``create`` takes them as they are."""
_SAVED: Final = """
    SELECT exchange || ' ' || symbol FROM {} AS known
    WHERE to_jsonb(known)->>'origin' = 'saved' ORDER BY 1
"""
"""Whatever columns a newer version gave the table."""


class Dropped(NamedTuple):
    """Names of what was dropped and of the tables that stay."""

    names: list[str]
    kept: list[str]


def drop(connection: psycopg.Connection, schema: str, *, everything: bool = False) -> Dropped:
    """Drops what is ours, all or nothing, and the schema where nothing is left in it.

    Without ``everything`` alert rules and alerts stay where there are any.
    Raises SchemaRefused where relations of our names are not ours or, without ``everything``, where
    markets were saved through L3Repository, DatabaseUnavailable where somebody does not let go.
    """
    for _ in range(limits.database_drop_tries):
        try:
            return _drop(connection, schema, everything)
        except HELD:
            continue  # after waiting for the lock itself
    raise DatabaseUnavailable(
        f"the tables in schema {schema} are in use and nothing was dropped: "
        "stop what reads or writes them (pg_stat_activity names it) and try again"
    )


def _drop(connection: psycopg.Connection, schema: str, everything: bool) -> Dropped:
    dropped = []
    with changing(connection, schema):
        refuse_foreign(connection, schema)
        ours = [
            (name, kind)
            for name, kind, comment in relations_there(connection, schema)
            if comment.startswith(OURS)
        ]
        ours.sort(key=_turn_of)
        for name, kind in ours:
            if kind in "rp":
                lock = sql.SQL("LOCK TABLE ONLY {} IN ACCESS EXCLUSIVE MODE")
                connection.execute(lock.format(sql.Identifier(schema, name)))
        kept = [] if everything else _untaped(connection, schema, {name for name, _ in ours})
        for name, kind in sorted(ours, key=lambda entry: entry[1] != "v"):
            if name in kept:
                continue
            what = sql.SQL("VIEW" if kind == "v" else "TABLE")
            connection.execute(
                sql.SQL("DROP {} IF EXISTS {} CASCADE").format(what, sql.Identifier(schema, name))
            )
            dropped.append(name)
        for signature, name, comment in functions_there(connection, schema):
            if comment.startswith(OURS):
                connection.execute(f"DROP FUNCTION {signature}".encode())
                dropped.append(f"{name}()")
        left = relations_there(connection, schema) + functions_there(connection, schema)
        if dropped and not left and schema != "public":
            connection.execute(sql.SQL("DROP SCHEMA {}").format(sql.Identifier(schema)))
            dropped.append(f"schema {schema}")
    return Dropped(dropped, kept)


def _untaped(connection: psycopg.Connection, schema: str, there: set[str]) -> list[str]:
    """The tables that stay.  Raises SchemaRefused where rows would go that stand among others."""
    if "markets" in there:
        query = sql.SQL(_SAVED).format(sql.Identifier(schema, "markets"))
        saved = [name for (name,) in connection.execute(query)]
        if saved:
            raise SchemaRefused(
                f"schema {schema} holds {', '.join(saved)}, saved through L3Repository, which no "
                "tape gives back: nothing was dropped; `ordertape db dump FILE` keeps them, and "
                "`ordertape db drop --everything` drops them, too"
            )
    kept: list[str] = [name for name in _UNTAPED if name in there]
    for name in kept:
        holds = sql.SQL("SELECT FROM {} LIMIT 1").format(sql.Identifier(schema, name))
        if connection.execute(holds).fetchone() is not None:
            return kept
    return []


_WRITTEN: Final = ("level3_gaps", "level3_snapshots", "cursors", "markets")
"""In the order in which the follower and its maintenance come to them, after the events."""


def _turn_of(relation: tuple[str, str]) -> tuple[int, str]:
    """Where a (name, kind) stands in the order of locks: leaves of events, what they belong to,
    what is written with them, the rest."""
    name, kind = relation
    if name in _WRITTEN:
        return 2 + _WRITTEN.index(name), name
    if not name.startswith("events_"):
        return 2 + len(_WRITTEN), name
    return int(kind == "p"), name
