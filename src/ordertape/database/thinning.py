"""What PostgreSQL lets go: old days of events, whole books that are too many for their age, and the
oldest of simulated markets where these are bounded."""

from __future__ import annotations

import time
from datetime import date
from typing import NamedTuple

import psycopg
from psycopg import sql

from ordertape import limits
from ordertape.crash_points import crash_point
from ordertape.database.changes import HELD, changing
from ordertape.database.findings import drop_findings
from ordertape.database.lifecycles import attach_leaves, drop_lives
from ordertape.database.partitions import (
    DAY_NS,
    attach,
    day_of,
    drop_before,
    leaves,
    make_ahead,
)
from ordertape.database.rows import generations_of
from ordertape.database.schema import renew_view

__all__ = [
    "Maintained",
    "drop_old_days",
    "drop_simulated",
    "maintain",
    "part_rows",
    "thin_books",
]

_TOO_OLD = """
    SELECT g.generation FROM generations g
    JOIN markets m USING (market) JOIN cursors c USING (market)
    WHERE m.simulated AND NOT m.keep AND EXISTS (
        SELECT FROM generations later WHERE later.market = g.market
        AND later.generation > g.generation AND later.from_seq <= c.seq - %s)
"""
_HOUR_NS = 3_600 * 10**9

# Of every market: the last ones, the first of each hour for some hours, the first of each day.  The
# first ones stay the same when more come, so that each book is decided about once.
_THIN = """
    WITH ranked AS (
        SELECT market, sequence, ts_recv,
            row_number() OVER (PARTITION BY market ORDER BY sequence DESC) AS newest,
            row_number() OVER hour AS of_hour,
            row_number() OVER day AS of_day
        FROM level3_snapshots
        WINDOW hour AS (PARTITION BY market, ts_recv / %(hour)s ORDER BY sequence),
            day AS (PARTITION BY market, ts_recv / %(day)s ORDER BY sequence)
    )
    DELETE FROM level3_snapshots s USING ranked r JOIN markets m ON m.market = r.market
    WHERE s.market = r.market AND s.sequence = r.sequence AND r.newest > %(last)s
        AND NOT (r.of_hour = 1 AND r.ts_recv >= %(hours_from)s)
        AND NOT (r.of_day = 1 AND (r.ts_recv >= %(days_from)s OR m.keep))
"""


class Maintained(NamedTuple):
    """What one round did."""

    leaves_made: int
    days_dropped: int
    books_dropped: int


def maintain(
    connection: psycopg.Connection,
    *,
    days: int,
    order_index: bool,
    simulated_rows_max: int | None = None,
    now_ns: int | None = None,
) -> Maintained:
    """One round: leaves of the days to come, attaching what readers held back, letting go."""
    for leaf in leaves(connection):
        attach(connection, leaf)
    attach_leaves(connection)
    made = make_ahead(connection, order_index=order_index)
    renew_view(connection)
    crash_point("keeper.leaves_made")
    dropped = drop_simulated(connection, simulated_rows_max)
    dropped += drop_old_days(connection, days=days, now_ns=now_ns)
    dropped += drop_lives(
        connection, days=days, bounded=simulated_rows_max is not None, now_ns=now_ns
    )
    drop_findings(connection, days=days, now_ns=now_ns)
    crash_point("keeper.days_dropped")
    books = thin_books(connection, days=days, now_ns=now_ns)
    if books:
        # Their room is used again at once; waiting for the daemon would let the table grow.
        connection.execute("VACUUM level3_snapshots")
    return Maintained(len(made), dropped, books)


def part_rows(rows_max: int | None) -> int | None:
    """The rows of one part of a market that has so many in all."""
    return None if rows_max is None else max(1, rows_max // limits.database_simulated_parts)


def drop_simulated(connection: psycopg.Connection, rows_max: int | None) -> int:
    """Drops parts of simulated markets until none has more rows than that; the leaves.

    A part is a generation, which the follower begins in time; a leaf loses no single rows, so that
    whoever reads it may rely on what it holds.
    """
    part = part_rows(rows_max)
    if rows_max is None or part is None:
        return 0
    old = [row[0] for row in connection.execute(_TOO_OLD, (rows_max - part,))]
    return sum(len(drop_before(connection, generation, date.max)) for generation in old)


def drop_old_days(connection: psycopg.Connection, *, days: int, now_ns: int | None = None) -> int:
    """Drops leaves of more than ``days`` days ago and generations left without any; the leaves.

    Markets marked ``keep`` stay whole.
    """
    oldest = day_of((now_ns or time.time_ns()) - days * DAY_NS)
    kept = {row[0] for row in connection.execute("SELECT market FROM markets WHERE keep")}
    known = [found for found in generations_of(connection) if found.market not in kept]
    dropped = sum(len(drop_before(connection, found.number, oldest)) for found in known)
    used = {leaf.generation for leaf in leaves(connection)}
    newest = {found.market: found.number for found in known}
    for found in known:
        if found.number not in used and found.number != newest[found.market]:
            _drop_generation(connection, found.number, found.table)
    connection.execute(
        "DELETE FROM level3_gaps g USING markets m WHERE m.market = g.market AND NOT m.keep "
        "AND g.to_ns < %s",
        ((now_ns or time.time_ns()) - days * DAY_NS,),
    )
    return dropped


def _drop_generation(connection: psycopg.Connection, number: int, table: str) -> None:
    """First out of the view, then the table; readers may delay either to the next round."""
    try:
        with changing(connection):
            connection.execute("DELETE FROM generations WHERE generation = %s", (number,))
            if renew_view(connection):
                connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(table)))
            else:
                raise psycopg.Rollback
    except HELD:
        return


def thin_books(connection: psycopg.Connection, *, days: int, now_ns: int | None = None) -> int:
    """Drops whole books but the last ten, one an hour for a day, one a day; how many."""
    now = now_ns or time.time_ns()
    done = connection.execute(
        _THIN,
        {
            "hour": _HOUR_NS,
            "day": DAY_NS,
            "last": limits.database_snapshots_last,
            "hours_from": now - limits.database_snapshots_hours * _HOUR_NS,
            "days_from": now - days * DAY_NS,
        },
    )
    return done.rowcount
