"""A full disk under journal and archive, fifty times each: told, covered by a gap, healed."""

from __future__ import annotations

import pytest

from support.faults import FULL, attempt_full, lacks
from support.figures import percentiles
from support.tries import run_tries


@pytest.mark.torture
@pytest.mark.skipif(bool(lacks("unshare")), reason=lacks("unshare"))
def test_a_full_disk_is_told_and_heals() -> None:
    failed = run_tries("disk full", dict.fromkeys(FULL, 50), attempt_full)
    for name in ("told_s", "live_again_s", "goes_on_s"):
        print(percentiles("disk full", name))
    assert failed == []
