"""``support.keeping.main``: the keeper with waits, batches and files of a test.

A keeper closes a file at a million events and keeps house twice a minute; a try has a second.
"""

from __future__ import annotations

from ordertape import limits
from ordertape.roles import keeper
from support.database_faults import QUICK

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    given = {
        "database_maintenance_ms": 60,
        "database_batch_rows": 120,
        "journal_run_rows": 20,
        "lives_pause_ms": 20,
        # Files of a try are small beside their books: nothing is let go unread all the same.
        "demo_archive_held_factor": 1_000,
    }
    for name, value in {**QUICK, **given}.items():
        setattr(limits, name, value)
    return keeper.main(arguments)
