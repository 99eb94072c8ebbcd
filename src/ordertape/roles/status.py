"""``status.json``: what a collector knows about a stream beyond its tape, written once a second.

It lies in the market's folder, is replaced whole (temporary file, then rename) and never synced:
it explains a running collector, and the next one counts gaps on from it.  The tape is the truth.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec

from ordertape import limits
from ordertape.crash_points import crash_point
from ordertape.measures import StreamMeasures
from ordertape.times import NS_PER_MILLISECOND

__all__ = ["StreamReport", "is_collected", "read_report", "report_path", "write_report"]

_NAME = "status.json"


class StreamReport(msgspec.Struct, kw_only=True):
    """One stream of a running collector; times are ns since 1970 UTC, counts since its start."""

    exchange: str
    symbol: str
    pid: int
    simulated: bool
    persist: bool = True
    snapshot_interval_seconds: int = limits.snapshot_interval_seconds_default
    data: str = ""
    """The folder under which its journal lies; one in memory where it does not persist."""
    state: str
    reason: str = ""
    era: int = 0
    first_sequence: int = 1
    """The first it could give since its start."""
    sequence: int = 0
    synced_sequence: int = 0
    orders: int = 0
    address: str = ""
    started_at: int = 0
    connected_at: int | None = None
    last_frame_at: int | None = None
    written_at: int = 0
    events: int = 0
    events_per_second: float = 0.0
    counters: dict[str, int] = {}
    integrity: dict[str, int | str | bool | None] = {}
    errors: list[str] = []
    measures: StreamMeasures = msgspec.field(default_factory=StreamMeasures)

    def age_ms(self, now_ns: int | None = None) -> int | None:
        """Milliseconds since the venue's last frame, None before the first."""
        if self.last_frame_at is None:
            return None
        return (
            max(0, (time.time_ns() if now_ns is None else now_ns) - self.last_frame_at)
            // NS_PER_MILLISECOND
        )

    @property
    def fresh(self) -> bool:
        """Whether its collector runs: it reported lately and its process is there."""
        age_ms = (time.time_ns() - self.written_at) // NS_PER_MILLISECOND
        return age_ms <= limits.status_stale_ms and Path(f"/proc/{self.pid}").exists()


def write_report(folder: Path, report: StreamReport) -> None:
    """Replaces the report in a market's folder."""
    temporary = folder / f"{_NAME}.new"
    temporary.write_bytes(msgspec.json.encode(report))
    os.replace(temporary, report_path(folder))
    crash_point("collector.reported")


def read_report(folder: Path) -> StreamReport | None:
    """The last report in a market's folder, None where there is none that can be read."""
    try:
        return msgspec.json.decode(report_path(folder).read_bytes(), type=StreamReport)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def is_collected(folder: Path) -> bool:
    """Whether the collector of a market's folder runs."""
    report = read_report(folder)
    return report is not None and report.fresh


def report_path(folder: Path) -> Path:
    """Where the report of a market's folder lies."""
    return folder / _NAME
