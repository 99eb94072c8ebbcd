"""``kill -9`` of collector and archiver at random times: what was durable is there, once.

Every tape is held to what the venue said, message by message, and its books to the exchange's own.
"""

from __future__ import annotations

import pytest

from support.figures import percentiles
from support.killing import KILLS, attempt_kill
from support.tries import run_tries

COUNTS = {"collector": 1_000, "archiver": 200, "both at once": 200, "under its supervisor": 100}


@pytest.mark.torture
def test_a_thousand_kills_leave_exact_tapes() -> None:
    assert set(COUNTS) == set(KILLS)
    failed = run_tries("kill", COUNTS, attempt_kill)
    print(percentiles("kill", "live_again_s"))
    assert failed == []
