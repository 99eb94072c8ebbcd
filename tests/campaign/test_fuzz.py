"""A million spoilt texts a venue: nothing crashes, nothing wrong is applied, every refusal is told.

``make test`` tries some hundred of them, ``make torture`` 100 seeds of 10,000 a venue.
"""

from __future__ import annotations

import os
import random

import pytest

from campaign.fuzz import FRAMES, attempt
from campaign.mutations import mutated
from support.tries import run_tries

SEEDS = 100
VENUES = ("bitfinex", "coinbase")


@pytest.mark.parametrize("venue", VENUES)
@pytest.mark.parametrize("seed", [1_000, 1_001])
def test_a_spoilt_text_leaves_a_book_that_a_judge_allows_or_a_gap(venue: str, seed: int) -> None:
    assert attempt(venue, seed, frames=400) == []


def test_a_spoilt_text_is_another_and_the_same_seed_spoils_alike() -> None:
    text = b'[17,"te",[400000001,1700000001198,-0.4104172,39997.5],14,1700000001198]'
    ways = [[mutated(text, random.Random(seed)) for seed in range(500)] for _ in range(2)]
    assert ways[0] == ways[1]
    assert text not in ways[0]
    assert len(set(ways[0])) > 300


@pytest.mark.torture
def test_a_million_spoilt_texts_a_venue() -> None:
    assert SEEDS * FRAMES >= 1_000_000
    counts = dict.fromkeys(VENUES, SEEDS)
    assert run_tries("fuzz", counts, attempt, workers=os.cpu_count() or 1) == []
