"""Markets and their generations: which table the events of a market go to."""

from __future__ import annotations

import psycopg

from ordertape.database.changes import changing
from ordertape.database.copy import Needs
from ordertape.database.partitions import make_table
from ordertape.database.rows import Generation, generations_of
from ordertape.errors import TapeDiffers

__all__ = ["Cursor", "ensure_market", "newest_generation", "next_generation", "read_cursor"]


class Cursor:
    """How far a market's tape is in the database: its last event, and the era then."""

    __slots__ = ("era", "seq", "ts_recv")

    def __init__(self, seq: int, ts_recv: int, era: int) -> None:
        self.seq, self.ts_recv, self.era = seq, ts_recv, era


def ensure_market(
    connection: psycopg.Connection, exchange: str, symbol: str, *, origin: str, keep: bool = False
) -> int:
    """The number of a market, new where it is not known yet.

    Raises TapeDiffers where its rows come from elsewhere: a tape's and saved ones don't mix.
    """
    with connection.transaction():
        connection.execute(
            "INSERT INTO markets (exchange, symbol, origin, keep) VALUES (%s, %s, %s, %s) "
            "ON CONFLICT (exchange, symbol) DO NOTHING",
            (exchange, symbol, origin, keep),
        )
        row = connection.execute(
            "SELECT market, origin, keep FROM markets WHERE exchange = %s AND symbol = %s "
            "FOR UPDATE",
            (exchange, symbol),
        ).fetchone()
        assert row is not None
        market, found, kept = row
        if found != origin:
            theirs = "were saved from elsewhere" if found == "saved" else "are those of a tape"
            raise TapeDiffers(f"{exchange} {symbol}: its rows in the database {theirs}")
        if keep and not kept:
            connection.execute("UPDATE markets SET keep = true WHERE market = %s", (market,))
    return int(market)


def newest_generation(connection: psycopg.Connection, market: int) -> Generation | None:
    """The one that a market's next events go to."""
    found = generations_of(connection, market)
    return found[-1] if found else None


def next_generation(
    connection: psycopg.Connection,
    market: int,
    from_seq: int,
    needs: Needs,
    before: Generation | None,
) -> Generation:
    """A new generation, with its table, that holds what the one before held and what is needed."""
    with changing(connection):
        row = connection.execute(
            "INSERT INTO generations "
            "(market, from_seq, price_scale, size_scale, order_form, trade_form) "
            "VALUES (%s, %s, %s, %s, %s, %s) RETURNING generation",
            (market, from_seq, *needs.widen(before)),
        ).fetchone()
        assert row is not None
        made = next(found for found in generations_of(connection, market) if found.number == row[0])
        make_table(connection, made)
    return made


def read_cursor(connection: psycopg.Connection, market: int) -> Cursor | None:
    """How far its tape is copied; None where nothing of it is."""
    row = connection.execute(
        "SELECT seq, ts_recv, era FROM cursors WHERE market = %s", (market,)
    ).fetchone()
    return Cursor(*row) if row is not None else None
