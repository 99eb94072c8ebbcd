"""API, database, collector and keeper killed at once: exact tapes, rows once, LIVE again."""

from __future__ import annotations

from support.together import AT_ONCE, kill_together


def test_everything_killed_together_goes_on_without_a_loss() -> None:
    assert kill_together(AT_ONCE, 1) == []
