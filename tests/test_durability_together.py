"""API, database, collector and keeper killed at once; `make torture` does so two hundred times."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.together import AT_ONCE, Together, kill_together, the_world


@pytest.fixture
def world() -> Iterator[Together]:
    yield the_world()
    the_world().end()
    the_world.cache_clear()


@pytest.mark.usefixtures("world")
def test_everything_killed_at_once_goes_on_without_a_loss() -> None:
    assert kill_together(AT_ONCE, 0) == []
