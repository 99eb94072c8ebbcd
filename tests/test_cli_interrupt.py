"""One Ctrl-C ends an export at once, in a sentence, and leaves no half file."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ordertape._engine import NULL, EventBatch
from ordertape.events import NO_SIDE, EventKind
from ordertape.tape.exports import (
    Range,
    export_csv,
    export_hftbacktest,
    export_lobster,
    export_parquet,
)
from ordertape.tape.imports import import_batches
from support.processes import wait_for

MARKET = ("venue", "A/B")
ROWS = 1_500_000
SLICE = 100_000


def part(first: int) -> EventBatch:
    """Orders that come and go at once, in cents and satoshis."""
    seq = np.arange(first, first + SLICE)
    columns: dict[str, Any] = {
        "kind": np.where(seq % 2 == 0, EventKind.OPEN, EventKind.DONE).astype(np.uint8),
        "side": (seq // 2 % 2).astype(np.uint8),
        "price": 1_000_000 + seq // 2 * 7919 % 50_000 + seq // 2 % 2 * 60_000,
        "size": 1 + seq // 2 * 104_729 % 10**9,
    }
    if first == 1:
        columns["kind"][0], columns["side"][0] = EventKind.CLEAR, NO_SIDE
        columns["price"][0] = columns["size"][0] = NULL
    return EventBatch.from_arrays(
        **columns,
        order_id=(seq // 2).astype(np.uint64),
        ts_recv=1_792_022_400_000_000_000 + seq * 1_000,
        seq=seq,
        price_scale=2,
        size_scale=8,
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tape")
    (folder / "source").write_text("events")
    parts = (part(first) for first in range(1, ROWS, SLICE))
    import_batches(folder / "data", *MARKET, parts, folder / "source")
    return folder / "data"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_ctrl_c_ends_an_export_in_a_sentence(
    number: signal.Signals, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "ordertape", "export", "csv", *MARKET, "--data", str(data)]
    with subprocess.Popen(
        [*command, "--out", str(out)], stderr=subprocess.PIPE, text=True, cwd=tmp_path
    ) as running:
        wait_for(lambda: any(p.stat().st_size for p in out.glob(".*.part")), "a file begun")
        begun = time.monotonic()
        running.send_signal(number)
        _, err = running.communicate(timeout=120)
    assert (running.returncode, err) == (130, "ordertape: interrupted: nothing was written\n")
    assert not out.exists()
    # A second is promised on a machine that does nothing else; a swallowed one took all of them.
    assert time.monotonic() - begun < 5


class Ended(Exception):
    """What an interrupted check raises."""


def check_after(calls: int) -> tuple[Callable[[], None], list[int]]:
    """A check that goes on so many times."""
    made = [0]

    def check() -> None:
        made[0] += 1
        if made[0] > calls:
            raise Ended

    return check, made


@pytest.mark.parametrize("export", [export_csv, export_parquet, export_lobster, export_hftbacktest])
def test_an_export_asks_whether_it_goes_on_and_leaves_nothing_where_it_does_not(
    export: Callable[..., list[Path]], data: Path, tmp_path: Path
) -> None:
    span = Range(data, *MARKET, None, 1_792_022_400_000_000_000 + 20_000_000)
    _, made = whole = check_after(10**9)
    assert export(Range(span.data, *MARKET, None, span.end, whole[0]), tmp_path / "whole")
    assert made[0] > 0
    check, _ = check_after(made[0] - 1)
    with pytest.raises(Ended):
        export(Range(span.data, *MARKET, None, span.end, check), tmp_path / "half")
    assert not (tmp_path / "half").exists()
