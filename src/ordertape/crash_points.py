"""Named places at which a process kills itself, so that tests can put a crash exactly there.

``ORDERTAPE_CRASH_AT=NAME`` kills at the first time the place is reached, ``NAME:n`` at the n-th.
SIGKILL: nothing is flushed, closed or told, as when the machine's owner does it.  Without the
variable a place costs one call and the look at a constant; none stands in a loop over events.
"""

from __future__ import annotations

import itertools
import os
import signal
from typing import Final

__all__ = ["POINTS", "VARIABLE", "crash_point"]

VARIABLE: Final = "ORDERTAPE_CRASH_AT"

POINTS: Final[tuple[str, ...]] = (
    "journal.tail_cut",
    "journal.segment_created",
    "journal.segment_allocated",
    "journal.segment_begun",
    "journal.frame_due",
    "journal.frame_written",
    "journal.snapshot_begun",
    "journal.snapshot_written",
    "journal.sync_due",
    "journal.synced",
    "journal.segment_synced",
    "journal.segment_cut",
    "collector.market_opened",
    "collector.reported",
    "collector.stopping",
    "archiver.file_closed",
    "archiver.journal_durable",
    "archiver.commit_planned",
    "archiver.file_renamed",
    "archiver.all_renamed",
    "archiver.committed",
    "archiver.segment_gone",
    "cold.written",
    "cold.renamed",
    "cold.plain_gone",
    "follower.market_begun",
    "follower.tape_durable",
    "follower.generation_made",
    "follower.leaf_made",
    "follower.leaf_attached",
    "follower.rows_prepared",
    "follower.half_copied",
    "follower.cursor_moved",
    "follower.committed",
    "keeper.begun",
    "keeper.market_archived",
    "keeper.oldest_forgotten",
    "keeper.book_forgotten",
    "keeper.leaves_made",
    "keeper.days_dropped",
    "keeper.ending",
    "server.collectors_begun",
    "server.database_begun",
    "server.roles_begun",
    "server.ending",
    "server.collectors_ended",
)
"""Every place, role by role, in the order a process meets them."""


def crash_point(name: str) -> None:
    """Ends this process with SIGKILL where the environment asks for it here."""
    if _AT:
        _reached(name)


_AT, _, _COUNT = os.environ.get(VARIABLE, "").partition(":")
_TIMES = int(_COUNT or 1)
_met = itertools.count(1)


def _reached(name: str) -> None:
    if name == _AT and next(_met) == _TIMES:
        os.kill(os.getpid(), signal.SIGKILL)
