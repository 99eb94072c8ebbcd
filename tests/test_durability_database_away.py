"""A market is recorded while its database is away, slow, locked, crowded, dropped, maintained."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.database_troubles import TROUBLES, away, full, trouble
from support.postgres import InstalledServer, installed_cluster
from support.postgres_small import small_server


@pytest.fixture(scope="module")
def own_server() -> Iterator[InstalledServer]:
    with installed_cluster() as server:
        yield server


def test_a_database_that_was_away_is_caught_up_faster_than_events_come(
    own_server: InstalledServer,
) -> None:
    assert away(own_server, "2 s", 1) == []


@pytest.mark.parametrize("case", TROUBLES)
def test_every_event_is_in_the_database_once_whatever_troubles_it(
    own_server: InstalledServer, case: str
) -> None:
    assert trouble(own_server, case, 1) == []


def test_a_database_whose_disk_is_full_goes_on_when_there_is_room_again() -> None:
    with small_server() as server:
        assert full(server, "once", 1) == []
