"""A collector stands still for 5, 30 and 120 s: told STALE meanwhile, LIVE within 5 s after."""

from __future__ import annotations

import pytest

from support.faults import attempt_suspended
from support.figures import percentiles
from support.tries import run_tries

COUNTS = {"6 s": 30, "30 s": 15, "120 s": 5}
"""Silence is told after 5 s."""


@pytest.mark.torture
def test_a_collector_that_stood_still_goes_on() -> None:
    failed = run_tries("suspended", COUNTS, attempt_suspended)
    print(percentiles("suspended", "live_again_s"))
    assert failed == []
