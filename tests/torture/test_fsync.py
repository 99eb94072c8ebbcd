"""fdatasync fails, fifty times: fatal, never tried again, nothing behind it taken for durable."""

from __future__ import annotations

import pytest

from support.faults import attempt_sync, lacks
from support.tries import run_tries


@pytest.mark.torture
@pytest.mark.skipif(bool(lacks("strace")), reason=lacks("strace"))
def test_a_failed_sync_is_fatal_and_nothing_behind_it_counts() -> None:
    assert run_tries("fsync", {"fdatasync fails once": 50}, attempt_sync) == []
