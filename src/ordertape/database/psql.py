"""PostgreSQL's own programs at our database: its terminal, and what copies our tables into a file.

The wheel's psql is understood by every server; a dump is made by the program of the server's own
version where the wheel has it, so that the server reads it back.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ordertape.database.address import Address, connect
from ordertape.database.binaries import bundled
from ordertape.database.schema import OURS, relations_there
from ordertape.errors import DatabaseError
from ordertape.tape.folder import sync_directory

__all__ = ["dump", "run_psql"]

_KNOWS_TRANSACTION_TIMEOUT = 17
"""The first version of PostgreSQL that does; pg_dump from then on sets it in every dump's head,
where an older server would stop."""
_HEAD_BYTES = 4096


def run_psql(address: Address, arguments: Sequence[str]) -> int:
    """Runs psql with our schema on its search path; its exit status.  Raises DatabaseError.

    The embedded server has been acquired by the caller.
    """
    target, environment = _reached(address)
    environment["PGOPTIONS"] = f"-c search_path={address.schema},public"
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C cancels a query of psql's
    try:
        done = subprocess.run(  # noqa: S603 - psql with the user's own arguments
            [_psql(), "-d", target, *arguments], env=environment, check=False
        )
    finally:
        signal.signal(signal.SIGINT, before)
    return done.returncode


def dump(address: Address, file: Path, arguments: Sequence[str] = ()) -> int:
    """Writes our schema as SQL, of one moment, beside whoever writes there; its bytes.

    ``file`` is replaced when it is whole and durable, and is for its owner alone.  Owners and
    grants are left out: whoever reads it in owns it.  ``arguments``: more of pg_dump's own.
    The embedded server has been acquired by the caller.  Raises DatabaseError, OSError.
    """
    with connect(address) as connection:
        major = connection.info.server_version // 10_000
        there = relations_there(connection, address.schema)
        if not any(comment.startswith(OURS) for _, _, comment in there):
            raise DatabaseError(
                f"schema {address.schema} in {address.shown} has no table of ordertape's: nothing "
                "was written"
            )
    target, environment = _reached(address)
    pattern = '"' + address.schema.replace('"', '""') + '"'
    ours = ("--schema", pattern, "--no-owner", "--no-privileges", "--no-password")
    temporary = file.with_name(f"{file.name}.new")
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as into:
            done = subprocess.run(  # noqa: S603 - pg_dump with the user's own arguments
                [_pg_dump(major), "-d", target, *ours, *arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=into,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                check=False,
            )
            os.fsync(into.fileno())
        if done.returncode:
            raise DatabaseError(f"{done.stderr.strip() or 'pg_dump failed'}: nothing was written")
        if major < _KNOWS_TRANSACTION_TIMEOUT:
            _leave_out(temporary, b"SET transaction_timeout = 0;")
        os.replace(temporary, file)
        sync_directory(file.parent)
    finally:
        temporary.unlink(missing_ok=True)
    return file.stat().st_size


def _leave_out(file: Path, statement: bytes) -> None:
    """Makes a statement in the head of a dump a comment, durably."""
    with file.open("r+b") as opened:
        at = opened.read(_HEAD_BYTES).find(b"\n" + statement)
        if at >= 0:
            os.pwrite(opened.fileno(), b"---", at + 1)
            os.fsync(opened.fileno())


def _reached(address: Address) -> tuple[str, dict[str, str]]:
    """How a program is told of the server: on its command line, and in its environment."""
    parts = conninfo_to_dict(address.conninfo())
    password = parts.pop("password", None)
    environment = dict(os.environ)
    if password is not None:
        # On the command line every user of the machine could read it.
        environment["PGPASSWORD"] = str(password)
    return make_conninfo("", **parts), environment


def _psql() -> str:
    try:
        return bundled().program("psql")
    except DatabaseError:
        found = shutil.which("psql")
        if found is None:
            raise
        return found


def _pg_dump(major: int) -> str:
    """Of the server's version, else of a newer one.  Raises DatabaseError."""
    for wanted in (major, None):
        try:
            found = bundled(wanted)
        except DatabaseError:
            continue
        if found.major >= major:
            return found.program("pg_dump")
    installed = shutil.which("pg_dump")
    if installed is None:
        raise DatabaseError(
            f"there is no pg_dump of PostgreSQL {major} or newer here: install PostgreSQL's "
            "client programs"
        )
    return installed
