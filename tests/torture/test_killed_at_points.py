"""A crash at every named place of the collector, its journal and the archiver, fifty times each."""

from __future__ import annotations

import pytest

from support.killing import PLACES, attempt_place
from support.tries import run_tries


@pytest.mark.torture
def test_a_crash_at_every_named_place_leaves_exact_tapes() -> None:
    assert run_tries("crash point", dict.fromkeys(PLACES, 50), attempt_place) == []
