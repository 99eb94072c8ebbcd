"""The fault matrix over both venues in virtual time.

``make test`` tries each row with a few seeds, `test_counts.py` with as many as are promised.
"""

from __future__ import annotations

import pytest

from campaign.rows import ROWS, attempt

SEEDS = 6
"""Of each row and venue: 200 tries and more together."""

TRIES = [
    pytest.param(name, venue, seed, id=f"{name} {venue} {seed}")
    for name, (_, venues) in ROWS.items()
    for venue in venues
    for seed in range(SEEDS)
]


@pytest.mark.parametrize(("name", "venue", "seed"), TRIES)
def test_whatever_goes_wrong_the_book_is_the_venues_and_every_loss_is_told(
    name: str, venue: str, seed: int
) -> None:
    assert attempt(name, venue, seed) == []


def test_every_row_is_tried_in_two_hundred_tries_or_more() -> None:
    assert len(TRIES) >= 200
    numbers = {name.split()[0] for name in ROWS}
    assert {str(n) for n in (*range(1, 16), *range(17, 22))} <= numbers


def test_the_same_seed_goes_the_same_way_twice() -> None:
    from campaign.rows import last_world

    ways = []
    for _ in range(2):
        attempt("5 gap", "coinbase", 3)
        world = last_world()
        ways.append((world.stream.counters, world.plan.log, world.stream.book.digest()))
    assert ways[0] == ways[1]
