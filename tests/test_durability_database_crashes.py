"""The keeper killed at two named places; ``make torture`` tries each place fifty times."""

from __future__ import annotations

from pathlib import Path

from support.database_crashes import crash_at
from support.forked import Template
from support.postgres import installed_cluster


def test_a_keeper_killed_in_a_copy_or_behind_its_commit_leaves_every_event_once(
    tmp_path: Path,
) -> None:
    with installed_cluster() as server, Template(tmp_path) as template:
        for place in ("follower.half_copied", "follower.committed"):
            assert crash_at(server, template, place, 1) == []
