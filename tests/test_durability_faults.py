"""A full disk, a failed sync, a collector that stands still: one try each; the rest is torture."""

from __future__ import annotations

import pytest

from support.arena import the_arena
from support.faults import attempt_full, attempt_suspended, attempt_sync, lacks


@pytest.fixture(autouse=True)
def figures_elsewhere(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test measures on a busy machine is no figure to keep."""
    monkeypatch.setenv("ORDERTAPE_TRIES", f"{tmp_path}/tries.jsonl")


@pytest.mark.skipif(bool(lacks("unshare")), reason=lacks("unshare"))
@pytest.mark.parametrize("case", ["journal, told by a server", "archive"])
def test_a_full_disk_is_told_covered_by_a_gap_and_heals(case: str) -> None:
    assert attempt_full(case, 0) == []


@pytest.mark.skipif(bool(lacks("strace")), reason=lacks("strace"))
def test_a_failed_sync_is_fatal_and_the_next_collector_begins_at_the_last_durable_event() -> None:
    assert attempt_sync("fdatasync fails once", 0) == []


def test_a_collector_that_stood_still_is_told_stale_and_goes_on() -> None:
    try:
        assert attempt_suspended("6 s", 0) == []
    finally:
        the_arena().template.end()
