"""``kill -9`` of collector and archiver: at random times, and at every named place."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from contextlib import closing

from ordertape.crash_points import POINTS, VARIABLE
from ordertape.roles.status import read_report
from ordertape.roles.supervisor import Role, Supervisor, Watched
from ordertape.tape.segment import SegmentReader, segments
from support.arena import Arena, the_arena
from support.figures import note_figure
from support.forked import Forked
from support.processes import wait_for

__all__ = ["KILLS", "PLACES", "attempt_kill", "attempt_place"]

KILLS = ("collector", "archiver", "both at once", "under its supervisor")
_IN_ARCHIVER = ("archiver.", "cold.")
PLACES = tuple(
    name for name in POINTS if name.startswith(("journal.", "collector.", *_IN_ARCHIVER))
)
_OFTEN = {
    "journal.frame_due": 150,
    "journal.frame_written": 150,
    "journal.sync_due": 12,
    "journal.synced": 12,
    "journal.snapshot_begun": 2,
    "journal.snapshot_written": 2,
    "journal.segment_created": 2,
    "journal.segment_allocated": 2,
    "journal.segment_begun": 2,
    "collector.reported": 60,
    "archiver.file_renamed": 3,
    "archiver.segment_gone": 2,
    "cold.written": 2,
    "cold.renamed": 2,
    "cold.plain_gone": 2,
}
"""How many times a place is met within a second or two; once, where nothing is said."""


def attempt_kill(case: str, seed: int) -> list[str]:
    """One kill at a random time; the next try goes on with what it left."""
    arena, dice = the_arena(), random.Random(f"{case} {seed}")
    arena.next_try()
    if case == "under its supervisor":
        return asyncio.run(_supervised(arena, seed, dice))
    collector = arena.collector()
    archiver = arena.archiver() if case != "collector" or dice.random() < 0.3 else None
    if dice.random() < 0.7:
        arena.wait_live(collector, events=5)
    time.sleep(dice.uniform(0.0, 0.5))
    durable = 0
    if case != "archiver":
        collector.kill()
    if case != "collector" and archiver is not None:
        archiver.kill()
        archiver.wait()
        if case == "archiver":
            again = arena.archiver()
            arena.wait_live(collector, events=20)
            # First: where it has the machine, an archiver of so small files never catches up.
            assert collector.stop() == 0, collector.ending()
            again.stop()
    if case == "archiver":
        assert collector.stop() == 0, collector.ending()
    else:
        collector.wait()
    if case == "collector" and archiver is not None:
        assert archiver.stop() == 0, archiver.ending()
    if (report := arena.report_of(collector)) is not None:
        durable = report.synced_sequence
    return arena.judge(durable)


async def _supervised(arena: Arena, seed: int, dice: random.Random) -> list[str]:
    """As people run it: fresh processes, watched and begun again; LIVE again is measured."""
    control = arena.folder / "supervised.sock"
    role = Role(
        "the collector",
        "ordertape.roles.collector",
        (*arena.collector_arguments("--control", str(control)), "--watch-parent"),
        lock=control.with_suffix(".lock"),
        environment=arena.collector_environment(),
        speaks=True,
        beats=True,
    )
    supervisor = Supervisor()
    watched = supervisor.watch(role)
    try:
        first = await _live_under(arena, watched, 0)
        await asyncio.sleep(dice.uniform(0, 0.5))
        os.kill(first, signal.SIGKILL)
        killed = time.monotonic()
        report = read_report(arena.market.root)
        durable = report.synced_sequence if report is not None else 0
        await _live_under(arena, watched, first)
        note_figure("kill", "under its supervisor", seed, "live_again_s", time.monotonic() - killed)
    finally:
        await supervisor.end()
    return arena.judge(durable)


async def _live_under(arena: Arena, watched: Watched, before: int) -> int:
    """The process that is LIVE and another than the one ``before``."""
    async with asyncio.timeout(60):
        while True:
            report = read_report(arena.market.root)
            child = watched.child
            if (
                report is not None
                and child is not None
                and report.pid == child.pid != before
                and (report.state, report.events > 0) == ("LIVE", True)
            ):
                return child.pid
            await asyncio.sleep(0.005)


def attempt_place(case: str, seed: int) -> list[str]:
    """One kill at a named place, then the roles again, LIVE, and a clean end."""
    arena, dice = the_arena(), random.Random(f"{case} {seed}")
    arena.next_try()
    asked = {VARIABLE: f"{case}:{dice.randint(1, _OFTEN.get(case, 1))}"}
    in_archiver = case.startswith(_IN_ARCHIVER)
    more = ("--cold",) if case.startswith("cold.") else ()
    if case == "journal.tail_cut":
        _tear(arena, dice)
    collector = arena.collector(**({} if in_archiver else asked))
    archiver = arena.archiver(*more, **(asked if in_archiver else {}))
    victim, other = (archiver, collector) if in_archiver else (collector, archiver)
    if case == "collector.stopping":
        arena.wait_live(collector, events=20)
        collector.kill(signal.SIGTERM)
    wait_for(lambda: victim.status is not None or other.status is not None, f"{case} is met", 120)
    if victim.status != -signal.SIGKILL:
        ended = victim if victim.status is not None else other
        return [f"{case} was not met: {ended.ending()}"]
    report = arena.report_of(collector)
    durable = report.synced_sequence if report is not None and not in_archiver else 0
    again = arena.archiver(*more) if in_archiver else arena.collector()
    live: Forked = collector if in_archiver else again
    arena.wait_live(live, events=(report.events if report and in_archiver else 0) + 10)
    for process in (live, again if in_archiver else other):
        if process.stop() != 0:
            return [f"after {case}: {process.ending()}"]
    return arena.judge(durable)


def _tear(arena: Arena, dice: random.Random) -> None:
    """A collector dies, and half a frame of it reached the disk behind what was synced."""
    collector = arena.collector()
    arena.wait_live(collector, events=5)
    collector.kill()
    collector.wait()
    last = segments(arena.market.journal)[-1]
    with closing(SegmentReader(last)) as reader:
        end = 0
        while (frame := reader.frame(end)) is not None:
            end += frame[0].length
    with open(last.path, "r+b") as file:
        file.seek(end)
        file.write(dice.randbytes(dice.randint(8, 400)))
