"""PostgreSQL away for a minute and for ten, slow, locked, crowded, dropped, maintained, migrated.

``make test`` does each once, the first for three seconds (tests/test_durability_database_away.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from support.database_troubles import TROUBLES, away, full, trouble
from support.postgres import InstalledServer, installed_cluster
from support.postgres_small import small_server
from support.tries import run_tries

pytestmark = pytest.mark.torture


@pytest.fixture(scope="module")
def own_server() -> Iterator[InstalledServer]:
    with installed_cluster() as server:
        yield server


def test_what_troubles_the_database_loses_and_doubles_nothing(own_server: InstalledServer) -> None:
    counts = dict.fromkeys(TROUBLES, 50)
    assert run_tries("database trouble", counts, partial(trouble, own_server)) == []


def test_a_database_that_was_away_is_caught_up_at_three_times_the_live_rate(
    own_server: InstalledServer,
) -> None:
    counts = {"60 s": 10, "600 s": 2}
    assert run_tries("database away", counts, partial(away, own_server)) == []


def test_a_database_whose_disk_is_full_goes_on_when_there_is_room_again() -> None:
    with small_server() as server:
        counts = {"rows or log find no room": 50}
        assert run_tries("database disk full", counts, partial(full, server)) == []
