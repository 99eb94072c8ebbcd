#!/usr/bin/env python3
"""Make, check or drop ordertape's tables in PostgreSQL: create | check | drop [--yes].

Which server: DATABASE_URL, else the embedded one of --data or ORDERTAPE_DATA; which schema:
OTC_SCHEMA.
Runs with any python3 once `make setup` was run.  Exit status 0: done, everything is there; 1: not.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
PYTHON = TOP / ".venv" / "bin" / "python"
USAGE = "usage: migrate_l3_tables.py create | check | drop [--yes], and --data DIR with each\n"


def main(arguments: list[str]) -> int:
    """Hands over to `ordertape db`; the exit status."""
    if arguments in (["-h"], ["--help"]):
        sys.stdout.write(USAGE + (__doc__ or ""))
        return 0
    command, data = _parted(arguments)
    actions = (["create"], ["check"], ["drop"], ["drop", "--yes"], ["--yes", "drop"])
    if command not in actions or len(data) == 1:
        sys.stderr.write(USAGE)
        return 1
    if not PYTHON.exists():
        sys.stderr.write(f"there is no {PYTHON}: run `make setup` in {TOP} first\n")
        return 1
    command = sorted(command, key=lambda word: word.startswith("-")) + data
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and one of the actions
            [PYTHON, "-m", "ordertape.cli", "db", *command], check=False
        )
    except KeyboardInterrupt:
        return 1
    return 1 if done.returncode else 0


def _parted(arguments: list[str]) -> tuple[list[str], list[str]]:
    """What is to be done, and ``--data DIR`` or nothing."""
    if "--data" not in arguments:
        return arguments, []
    at = arguments.index("--data")
    return arguments[:at] + arguments[at + 2 :], arguments[at : at + 2]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
