"""``support.keeping.main``: the keeper with waits, batches and files of a test.

A keeper closes a file at a million events and keeps house twice a minute; a try has a second.
"""

from __future__ import annotations

from ordertape import limits
from ordertape.roles import keeper
from support.database_faults import QUICK

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    for name, value in {**QUICK, "database_maintenance_ms": 60, "database_batch_rows": 120}.items():
        setattr(limits, name, value)
    return keeper.main(arguments)
