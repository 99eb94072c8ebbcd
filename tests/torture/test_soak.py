"""The whole system for an hour under random faults: no promise broken, no memory that grows.

``ORDERTAPE_SOAK_SECONDS`` (3,600) and ``ORDERTAPE_SOAK_SEED`` say how long and which.  In the first
fifth roles are killed, too; behind that they live on, so that their memory can be measured.
"""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path

import pytest

from ordertape import limits
from ordertape.roles.demonstration import free_port
from support.postgres import installed_cluster
from support.soak import ROLES, SERVER, Soak
from support.soak_judge import judge_gaps, judge_tape
from support.soak_memory import unjudged
from support.soak_venues import MARKETS, Venues
from support.tries import record

pytestmark = pytest.mark.torture

RATE = 300
"""Events a second of the exchange: the archive's row groups, for which rows are gathered in memory,
come round several times while memory is measured."""
KILLS = 0.2
"""The part of the time in which roles are killed, too."""
WARM_UP_S = limits.detectors_warm_up_s
"""Of a life, before its memory is measured: so far back the keeper's detectors remember, and other
lists of a bounded length fill meanwhile."""
SLOPE_MAX = 1.0
"""Percent an hour."""


def test_an_hour_of_random_faults_breaks_no_promise(tmp_path: Path) -> None:
    seconds = float(os.environ.get("ORDERTAPE_SOAK_SECONDS") or 3_600)
    seed = int(os.environ.get("ORDERTAPE_SOAK_SEED") or random.randrange(10**6))
    print(f"seed {seed}, {seconds:g} s", flush=True)
    with installed_cluster() as database, Venues(seed, RATE) as venues:
        soak = Soak(tmp_path, database, venues, free_port(), seed)
        try:
            soak.begin()
            began = time.time_ns()
            _endure(soak, seconds)
            ended = time.time_ns()
            soak.end()
        finally:
            soak.close()
        losses = venues.losses()
        print(*losses, *soak.causes, sep="\n")
        figures = soak.figures()
        wrong = [*soak.wrong, *soak.clients.wrong]
        figures["gap_rows"] = figures["events"] = 0
        for exchange in MARKETS:
            found, events = judge_tape(soak.data, exchange, database.url)
            unfit, gaps = judge_gaps(soak.data, exchange, soak.causes, losses, began, ended)
            wrong += found + unfit
            figures["events"] += events
            figures["gap_rows"] += gaps
    figures["losses"] = len(losses) + sum(bool(cause.venues) for cause in soak.causes)
    figures["slopes_percent_an_hour"], figures["memory_mib"] = {}, {}
    slopes = soak.slopes(warm_up=min(WARM_UP_S, seconds / 2))
    wrong += unjudged((SERVER, *ROLES), slopes, seconds)
    for role, grown in slopes.items():
        slope, least, most = (round(value, 2) for value in grown[:3])
        figures["slopes_percent_an_hour"][role] = [slope, least, most]
        figures["memory_mib"][role] = round(grown.median / 2**20, 1)
        print(role, *(f"{size / 2**20:.2f}" for size in grown.minutes), flush=True)
        if grown.exceeds(SLOPE_MAX):
            wrong.append(
                f"memory of the {role} grows by {slope} % an hour ({least} to {most}) of "
                f"{grown.median / 2**20:.0f} MB, over {grown.hours:.2f} h"
            )
    print(json.dumps(figures), flush=True)
    record("soak", f"{seconds:g} s: {json.dumps(figures)}", seed, wrong)
    assert wrong == []


def _endure(soak: Soak, seconds: float) -> None:
    began = time.monotonic()
    pauses = (30.0, 120.0) if seconds >= 600 else (2.0, 8.0)
    while (passed := time.monotonic() - began) < seconds:
        pause = min(soak.dice.uniform(*pauses), seconds - passed)
        time.sleep(max(0.0, pause))  # nothing is awaited: the time itself is what is tried
        what = soak.fault(kills=passed < KILLS * seconds)
        print(f"{time.strftime('%H:%M:%S', time.gmtime())} {what}", flush=True)
        soak.judge_rows()
