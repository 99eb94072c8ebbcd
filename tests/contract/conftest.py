"""What the tests of the contract share: one server, and every event of its finished tape."""

from __future__ import annotations

from typing import Any

import pytest

from ordertape import EventBatch
from ordertape.events import Flag
from support.served import Served


@pytest.fixture(scope="module")
def server(served: Served) -> Served:
    """A server whose market is LIVE."""
    served.begin()
    return served


@pytest.fixture(scope="module")
def rows(server: Served) -> list[dict[str, Any]]:
    """Every event of the finished tape, as the engine shows it."""
    everything = EventBatch.concat(server.batches)
    found = (everything[at] for at in range(len(everything)))
    return [row for row in found if not row["flags"] & Flag.SNAPSHOT]
