"""What was measured: rows, their table, ``results.json`` and the table of docs/benchmarks.md."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.table import Table

from bench.measure import Sample

__all__ = [
    "BenchmarkFailed",
    "Row",
    "Skipped",
    "machine",
    "markdown",
    "merged",
    "read_results",
    "renewed_page",
    "table",
    "write_results",
]

_TABLE = re.compile(r"(?<=<!-- results -->\n).*?(?=<!-- end -->)", re.DOTALL)


class BenchmarkFailed(Exception):
    """A benchmark's own check failed; the text is one sentence."""


@dataclass(frozen=True)
class Row:
    """One figure.  ``ratio`` is ours to what it is compared with, or theirs to ours where the
    figure asked for says "as fast"; ``asked`` is that figure in words and ``met`` its answer."""

    name: str
    value: float
    unit: str
    compared_with: str | None = None
    ratio: float | None = None
    asked: str | None = None
    met: bool | None = None
    low: float | None = None
    high: float | None = None
    machine: str = ""

    @staticmethod
    def of(name: str, sample: Sample, unit: str, **fields: Any) -> Row:
        """The median of a sample with its range."""
        return Row(name, sample.median, unit, low=sample.low, high=sample.high, **fields)

    def rounded(self) -> Row:
        """As the files have it: four digits."""
        return replace(
            self,
            value=_digits(self.value),
            ratio=None if self.ratio is None else _digits(self.ratio),
            low=None if self.low is None else _digits(self.low),
            high=None if self.high is None else _digits(self.high),
        )

    def at_most(self, limit: float, asked: str | None = None) -> Row:
        """With the figure asked for: a value of at most ``limit``."""
        asked = asked or f"≤ {number(limit)} {self.unit}"
        return replace(self, asked=asked, met=self.value <= limit)

    def at_least(self, limit: float) -> Row:
        asked = f"≥ {number(limit)} {self.unit}"
        return replace(self, asked=asked, met=self.value >= limit)

    def ratio_at_most(self, limit: float, asked: str | None = None) -> Row:
        if self.ratio is None:
            return self
        return replace(self, asked=asked or f"≤ {limit:g} ×", met=self.ratio <= limit)

    def times_as_fast(self, limit: float) -> Row:
        if self.ratio is None:
            return self
        return replace(self, asked=f"≥ {limit:g} × as fast", met=self.ratio >= limit)


@dataclass(frozen=True)
class Skipped:
    """What could not be measured here, and why."""

    name: str
    reason: str


def number(value: float) -> str:
    """Three digits or more: 0.61, 12.5, 350, 1,234,567."""
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def machine() -> str:
    """The machine in one line: cores, processor, system, Python."""
    model = platform.machine()
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.M)
        model = found[1].strip() if found else model
    except OSError:
        pass  # not Linux: the architecture has to do
    system = f"{platform.system()} {platform.release().split('-')[0]}"
    return f"{os.cpu_count()} × {model}, {system}, Python {platform.python_version()}"


def _digits(value: float) -> float:
    return float(f"{value:.4g}")


# The terminal -------------------------------------------------------------------------------------


def table(rows: Sequence[Row], skipped: Sequence[Skipped] = ()) -> Table:
    """The rows as they are shown in a terminal."""
    shown = Table(title="ordertape, measured here", title_justify="left", pad_edge=False)
    for heading in ("what", "asked", "measured", "min-max", "compared with", "ratio", "met"):
        right = heading in ("measured", "min-max", "ratio")
        shown.add_column(heading, justify="right" if right else "left", overflow="fold")
    for row in rows:
        shown.add_row(*_cells(row), style="red" if row.met is False else None)
    for gap in skipped:
        shown.add_row(gap.name, "", "skipped", "", gap.reason, "", "", style="dim")
    return shown


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.name,
        row.asked or "",
        f"{number(row.value)} {row.unit}",
        "" if row.low is None or row.high is None else f"{number(row.low)}-{number(row.high)}",
        row.compared_with or "",
        "" if row.ratio is None else f"{row.ratio:.2f} ×",
        {True: "yes", False: "NO", None: ""}[row.met],
    )


# Files --------------------------------------------------------------------------------------------


def read_results(path: Path) -> list[Row]:
    """The rows of a ``results.json``, none where there is no such file."""
    if not path.exists():
        return []
    return [
        Row(**{_FROM_FILE.get(name, name): value for name, value in fields.items()})
        for fields in json.loads(path.read_text(encoding="utf-8"))
    ]


def merged(old: Sequence[Row], new: Sequence[Row]) -> list[Row]:
    """The old rows in their order, each replaced by the new one of its name; then the others."""
    fresh = {row.name: row for row in new}
    kept = [fresh.pop(row.name, row) for row in old]
    return [*kept, *fresh.values()]


def write_results(path: Path, rows: Sequence[Row]) -> None:
    """``[{name, value, unit, compared_with, ratio, machine, asked, met, min, max}]``"""
    path.parent.mkdir(parents=True, exist_ok=True)
    texts = (json.dumps(_fields(row.rounded()), ensure_ascii=False, indent=1) for row in rows)
    lines = ",\n".join(texts)
    path.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


_FROM_FILE = {"min": "low", "max": "high"}


def _fields(row: Row) -> dict[str, Any]:
    return {
        "name": row.name,
        "value": row.value,
        "unit": row.unit,
        "compared_with": row.compared_with,
        "ratio": row.ratio,
        "machine": row.machine,
        "asked": row.asked,
        "met": row.met,
        "min": row.low,
        "max": row.high,
    }


def markdown(rows: Sequence[Row]) -> str:
    """The rows as a table of a page, under the machines they were measured on."""
    machines = "; ".join(dict.fromkeys(row.machine for row in rows))
    lines = [
        f"Measured on {machines}.",
        "",
        "| what | asked | measured | min-max | compared with | ratio | met |",
        "|---|---|---:|---:|---|---:|---|",
    ]
    lines += [f"| {' | '.join(_cells(row.rounded()))} |" for row in rows]
    return "\n".join(lines)


def renewed_page(page: str, rows: Sequence[Row]) -> str:
    """The page with its table as the rows have it."""
    if len(_TABLE.findall(page)) != 1:
        raise BenchmarkFailed("expected one `<!-- results -->` and its `<!-- end -->` in the page")
    text = f"{markdown(rows)}\n"
    return _TABLE.sub(lambda _: text, page)
