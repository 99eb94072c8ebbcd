"""``kill -9`` of API, database, collector and keeper together: exact tapes, rows once, LIVE again.

``make test`` does the first once (tests/test_durability_together.py).
"""

from __future__ import annotations

import pytest

from support.together import AT_ONCE, kill_together
from support.together_places import PLACES, die_at
from support.tries import run_tries

pytestmark = pytest.mark.torture


def test_everything_killed_together_goes_on_without_a_loss_two_hundred_times() -> None:
    assert run_tries("together", {AT_ONCE: 200}, kill_together) == []


def test_a_server_that_dies_at_a_named_place_leaves_everything_as_it_was() -> None:
    assert run_tries("server crash point", dict.fromkeys(PLACES, 50), die_at) == []
