"""Twenty kills and a crash at a few named places; `make torture` has a thousand of the first."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from ordertape.events import EventKind
from ordertape.tape.reader import TapeReader
from support.arena import Arena, the_arena
from support.killing import attempt_kill, attempt_place
from support.tape import rows_of
from support.truth import EXCHANGE, PRODUCT, tape_against


@pytest.fixture
def arena() -> Iterator[Arena]:
    yield the_arena()
    the_arena().template.end()


def test_twenty_kills_leave_exact_tapes(arena: Arena) -> None:
    cases = ["collector"] * 12 + ["both at once"] * 4 + ["archiver"] * 4
    assert [wrong for seed, case in enumerate(cases) for wrong in attempt_kill(case, seed)] == []


@pytest.mark.parametrize(
    "place",
    ["journal.tail_cut", "journal.synced", "archiver.file_renamed", "cold.renamed"],
)
def test_a_crash_at_a_named_place_leaves_an_exact_tape(arena: Arena, place: str) -> None:
    assert attempt_place(place, 0) == []


def test_the_judge_sees_a_loss_a_lie_and_an_invention(arena: Arena) -> None:
    """A test that can't fail proves nothing: what was said is altered, the tape is as it was."""
    arena.fresh()
    collector = arena.collector()
    arena.wait_live(collector, events=100)
    assert collector.stop() == 0, collector.ending()
    assert tape_against(arena.truth, arena.data) == []
    said = arena.truth.said
    # The venue may have said much more since the collector stopped.
    rows = rows_of(TapeReader(arena.data, EXCHANGE, PRODUCT).batches())
    opened = [row for row in rows if row["kind"] == EventKind.OPEN]
    number = next(n for row in reversed(opened) if (n := row["venue_seq"]) in said)
    at, text = said[number]
    message = json.loads(text)
    said[number] = (at, json.dumps({**message, "remaining_size": "999"}).encode())
    assert "said was" in tape_against(arena.truth, arena.data)[0]
    said[number] = (at, json.dumps({**message, "type": "received"}).encode())
    assert tape_against(arena.truth, arena.data) == []  # what may be one event at most is one
    said[number] = (at, text.replace(b"open", b"match", 1).replace(b"order_id", b"maker_order_id"))
    assert "is ['OPEN'] on the tape" in tape_against(arena.truth, arena.data)[0]
    del said[number]
    assert "was never said" in tape_against(arena.truth, arena.data)[0]
    said[number] = (at, text)
    report = arena.report_of(collector)
    assert report is not None
    beyond = tape_against(arena.truth, arena.data, durable=report.sequence + 1)
    assert beyond == [f"{report.sequence + 1} was durable, the tape ends at {report.sequence}"]
