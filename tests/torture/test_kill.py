"""``kill -9`` of the collector at random times: the tape verifies, nothing synced is missing.

``make test`` kills three times, ``make torture`` fifty times in a row, each collector going on
with the tape of the one before.
"""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from ordertape.roles.children import Child
from ordertape.tape.folder import MarketFolder
from ordertape.tape.reader import TapeReader
from ordertape.tape.verify import verify
from support.processes import (
    SYMBOL,
    report_of,
    simulated_venue,
    start_collector,
    wait_for,
    wait_live,
)

MARKET = "bitfinex"


def test_a_tape_survives_three_kills(tmp_path: Path) -> None:
    campaign(tmp_path / "data", kills=3, seed=3)


@pytest.mark.torture
def test_a_tape_survives_fifty_kills(tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    campaign(tmp_path / "data", kills=50, seed=seed)


def campaign(data: Path, kills: int, seed: int) -> None:
    """Kills so many collectors in a row, each while it records; a keeper archives meanwhile."""
    dice = random.Random(seed)
    keeper = Child(
        "the keeper",
        "ordertape.roles.keeper",
        ["--data", str(data), "--watch-parent"],
        {"ORDERTAPE_LOGS": str(data.parent / "logs")},
    )
    try:
        with simulated_venue(rate=2_000) as environment:
            synced = 0
            for number in range(kills):
                synced = max(synced, one_kill(data, environment, dice))
                check(data, synced, f"kill {number + 1} of {kills}, seed {seed}")
            survivor = start_collector(data, environment)
            report = wait_live(data, survivor, events=100)
            assert report.sequence > synced
            assert survivor.stop() == 0
            check(data, report.synced_sequence, f"after {kills} kills, seed {seed}")
    finally:
        assert keeper.stop() == 0, keeper.ending()
    check(data, synced, "after the keeper's last round")


def one_kill(data: Path, environment: dict[str, str], dice: random.Random) -> int:
    """The highest seq that the killed collector had called durable."""
    collector = start_collector(data, environment)
    if dice.random() < 0.3:
        # Anywhere in its start: opening, recovering, connecting, syncing.
        wait_for(lambda: report_of(data, collector) is not None, "the first report")
    else:
        wait_live(data, collector)
    time.sleep(dice.uniform(0.0, 0.5))
    os.kill(collector.pid, signal.SIGKILL)
    assert collector.stop() == -signal.SIGKILL
    report = report_of(data, collector)
    assert report is not None
    return report.synced_sequence


def check(data: Path, synced: int, when: str) -> None:
    folder = MarketFolder(data, MARKET, SYMBOL)
    with folder.writing():
        pass  # the lock of the dead is free
    report = verify(data, MARKET, SYMBOL)
    assert report.equal, f"{when}: {report}"
    last = 0
    for batch in TapeReader(data, MARKET, SYMBOL).batches():
        assert batch.first_seq in (last, last + 1), f"{when}: {last} then {batch.first_seq}"
        last = batch.last_seq
    assert last >= synced, f"{when}: {synced} was durable, the tape ends at {last}"
