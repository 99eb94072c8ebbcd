"""All tapes of a score sheet, made and judged by several processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Final

from ordertape.evaluation.baselines import Baseline, QuickCancel, RefillCount, ZScore
from ordertape.evaluation.judge import Verdict, judge
from ordertape.evaluation.plan import TapePlan
from ordertape.evaluation.scores import Score
from ordertape.evaluation.tapes import MadeTape, made, remove_halves
from ordertape.evaluation.truth import KINDS, Finding, Truth
from ordertape.evaluation.walking import Walked, detectors_of, walk

__all__ = ["OURS", "Judged", "Wrong", "judge_tape", "judge_tapes"]

OURS: Final = ""
"""Who found it, where it is the engine's detectors."""
_NS_PER_MS: Final = 1_000_000
_WRONG_MAX: Final = 200
"""Of one tape and kind, so many are told one by one."""


@dataclass(slots=True)
class Wrong:
    """A finding that is false, or an episode that was missed; ``about``: whose orders a false one
    names, where it is an episode's of another kind."""

    kind: str
    finding: Finding | None
    truth: Truth | None
    about: str = ""


@dataclass(slots=True)
class Judged:
    """One tape.  ``scores`` by (finder, kind); ``truths`` of the tape's kind, each with whether it
    was found; ``others``: how many episodes of the tape's kind each other kind told of;
    ``wrong``: ours alone; ``parts``: the names of what speaks for and against, by kind."""

    plan: TapePlan
    events: int
    scores: dict[tuple[str, str], Score]
    truths: list[tuple[Truth, bool]] = field(default_factory=list)
    others: dict[str, int] = field(default_factory=dict)
    wrong: list[Wrong] = field(default_factory=list)
    parts: dict[str, tuple[list[str], list[str]]] = field(default_factory=dict)


def judge_tapes(
    plans: Sequence[TapePlan],
    folder: Path,
    parameters: Mapping[str, float],
    *,
    workers: int,
    progress: Callable[[int, int], None],
    baselines: bool = True,
) -> list[Judged]:
    """In the order of the plans.  ``progress`` is told how many are done, of how many."""
    done: dict[int, Judged] = {}
    if workers == 1:
        for place, plan in enumerate(plans):
            done[place] = judge_tape(plan, folder, parameters, baselines)
            progress(len(done), len(plans))
        return [done[place] for place in range(len(plans))]
    others = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin_worker) as pool:
        waiting: dict[Future[Judged], int] = {
            pool.submit(judge_tape, plan, folder, dict(parameters), baselines): place
            for place, plan in enumerate(plans)
        }
        try:
            for future in as_completed(waiting):
                done[waiting[future]] = future.result()
                progress(len(done), len(plans))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            _end(set(multiprocessing.active_children()) - others, folder)
            raise
    return [done[place] for place in range(len(plans))]


def _begin_worker() -> None:
    """Ctrl-C reaches everybody at a terminal; only who leads answers it, and ends the others.
    Where who leads is killed, a worker ends by itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_outlive_nobody, daemon=True).start()


def _outlive_nobody() -> None:
    leader = multiprocessing.parent_process()
    if leader is not None:
        leader.join()
        os._exit(1)


def _end(workers: Iterable[BaseProcess], folder: Path) -> None:
    """Ends them where they are, and removes the halves of tapes that they leave."""
    for worker in workers:
        worker.kill()
    for worker in workers:
        worker.join()
        remove_halves(folder, worker.pid)


def judge_tape(
    plan: TapePlan, folder: Path, parameters: Mapping[str, float], baselines: bool = True
) -> Judged:
    """Makes a tape where it is missing, walks it, judges what was found."""
    tape = made(plan, folder, lambda _share: None)
    rules: list[Baseline] = [QuickCancel(), ZScore(), RefillCount()] if baselines else []
    walked = walk(tape.batches(), detectors_of(parameters), rules)
    return judged_of(tape, walked)


def judged_of(tape: MadeTape, walked: Walked) -> Judged:
    """What was found on a tape, judged: of its own kind, or alarms of all kinds where it is
    clean."""
    kind, told = tape.plan.kind, Judged(tape.plan, walked.events, {})
    for finder, findings in walked.findings.items():
        for judged in KINDS if kind is None else (kind,):
            mine = [truth for truth in tape.truths if truth.kind == judged]
            verdict = judge(mine, [f for f in findings if f.kind == judged], walked.volumes)
            hours = tape.seconds / 3600 if kind is None else 0.0
            told.scores[finder, judged] = _score(verdict, hours, clean=kind is None)
            if finder == OURS:
                told.wrong += _wrong(judged, verdict, tape.truths, clean=kind is None)
                if kind is not None:
                    found = {id(truth) for truth, _ in (*verdict.hits, *verdict.aside)}
                    told.truths = [(truth, id(truth) in found) for truth in mine]
        if finder == OURS:
            told.parts = _parts(findings)
        if finder == OURS and kind is not None:
            told.others = _others(tape, kind, findings, walked)
    return told


def _parts(findings: Sequence[Finding]) -> dict[str, tuple[list[str], list[str]]]:
    return {
        finding.kind: (list(finding.detail["evidence"]), list(finding.detail["against"]))
        for finding in findings
        if finding.detail is not None
    }


def _score(verdict: Verdict, hours: float, *, clean: bool) -> Score:
    if clean:
        return Score(alarms=len(verdict.false), hours=hours)
    delays = [max(0, finding.told - truth.defined) / _NS_PER_MS for truth, finding in verdict.hits]
    scored = [(finding.score, True) for _, finding in verdict.hits]
    scored += [(finding.score, False) for finding in verdict.false]
    return Score(
        *(len(verdict.hits), len(verdict.false), len(verdict.missed), len(verdict.aside)),
        delays=delays,
        scored=scored,
    )


def _wrong(kind: str, verdict: Verdict, truths: Sequence[Truth], *, clean: bool) -> list[Wrong]:
    names = {order: truth for truth in truths for order in truth.orders}
    false = []
    for finding in verdict.false[:_WRONG_MAX]:
        about = {names[order].kind for order in finding.orders if order in names}
        false.append(Wrong(kind, finding, None, ", ".join(sorted(about))))
    if clean:
        return false
    return false + [Wrong(kind, None, truth) for truth in verdict.missed[:_WRONG_MAX]]


def _others(
    tape: MadeTape, kind: str, findings: Sequence[Finding], walked: Walked
) -> dict[str, int]:
    counted = [truth for truth in tape.truths if truth.kind == kind and truth.counted]
    told = {}
    for other in KINDS:
        if other != kind:
            verdict = judge(counted, [f for f in findings if f.kind == other], walked.volumes)
            told[other] = len(verdict.hits)
    return told


def workers_at_most() -> int:
    """As many processes as there are processors for us."""
    return max(1, len(os.sched_getaffinity(0)))
