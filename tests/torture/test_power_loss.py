"""Five hundred power cuts: what was synced is there, what was not is cut or there, nothing else."""

from __future__ import annotations

import pytest

from support.power import CUTS, attempt_cut
from support.tries import run_tries

COUNTS = {"a recorded journal": 200, "journal and archive": 200, "a live collector": 100}


@pytest.mark.torture
def test_five_hundred_power_cuts_lose_nothing_that_was_synced() -> None:
    assert set(COUNTS) == set(CUTS)
    assert run_tries("power loss", COUNTS, attempt_cut) == []
