"""PostgreSQL's own terminal at our database: the wheel's psql, which every server understands."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ordertape.database.address import Address
from ordertape.database.binaries import bundled
from ordertape.errors import DatabaseError

__all__ = ["run_psql"]


def run_psql(address: Address, arguments: Sequence[str]) -> int:
    """Runs psql with our schema on its search path; its exit status.  Raises DatabaseError.

    The embedded server has been acquired by the caller.
    """
    parts = conninfo_to_dict(address.conninfo())
    password = parts.pop("password", None)
    environment = {**os.environ, "PGOPTIONS": f"-c search_path={address.schema},public"}
    if password is not None:
        # On the command line every user of the machine could read it.
        environment["PGPASSWORD"] = str(password)
    target = make_conninfo("", **parts)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C cancels a query of psql's
    try:
        done = subprocess.run(  # noqa: S603 - psql with the user's own arguments
            [_program(), "-d", target, *arguments], env=environment, check=False
        )
    finally:
        signal.signal(signal.SIGINT, before)
    return done.returncode


def _program() -> str:
    try:
        return bundled().program("psql")
    except DatabaseError:
        found = shutil.which("psql")
        if found is None:
            raise
        return found
