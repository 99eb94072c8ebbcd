"""``db``: the tables of PostgreSQL, and ways in.

The database's driver is loaded by the commands that use it: no other has to wait for it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ordertape.commands.common import DataOption, command_name, out, prepare
from ordertape.commands.help import WordedCommand, WordedGroup
from ordertape.commands.progress import waiting
from ordertape.errors import DatabaseError

if TYPE_CHECKING:
    import psycopg

    from ordertape.database.address import Address

__all__ = ["app"]

app = typer.Typer(
    cls=WordedGroup,
    help="Make, check, copy and drop the tables of PostgreSQL; look at them.",
    no_args_is_help=True,
)


@contextmanager
def _address(data: DataOption) -> Iterator[Address]:
    """The database of the settings, the embedded one running meanwhile."""
    from ordertape.database.address import address_of

    address = address_of(prepare(data))
    address.acquire(_tell)
    try:
        yield address
    finally:
        address.release()


def _missing(data: DataOption) -> str | None:
    """That the embedded database was never made, in words: looking must not make it."""
    from ordertape.database.address import address_of

    embedded = address_of(prepare(data)).embedded
    if embedded is None or embedded.exists:
        return None
    return f"there is no database in {embedded.folder} yet, and DATABASE_URL names no other"


@contextmanager
def _connection(data: DataOption) -> Iterator[tuple[psycopg.Connection, Address]]:
    from ordertape.database.address import connect, errors_of

    with _address(data) as address, errors_of(address), connect(address) as connection:
        yield connection, address


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")


@app.command(cls=WordedCommand)
def create(data: DataOption = None) -> None:
    """Make the tables, or bring those of an older version up to this one."""
    from ordertape.database import schema

    with _connection(data) as (connection, address):
        applied = schema.create(connection, address.schema)
        done = f"applied {', '.join(applied)}" if applied else "nothing to do"
        out(f"schema {address.schema} in {address.shown}: {done}")


@app.command(cls=WordedCommand)
def check(data: DataOption = None) -> None:
    """List what is missing or wrong; status 1 where anything is."""
    from ordertape.database import schema

    if (missing := _missing(data)) is not None:
        out(f"{missing}: `{command_name()} db create` makes it")
        raise typer.Exit(1)
    with _connection(data) as (connection, address):
        problems = schema.check(connection, address.schema)
        for problem in problems:
            out(problem)
        if problems:
            raise typer.Exit(1)
        out(f"schema {address.schema} in {address.shown}: everything is there")


@app.command(cls=WordedCommand)
def drop(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    everything: Annotated[
        bool,
        typer.Option(
            "--everything", help="Also alerts, their rules, saved rows: no tape has them."
        ),
    ] = False,
    data: DataOption = None,
) -> None:
    """Drop the tables that the tapes give back; the tapes stay, and alerts and their rules."""
    from ordertape.database.dropping import drop

    if (missing := _missing(data)) is not None:
        raise DatabaseError(f"{missing}: nothing was dropped")
    with _connection(data) as (connection, address):
        where = f"schema {address.schema} of {address.shown}"
        more = ", alert rules and alerts and saved rows among them" if everything else ""
        if not yes and not typer.confirm(f"Drop ordertape's tables in {where}{more}?"):
            out("nothing was dropped")
            raise typer.Exit(1)
        dropped = drop(connection, address.schema, everything=everything)
    stays = f"{' and '.join(dropped.kept)}, which no tape holds (--everything drops them, too)"
    if not dropped.names:
        stay = f" but {stays}" if dropped.kept else ""
        raise DatabaseError(f"{where} has nothing of ordertape's{stay}: nothing was dropped")
    kept = f"; kept {stays}" if dropped.kept else ""
    out(f"{where}: dropped {', '.join(dropped.names)}{kept}")


@app.command(
    cls=WordedCommand,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def dump(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Replaced when the new one is whole.")
    ],
    data: DataOption = None,
) -> None:
    """Write the tables into a file of SQL, which `db psql -f FILE` reads back.

    Other options, such as --data-only or --table PATTERN, are pg_dump's own.
    """
    from ordertape.database.psql import dump

    if (missing := _missing(data)) is not None:
        raise DatabaseError(f"{missing}: nothing was written")
    with _address(data) as address, waiting("dump"):
        size = dump(address, file, context.args)
    out(f"{file}: {size:,} bytes of schema {address.schema} in {address.shown}")


@app.command(
    cls=WordedCommand,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def psql(
    context: typer.Context,
    command: Annotated[
        list[str] | None,
        typer.Option("-c", "--command", metavar="SQL", help="Run this and leave."),
    ] = None,
    data: DataOption = None,
) -> None:
    """Open PostgreSQL's terminal, our schema on its search path.

    Other options, such as -At or -f FILE, are psql's own.
    """
    from ordertape.database.psql import run_psql

    if (missing := _missing(data)) is not None:
        out(f"{missing}: `{command_name()} db create` makes it")
        raise typer.Exit(1)
    arguments = [*context.args, *(part for text in command or [] for part in ("-c", text))]
    with _address(data) as address:
        status = run_psql(address, arguments)
    if status:
        raise typer.Exit(status)


@app.command(cls=WordedCommand)
def reader(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The role; made where it is missing.")
    ],
    data: DataOption = None,
) -> None:
    """Let a role of PostgreSQL read the tables, and those to come, and nothing else."""
    from ordertape.database.readers import grant_reading

    if (missing := _missing(data)) is not None:
        out(f"{missing}: `{command_name()} db create` makes it")
        raise typer.Exit(1)
    with _connection(data) as (connection, address):
        made = grant_reading(connection, address.schema, name)
        done = "is made, without a password, and may read" if made else "may read"
        out(f"schema {address.schema} in {address.shown}: role {name} {done}")


@app.command(cls=WordedCommand)
def url(data: DataOption = None) -> None:
    """Print the address for psql and other programs.

    The embedded server listens on a private socket, while a server or keeper of ordertape runs.
    """
    from ordertape.database.address import address_of

    address = address_of(prepare(data))
    if address.embedded is None:
        out(address.url or "")
        return
    if not address.embedded.running:
        _tell("the embedded PostgreSQL does not run now: it does while a server or keeper runs")
    out(address.embedded.url)
