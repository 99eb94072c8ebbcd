"""A server in a process of its own, as people run it, for the benchmarks that ask it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np

__all__ = ["API", "quantiles", "serving", "started"]

API = "/api/v1/orderbook-heatmap/level3"
_TOP = Path(__file__).resolve().parent.parent


@contextmanager
def started(
    folder: Path, environment: Mapping[str, str]
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """(address, process) of a server of ``folder/data``, once it listens."""
    log = folder / "uvicorn.log"
    command = [sys.executable, "-m", "uvicorn", "app.main:app", "--port", "0"]
    settings = {"ORDERTAPE_DATA": str(folder / "data"), "ORDERTAPE_LOGS": str(folder / "logs")}
    with log.open("w") as output:
        server = subprocess.Popen(
            [*command, "--no-access-log"],
            cwd=_TOP,
            env={**os.environ, **environment, **settings},
            stdout=output,
            stderr=output,
        )
    try:
        while (found := re.search(r"running on (http://\S+)", log.read_text())) is None:
            if server.poll() is not None:
                raise SystemExit(log.read_text())
            time.sleep(0.01)
        yield found[1], server
    finally:
        server.terminate()
        server.wait(30)


@contextmanager
def serving(folder: Path, environment: Mapping[str, str]) -> Iterator[tuple[str, float]]:
    """(address, ms from its start to the first answer) of a server of ``folder/data``."""
    begun = time.perf_counter()
    with started(folder, environment) as (address, _):
        httpx.get(f"{address}{API}/streams").raise_for_status()
        yield address, (time.perf_counter() - begun) * 1000


def quantiles(
    values: Sequence[float] | np.ndarray[tuple[int], np.dtype[np.float64]],
) -> dict[str, float]:
    """Median and 99th percentile."""
    return {f"p{q}": round(float(np.quantile(values, q / 100)), 1) for q in (50, 99)}
