"""Events that wait: for a row group of the archive, for a reader that comes back."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from ordertape._engine import EventBatch
from ordertape.broadcast.ring import Ring
from ordertape.errors import TapeCorrupt
from ordertape.tape.archive_files import ArchivedMark, last_file
from ordertape.tape.archive_writer import ArchiveWriter
from ordertape.tape.folder import MarketFolder
from ordertape.tape.joined import joined
from ordertape.tape.marks import Mark
from ordertape.tape.reader import TapeReader
from ordertape.tape.segment import Position
from ordertape.tape.waiting import WaitingMarks, WaitingRows
from support.tape import START, Market, rows_of

APART = 4
EVENTS = 100_000
MIB_MAX = 12
"""Of batches of an event each; as they came they would take eighty."""


@pytest.fixture(autouse=True)
def few_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ordertape.limits.archive_waiting_batches_max", APART)
    monkeypatch.setattr("ordertape.limits.archive_waiting_marks_max", APART)
    monkeypatch.setattr("ordertape.limits.live_batches_apart_max", APART)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("codec", ["int", "uuid", "intern"])
def test_rows_that_were_laid_down_come_back_as_they_were(tmp_path: Path, codec: str) -> None:
    batches = list(Market(codec).messages(60))
    waiting, files = WaitingRows(tmp_path), open_files()
    for nth, batch in enumerate(batches, 1):
        waiting.append(batch)
        assert len(waiting) == sum(map(len, batches[:nth]))
        assert waiting.last_ts_recv == batch.last_ts_recv
    assert waiting.scales == (batches[-1].price_scale, batches[-1].size_scale)
    assert open_files() == files + 1
    assert list(tmp_path.iterdir()) == [], "nobody else sees the file"
    taken = waiting.take()
    assert len(taken) < len(batches) / 3
    assert rows_of(taken) == rows_of(batches)
    assert open_files() == files
    assert len(waiting) == 0
    waiting.append(batches[0])
    assert rows_of(waiting.take()) == rows_of(batches[:1])


def test_few_batches_of_many_rows_are_laid_down_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ordertape.limits.archive_waiting_rows_max", 40)
    batch = EventBatch.concat(list(Market().messages(40)))
    assert len(batch) >= 40
    waiting, files = WaitingRows(tmp_path), open_files()
    waiting.append(batch)
    assert open_files() == files
    waiting.append(batch[:1])
    assert open_files() == files + 1
    assert rows_of(waiting.take()) == [*rows_of([batch]), *rows_of([batch[:1]])]


def test_marks_that_were_laid_down_come_back_up_to_an_event(tmp_path: Path) -> None:
    marks = [
        ArchivedMark(nth // 2, Position(1, nth), Mark("state", nth, START + nth, {"to": f"{nth}"}))
        for nth in range(40)
    ]
    waiting, files = WaitingMarks(tmp_path), open_files()
    for mark in marks:
        waiting.append(mark)
    assert open_files() == files + 1
    assert waiting.take(13) == marks[:28]
    assert waiting.take(13) == []
    assert waiting.take(100) == marks[28:]
    assert open_files() == files


def test_an_archive_of_rows_that_were_laid_down_is_the_tape(tmp_path: Path) -> None:
    folder, market = MarketFolder(tmp_path, "bitfinex", "BTC/USD"), Market()
    batches = list(market.messages(300, clear_every=300))
    files = open_files()
    with folder.writing(), folder.archiving():
        writer = ArchiveWriter(folder, row_group_rows=100)
        for batch in batches:
            writer.append(batch)
        writer.close_file()
        writer.commit()
        for batch in market.messages(30):
            writer.append(batch)
        writer.abort()
    assert open_files() == files
    found = rows_of(TapeReader(tmp_path, "bitfinex", "BTC/USD").batches())
    assert found == rows_of(batches)


def test_marks_of_a_file_stay_in_mind_as_they_stand_in_it(tmp_path: Path) -> None:
    folder, market = MarketFolder(tmp_path, "bitfinex", "BTC/USD"), Market()
    marks = []
    with folder.writing(), folder.archiving():
        writer = ArchiveWriter(folder)
        for batch in market.messages(100, clear_every=100):
            writer.append(batch)
            marks.append(Mark("state", batch.last_seq, batch.last_ts_recv, {"to": "LIVE"}))
            writer.mark(marks[-1])
        writer.close_file()
        writer.commit()
    newest = last_file(folder.archive)
    assert newest is not None
    info = newest.info
    assert [archived.mark for archived in info.marks] == marks
    assert info.marks[0] is not info.marks[0]
    broken = msgspec.structs.replace(info, told=msgspec.Raw(b"[1]"))
    with pytest.raises(TapeCorrupt, match="expected marks"):
        _ = broken.marks


def test_batches_of_two_scales_stay_two() -> None:
    market = Market()
    first, second = market.message(), market.message()
    finer = EventBatch.from_arrays(
        kind=[1], side=[0], order_id=["9"], price=[1], size=[1], ts_recv=[second.last_ts_recv],
        price_scale=9, size_scale=9, codec=first.codec, trade_codec=first.trade_codec,
    )  # fmt: skip
    found = list(joined([first, second, finer]))
    assert [batch.price_scale for batch in found] == [first.price_scale, 9]


@pytest.mark.parametrize("events_max", [1, 30, 1_000])
def test_the_newest_events_are_held_once_and_in_order(events_max: int) -> None:
    batches = list(Market().messages(200))
    ring = Ring(events_max)
    for nth, batch in enumerate(batches, 1):
        ring.append(batch)
        told, came = rows_of(list(ring)), rows_of(batches[:nth])
        assert told == came[len(came) - len(told) :]
        assert told[-len(batch) :] == rows_of([batch])
        assert rows_of(list(reversed(ring))) == rows_of(list(reversed(list(ring))))
    held = list(ring)
    assert events_max < 1_000 or len(held) < len(batches) / 3
    ring.clear()
    assert list(ring) == []


WEIGHED = """
import sys
from pathlib import Path
from ordertape.broadcast.ring import Ring
from ordertape.tape.waiting import WaitingRows
from support.tape import Market

def own():
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))

many = list(Market().messages(2_000))
singles = [batch[nth : nth + 1] for batch in many for nth in range(len(batch))]
keeper = Ring({events}) if sys.argv[1] == "ring" else WaitingRows(Path(sys.argv[2]))
frames = [single.encode_frame(1, 0) for single in singles]
from ordertape._engine import decode_frame
before = own()
for nth in range({events}):
    frame = decode_frame(frames[nth % len(frames)], 0, many[0].codec, many[0].trade_codec)
    keeper.append(frame[3])
print(own() - before)
"""


@pytest.mark.parametrize("which", ["ring", "waiting"])
def test_a_hundred_thousand_events_that_came_alone_weigh_little(which: str, tmp_path: Path) -> None:
    script = WEIGHED.format(events=EVENTS)
    told = subprocess.run(
        [sys.executable, "-c", script, which, str(tmp_path)],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(told.stdout) < MIB_MAX * 1024
