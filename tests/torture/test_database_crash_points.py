"""The keeper killed at every named place of follower and housekeeping, fifty times each."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from support.database_crashes import PLACES, crash_at
from support.forked import Template
from support.postgres import InstalledServer, installed_cluster
from support.tries import run_tries

pytestmark = pytest.mark.torture


@pytest.fixture(scope="module")
def own_server() -> Iterator[InstalledServer]:
    with installed_cluster() as server:
        yield server


def test_a_crash_at_every_named_place_leaves_every_event_in_the_database_once(
    own_server: InstalledServer, tmp_path: Path
) -> None:
    with Template(tmp_path) as template:
        attempt = partial(crash_at, own_server, template)
        assert run_tries("database crash point", dict.fromkeys(PLACES, 50), attempt) == []
