"""Places to crash at: each stands in the code once, and kills when it is asked to, then only."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from ordertape import crash_points
from support import database_crashes, killing, together_places

PACKAGE = Path(crash_points.__file__).parent
CALL = re.compile(r'crash_point\(\s*"([a-z_.]+)"\s*\)')
MEETS = "from ordertape.crash_points import crash_point as meet\nmeet('a'); meet('b'); meet('a')"


def test_every_named_place_stands_in_the_code_exactly_once() -> None:
    there = [name for path in PACKAGE.rglob("*.py") for name in CALL.findall(path.read_text())]
    assert sorted(there) == sorted(crash_points.POINTS)


def test_every_named_place_is_one_of_a_counted_campaign() -> None:
    tried = [*killing.PLACES, *database_crashes.PLACES, *together_places.PLACES]
    assert sorted(tried) == sorted(crash_points.POINTS)


def run_with(asked: str) -> int:
    environment = {**os.environ, crash_points.VARIABLE: asked}
    return subprocess.run([sys.executable, "-c", MEETS], env=environment, check=False).returncode


def test_a_process_kills_itself_at_the_nth_time_it_meets_the_place() -> None:
    assert run_with("a") == run_with("b") == run_with("a:2") == -signal.SIGKILL
    assert run_with("a:3") == run_with("c") == run_with("") == 0
