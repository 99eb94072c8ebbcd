"""A collected market as it is opened."""

from __future__ import annotations

from pathlib import Path

import pytest
import structlog.testing

from ordertape.roles.markets import MarketOpener
from ordertape.settings import load_settings
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter
from ordertape.tape.segment import segments
from ordertape.venues.registry import venue_of
from support.tape import Market


def test_damage_that_a_restart_finds_on_a_tape_is_told_in_the_log(tmp_path: Path) -> None:
    folder = MarketFolder(tmp_path, "bitfinex", "BTC/USDT")
    with JournalWriter(folder) as writer:
        for batch in Market().messages(8, clear_every=8):
            writer.append(batch)
            writer.sync()
    (segment,) = segments(folder.journal)
    content = bytearray(segment.path.read_bytes())
    content[len(content) // 2] ^= 1
    segment.path.write_bytes(content)
    settings = load_settings(data=tmp_path)
    with structlog.testing.capture_logs() as told:
        MarketOpener(settings, venue_of("bitfinex"), pytest.fail).open("BTC/USDT").close()
    damage = [entry for entry in told if entry["event"] == "L3_tape_damaged"]
    assert len(damage) == 1
    assert "the journal is damaged" in damage[0]["reason"]
