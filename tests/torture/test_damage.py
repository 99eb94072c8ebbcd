"""A bit that flips, a file that ends early: found two hundred times of two hundred each."""

from __future__ import annotations

import pytest

from support.damage import DAMAGES, attempt_damage
from support.tries import run_tries


@pytest.mark.torture
def test_every_flipped_bit_and_torn_file_is_found() -> None:
    assert run_tries("damage", dict.fromkeys(DAMAGES, 200), attempt_damage) == []
