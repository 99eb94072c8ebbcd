"""What tries measured, a line a figure, beside the lines that say whether they passed."""

from __future__ import annotations

import json
from pathlib import Path

from support.tries import tries_file

__all__ = ["figures_file", "note_figure", "percentiles"]


def figures_file() -> Path:
    return tries_file().with_name("figures.jsonl")


def note_figure(campaign: str, case: str, seed: int, name: str, value: float) -> None:
    """One write, so that campaigns beside each other never mix their lines."""
    line = {"campaign": campaign, "case": case, "seed": seed, "figure": name, "value": value}
    figures_file().parent.mkdir(parents=True, exist_ok=True)
    with figures_file().open("a") as file:
        file.write(json.dumps(line, separators=(",", ":")) + "\n")


def percentiles(campaign: str, name: str) -> str:
    """Median, 99th percentile and highest of a figure over all its tries, in words."""
    values = []
    if figures_file().exists():
        for line in figures_file().read_text().splitlines():
            found = json.loads(line)
            if (found["campaign"], found["figure"]) == (campaign, name):
                values.append(found["value"])
    if not values:
        return f"{campaign}, {name}: nothing measured"
    values.sort()
    median, p99 = values[len(values) // 2], values[min(len(values) - 1, len(values) * 99 // 100)]
    return f"{campaign}, {name}: n {len(values)}, p50 {median}, p99 {p99}, max {values[-1]}"
