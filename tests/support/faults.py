"""A full disk, a disk that does not keep, a collector that stands still: what is told and lost.

Disks are small tmpfs of a mount namespace of their own, so that no mount outlives its try; errors
of fdatasync are strace's.  Both need root and their tools: ``lacks`` says what is missing.
"""

from __future__ import annotations

import errno
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

from ordertape.roles.status import StreamReport, read_report
from ordertape.tape.reader import TapeReader
from support.arena import Arena, the_arena
from support.figures import note_figure
from support.forked import Forked, Template
from support.processes import wait_for
from support.truth import EXCHANGE, PRODUCT, Truth

__all__ = ["FULL", "attempt_full", "attempt_suspended", "attempt_sync", "failing_syncs", "lacks"]

FULL = ("journal", "journal, told by a server", "archive")
TESTS = Path(__file__).resolve().parent.parent
DISK_BYTES = 2 * 2**20
TOLD_S_MAX, HEALED_S_MAX, LIVE_S_MAX = 1.0, 10.0, 5.0


@cache
def lacks(tool: str) -> str:
    """Why a try with this tool (``unshare``, ``strace``) can't be made here; empty where it can."""
    if shutil.which(tool) is None:
        return f"{tool} is not here"
    if tool == "unshare" and os.geteuid() != 0:
        return "mounting a small disk needs root"
    tried = {
        "unshare": ["unshare", "-m", "mount", "-t", "tmpfs", "-o", "size=64k", "none", "/mnt"],
        "strace": ["strace", "-f", "-e", "inject=fdatasync:error=EIO", "true"],
    }[tool]
    ran = subprocess.run(tried, capture_output=True, text=True, check=False)
    return "" if ran.returncode == 0 else f"{tool} does not work here: {ran.stderr.strip()[-120:]}"


# A full disk --------------------------------------------------------------------------------------


def attempt_full(case: str, seed: int) -> list[str]:
    """In a process with a mount namespace of its own."""
    ran = subprocess.run(
        ["unshare", "-m", sys.executable, "-m", "support.faults", case, str(seed)],
        cwd=TESTS,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode != 0:
        return [f"{case}: {ran.stderr.strip()[-600:]}"]
    answer = json.loads(ran.stdout)
    for name, value in answer["figures"].items():
        note_figure("disk full", case, seed, name, value)
    wrong: list[str] = answer["wrong"]
    return wrong


class _Full:
    def __init__(self, arena: Arena, case: str, seed: int) -> None:
        self.arena, self.case = arena, case
        self.dice = random.Random(f"full {case} {seed}")
        self.figures: dict[str, float] = {}
        self.disk = arena.market.archive if case == "archive" else arena.data
        self.disk.mkdir(parents=True)
        size = f"size={512 * 1024 if case == 'archive' else DISK_BYTES}"
        subprocess.run(["mount", "-t", "tmpfs", "-o", size, "none", str(self.disk)], check=True)

    def run(self) -> list[str]:
        return self._archive() if self.case == "archive" else self._journal()

    def _fill(self, leave: int) -> Path:
        ballast = self.disk / "ballast"
        with ballast.open("wb") as file:
            for _ in range(100):
                free = os.statvfs(self.disk)
                size = max(4096, free.f_bavail * free.f_frsize - leave)
                try:
                    os.posix_fallocate(file.fileno(), 0, size)
                except OSError as error:
                    # Whose disk it is took some of it between the two calls.
                    if error.errno != errno.ENOSPC:
                        raise
                else:
                    return ballast
        raise AssertionError("the disk could not be filled")

    def _journal(self) -> list[str]:
        arena, dice, wrong = self.arena, self.dice, list[str]()
        told = () if self.case == "journal" else ("--control", str(arena.folder / "c.sock"))
        collector = arena.collector(*told)
        arena.wait_live(collector, events=dice.randint(20, 200))
        ballast = self._fill(dice.choice((0, 16 * 1024, 60 * 1024)))
        report = self._wait(collector, lambda r: "no room" in r.reason, 30)
        seen = time.time_ns()
        (last,) = list(TapeReader(arena.data, EXCHANGE, PRODUCT).batches())[-1:]
        self.figures["told_s"] = round((seen - last.last_ts_recv) / 1e9, 3)
        if report.state != "CONNECTING":
            wrong.append(f"the stream is {report.state} on a full disk: {report.reason}")
        if self.figures["told_s"] > TOLD_S_MAX:
            wrong.append(f"told {self.figures['told_s']} s after the last event")
        time.sleep(dice.uniform(0.2, 3.0))
        ballast.unlink()
        freed = time.monotonic()
        self._wait(collector, lambda r: r.state == "LIVE" and r.events > 0, 30)
        self.figures["live_again_s"] = round(time.monotonic() - freed, 3)
        if self.figures["live_again_s"] > HEALED_S_MAX:
            wrong.append(f"LIVE {self.figures['live_again_s']} s after there was room")
        report = self._wait(collector, lambda r: r.state == "LIVE" and r.events > 20, 30)
        if collector.stop() != 0:
            wrong.append(collector.ending())
        gaps = [m for m in TapeReader(arena.data, EXCHANGE, PRODUCT).marks() if m.kind == "gap"]
        if not any("no room" in gap.fields["reason"] for gap in gaps):
            wrong.append(f"no gap row tells of the full disk: {[g.fields for g in gaps]}")
        return wrong + arena.judge(report.synced_sequence)

    def _wait(
        self, collector: Forked, fits: Callable[[StreamReport], bool], seconds: float
    ) -> StreamReport:
        found: list[StreamReport] = []

        def there() -> bool:
            assert collector.status is None, collector.ending()
            report = read_report(self.arena.market.root)
            if report is not None and report.pid == collector.pid and fits(report):
                found.append(report)
            return bool(found)

        try:
            wait_for(there, "the report", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}: {read_report(self.arena.market.root)}") from None
        return found[-1]

    def _archive(self) -> list[str]:
        arena, wrong = self.arena, list[str]()
        collector, archiver = arena.collector(), arena.archiver()
        folder = arena.market.archive
        wait_for(lambda: any(folder.glob("events-*.parquet")), "a file of the archive")
        ballast = self._fill(0)
        wait_for(lambda: "can't write the archive" in archiver.ending(), "the archiver's complaint")
        full = arena.wait_live(collector)
        arena.wait_live(collector, events=full.events + 50)  # the archive delays no journal
        ballast.unlink()
        freed, files = time.monotonic(), len(list(folder.glob("events-*.parquet")))
        wait_for(lambda: len(list(folder.glob("events-*.parquet"))) > files, "it goes on", 30)
        self.figures["goes_on_s"] = round(time.monotonic() - freed, 3)
        if self.figures["goes_on_s"] > HEALED_S_MAX:
            wrong.append(f"archived {self.figures['goes_on_s']} s after there was room")
        for process in (collector, archiver):
            if process.stop() != 0:
                wrong.append(process.ending())
        report = arena.report_of(collector)
        assert report is not None
        return wrong + arena.judge(report.synced_sequence)


def _in_namespace(case: str, seed: int) -> None:
    with tempfile.TemporaryDirectory(prefix="ordertape-full-") as place:
        folder = Path(place)
        with Template(folder / "errors") as template:
            arena = Arena(folder, Truth(), template)
            try:
                full = _Full(arena, case, seed)
                wrong = full.run()
                sys.stdout.write(json.dumps({"wrong": wrong, "figures": full.figures}))
            finally:
                template.end()
                arena.truth.__exit__()
                subprocess.run(["umount", "-l", str(full.disk)], check=False)


# A disk that does not keep ------------------------------------------------------------------------


def failing_syncs(folder: Path, when: str = "1+") -> list[str]:
    """Before a command: its syncs of a folder fail, the nth or (``n+``) all from there on."""
    inject = f"inject=fsync:error=EIO:when={when}"
    quiet = ["strace", "-f", "-qq", "-o", os.devnull]
    return [*quiet, "-P", str(folder), "-e", "trace=fsync", "-e", inject]


def attempt_sync(case: str, seed: int) -> list[str]:
    """The nth fdatasync fails once: the collector ends, and nothing behind the last good one is
    taken for durable by the next."""
    del case
    arena, dice, wrong = the_arena(), random.Random(f"fsync {seed}"), list[str]()
    arena.next_try()
    log = arena.folder / f"strace-{seed}"
    arguments = ["-m", "ordertape.roles.collector", *arena.collector_arguments()]
    inject = f"inject=fdatasync:error=EIO:when={dice.randint(3, 25)}"
    strace = ["strace", "-f", "-qq", "-o", str(log), "-e", "trace=fdatasync", "-e", inject]
    traced = subprocess.Popen(
        [*strace, sys.executable, *arguments],
        env={**os.environ, **arena.collector_environment()},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        _, complaint = traced.communicate(timeout=180)
    finally:
        traced.kill()
    if traced.returncode != 1 or "fdatasync of" not in complaint:
        wrong.append(f"it ended with {traced.returncode}: {complaint[-300:]}")
    calls = log.read_text().splitlines()
    failed = next((n for n, call in enumerate(calls) if "EIO" in call), len(calls))
    retried = [call for call in calls[failed + 1 :] if re.search(r"fdatasync\(\d+", call)]
    if retried:
        wrong.append(f"fdatasync was tried again: {retried[:2]}")
    report = read_report(arena.market.root)
    assert report is not None
    last = 0
    for batch in TapeReader(arena.data, EXCHANGE, PRODUCT).batches():
        last = batch.last_seq
    if last != report.synced_sequence:
        wrong.append(f"{report.synced_sequence} was durable, the tape is left with {last}")
    again = arena.collector()
    arena.wait_live(again, events=10)
    if again.stop() != 0:
        wrong.append(again.ending())
    return wrong + arena.judge(report.synced_sequence)


# A collector that stands still --------------------------------------------------------------------


def attempt_suspended(case: str, seed: int) -> list[str]:
    """SIGSTOP for so many seconds (the first word of the case), then it goes on."""
    arena, dice, wrong = the_arena(), random.Random(f"suspended {seed}"), list[str]()
    arena.next_try()
    collector = arena.collector()
    before = arena.wait_live(collector, events=20)
    time.sleep(dice.uniform(0, 0.3))
    collector.kill(signal.SIGSTOP)
    stopped = time.monotonic()
    seconds = float(case.split()[0])
    wait_for(lambda: not _fresh(arena), "its report is old", seconds)
    self_s = time.monotonic() - stopped
    note_figure("suspended", case, seed, "told_s", round(self_s, 3))
    time.sleep(max(0.0, seconds - self_s))
    collector.kill(signal.SIGCONT)
    continued = time.monotonic()
    wait_for(lambda: _fresh(arena), "it reports again")
    arena.wait_live(collector, events=before.events + 20)
    live_s = round(time.monotonic() - continued, 3)
    note_figure("suspended", case, seed, "live_again_s", live_s)
    if live_s > LIVE_S_MAX:
        wrong.append(f"LIVE {live_s} s after it went on")
    if collector.stop() != 0:
        wrong.append(collector.ending())
    report = arena.report_of(collector)
    assert report is not None
    return wrong + arena.judge(report.synced_sequence)


def _fresh(arena: Arena) -> bool:
    report = read_report(arena.market.root)
    return report is not None and report.fresh


if __name__ == "__main__":
    _in_namespace(sys.argv[1], int(sys.argv[2]))
