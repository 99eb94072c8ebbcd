"""Torn tails, flipped bits, killed writers, full disks: what a journal says afterwards."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ordertape import EventBatch
from ordertape._engine import decode_frame
from ordertape.errors import SyncFailed, TapeCorrupt
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter
from ordertape.tape.marks import Mark
from ordertape.tape.reader import TapeReader
from ordertape.tape.rebuild import rebuild
from ordertape.tape.segment import segments
from ordertape.tape.verify import verify
from support.tape import Market, naive_book, rows_of, write_journal

FRAMES = 12


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[MarketFolder, list[EventBatch]]:
    """A journal of one segment, synced after each of its first FRAMES - 3 batches."""
    folder = MarketFolder(tmp_path_factory.mktemp("whole"), "demo", "X/Y")
    market = Market()
    batches = []
    with JournalWriter(folder, segment_bytes=64 * 1024, sync_ms_max=60_000) as writer:
        for nth in range(FRAMES):
            batches.append(market.message(clear=nth in (0, 6), step_ns=1000))
            writer.append(batches[-1])
            if nth < FRAMES - 3:
                writer.sync()
    return folder, batches


def copied(folder: MarketFolder, target: Path) -> MarketFolder:
    shutil.copytree(folder.data, target)
    return MarketFolder(target, folder.exchange, folder.symbol)


def only_segment(folder: MarketFolder) -> Path:
    (segment,) = segments(folder.journal)
    return segment.path


def frames_of(path: Path) -> list[tuple[int, int, int]]:
    """(offset, length, synced) of every whole frame of a file."""
    content = path.read_bytes()
    found, offset = [], 0
    while (frame := decode_frame(content, offset)) is not None:
        found.append((offset, frame[1], frame[2]))
        offset += frame[1]
    return found


def read(folder: MarketFolder) -> tuple[list[EventBatch], list[Mark]]:
    reader = TapeReader(folder.data, folder.exchange, folder.symbol)
    items = list(reader.items())
    batches = [item for item in items if isinstance(item, EventBatch)]
    return batches, [item for item in items if isinstance(item, Mark)]


def test_a_tail_cut_at_every_byte_loses_only_the_frame_it_cuts(
    whole: tuple[MarketFolder, list[EventBatch]], tmp_path: Path
) -> None:
    source, batches = whole
    folder = copied(source, tmp_path / "data")
    path = only_segment(folder)
    content = path.read_bytes()
    frames = frames_of(path)
    ends = [offset + length for offset, length, _ in frames]
    # Frames from the second on are one batch each; the first is the segment's mark.
    durable = frames[-1][2]
    for size in [*range(durable, len(content), 13), len(content)]:
        path.write_bytes(content[:size] + bytes(len(content) - size))
        # A frame whose cut bytes were zeroes anyway is whole.
        whole_batches = len(frames_of(path)) - 1
        assert sum(end <= size for end in ends) - 1 <= whole_batches
        found, marks = read(folder)
        assert rows_of(found) == rows_of(batches[:whole_batches])
        assert marks == []
        with JournalWriter(folder, segment_bytes=64 * 1024) as writer:
            assert writer.recovered.last_seq == found[-1].last_seq
            assert writer.recovered.era == 2
            assert writer.recovered.damage == []
            assert (writer.recovered.cut_bytes > 0) == bool(
                content[ends[whole_batches] : size].strip(b"\0")
            )
            for batch in batches[whole_batches:]:
                writer.append(batch)
        assert rows_of(read(folder)[0]) == rows_of(batches)
        path.write_bytes(content)


def test_a_flipped_bit_in_what_was_durable_is_a_gap_and_nothing_else_is_lost(
    whole: tuple[MarketFolder, list[EventBatch]], tmp_path: Path
) -> None:
    source, batches = whole
    folder = copied(source, tmp_path / "data")
    path = only_segment(folder)
    content = path.read_bytes()
    frames = frames_of(path)
    durable = frames[-1][2]
    for at in range(0, durable, 11):
        damaged = bytearray(content)
        damaged[at] ^= 1 << (at % 8)
        path.write_bytes(damaged)
        nth = next(n for n, (offset, length, _) in enumerate(frames) if at < offset + length)
        # The first frame is the segment's mark: no event is in it.
        kept = batches if nth == 0 else batches[: nth - 1] + batches[nth:]
        found, marks = read(folder)
        assert rows_of(found) == rows_of(kept), at
        (gap,) = marks
        assert gap.kind == "gap"
        assert gap.fields["reason"] == "the journal is damaged"
        if nth:
            lost = batches[nth - 1]
            assert gap.fields["missing_from"] == lost.first_seq
            assert gap.fields["missing_to"] == lost.last_seq
            assert nth == 1 or gap.fields["from_ns"] <= lost[0]["ts_recv"]
            assert lost[0]["ts_recv"] <= gap.fields["to_ns"]


def test_behind_damage_the_book_waits_for_the_next_clear(
    whole: tuple[MarketFolder, list[EventBatch]], tmp_path: Path
) -> None:
    source, batches = whole
    folder = copied(source, tmp_path / "data")
    path = only_segment(folder)
    damaged = bytearray(path.read_bytes())
    offset, length, _ = frames_of(path)[4]  # the fourth batch; the seventh is a CLEAR
    damaged[offset + length // 2] ^= 1
    path.write_bytes(damaged)
    before = naive_book(batches[:3])
    for nth in range(3, 6):
        at = batches[nth].last_ts_recv
        assert rebuild(folder.data, "demo", "X/Y", at).digest() == before.digest()
    assert rebuild(folder.data, "demo", "X/Y").digest() == naive_book(batches).digest()
    report = verify(folder.data, "demo", "X/Y")
    assert report.equal
    assert (report.gaps, report.missing_events) == (1, len(batches[3]))


def test_a_writer_goes_on_in_a_new_segment_behind_damage(
    whole: tuple[MarketFolder, list[EventBatch]], tmp_path: Path
) -> None:
    source, batches = whole
    folder = copied(source, tmp_path / "data")
    path = only_segment(folder)
    damaged = bytearray(path.read_bytes())
    damaged[frames_of(path)[4][0] + 70] ^= 1
    path.write_bytes(damaged)
    market = Market()
    for nth in range(FRAMES):
        market.message(clear=nth in (0, 6), step_ns=1000)
    more = market.message()
    with JournalWriter(folder) as writer:
        assert writer.recovered.last_seq == batches[-1].last_seq
        (gap,) = writer.recovered.damage
        assert gap.fields["missing_from"] == batches[3].first_seq
        writer.append(more)
    assert len(segments(folder.journal)) == 2
    found, marks = read(folder)
    assert rows_of(found) == rows_of([*batches[:3], *batches[4:], more])
    assert [mark.kind for mark in marks] == ["gap"]


def test_seqs_of_durable_events_that_can_not_be_read_are_not_used_again(
    whole: tuple[MarketFolder, list[EventBatch]], tmp_path: Path
) -> None:
    source, batches = whole
    folder = copied(source, tmp_path / "data")
    path = only_segment(folder)
    frames = frames_of(path)
    content = bytearray(path.read_bytes())
    durable = frames[-1][2]
    ends = [offset + length for offset, length, _ in frames]
    last_durable = sum(end <= durable for end in ends) - 1
    # The last durable frame is bad, and what came behind it never reached the disk ...
    content[frames[last_durable][0] + 100] ^= 1
    end = frames[last_durable][0] + frames[last_durable][1]
    content[end:] = bytes(len(content) - end)
    # ... but for a mark of the sync thread's progress in the frame before.
    path.write_bytes(content)
    with JournalWriter(folder) as writer:
        known = frames[last_durable - 1][2]
        if known > frames[last_durable][0]:
            assert writer.written_seq >= batches[last_durable - 1].last_seq
        else:
            assert writer.written_seq == batches[last_durable - 2].last_seq
            assert writer.recovered.cut_bytes > 0


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_no_damage_at_all_makes_reading_or_opening_fail(
    whole: tuple[MarketFolder, list[EventBatch]],
    tmp_path_factory: pytest.TempPathFactory,
    data: st.DataObject,
) -> None:
    source, batches = whole
    folder = copied(source, tmp_path_factory.mktemp("damage") / "data")
    path = only_segment(folder)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        length = data.draw(st.integers(1, 400))
        fill = data.draw(st.sampled_from([b"\0", b"\xff", b"OTF1"]))
        content[at : at + length] = (fill * length)[: len(content[at : at + length])]
    path.write_bytes(content)
    everything = rows_of(batches)
    found, _ = read(folder)
    assert all(row in everything for row in rows_of(found))
    with JournalWriter(folder) as writer:
        assert writer.written_seq >= max((batch.last_seq for batch in found), default=0)
        follows = EventBatch.concat([Market(seed=3).message()])
        rows = {"kind": [5], "side": [255], "order_id": [None], "price": [0], "size": [0]}
        writer.append(
            EventBatch.from_arrays(
                **rows,
                seq=[writer.written_seq + 1],
                ts_recv=[batches[-1].last_ts_recv],
                price_scale=follows.price_scale,
                size_scale=follows.size_scale,
                codec="int",
            )
        )
    assert read(folder)[0][-1].last_seq == writer.written_seq


def test_segments_rolled_before_a_power_cut_and_never_synced_are_cut_as_one_tail(
    tmp_path: Path,
) -> None:
    folder = MarketFolder(tmp_path, "demo", "X/Y")
    batches = list(Market().messages(200))
    write_journal(folder, batches, segment_bytes=8192, sync_ms_max=60_000)
    there = segments(folder.journal)
    assert len(there) >= 4
    # The disk kept only the first half of the third segment from the end, whose later segments
    # nothing ever called durable.
    torn = there[-3].path
    content = torn.read_bytes()
    frames = frames_of(torn)
    keep = frames[len(frames) // 2][0] + 24
    torn.write_bytes(content[:keep] + bytes(len(content) - keep))
    expected = sum(batch.last_seq <= _last_seq(torn, len(frames) // 2) for batch in batches)
    with JournalWriter(folder, segment_bytes=8192) as writer:
        assert writer.recovered.cut_bytes > 0
        assert writer.written_seq == batches[expected - 1].last_seq
        for batch in batches[expected:]:
            writer.append(batch)
    found, marks = read(folder)
    assert rows_of(found) == rows_of(batches)
    assert marks == []


def _last_seq(path: Path, frames: int) -> int:
    content = path.read_bytes()
    seq, offset = 0, 0
    for _ in range(frames):
        frame = decode_frame(content, offset)
        assert frame is not None
        if isinstance(frame[3], EventBatch):
            seq = frame[3].last_seq
        offset += frame[1]
    return seq


# Other processes ----------------------------------------------------------------------------------

WRITER = """
import sys
from support.tape import Market
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter
folder = MarketFolder(sys.argv[1], "demo", "X/Y")
market = Market(seed=int(sys.argv[2]))
with JournalWriter(folder, segment_bytes=32768, sync_ms_max=5) as writer:
    market.next_seq = writer.written_seq + 1
    market.now = max(market.now, writer.recovered.last_ts_recv)
    batch = market.message(clear=True)
    writer.append(batch)
    while True:
        for _ in range(50):
            writer.append(market.message())
        writer.snapshot(market.book)
        print(writer.synced_seq, market.next_seq - 1, flush=True)
"""


def start_writer(data: Path, seed: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(data), str(seed)],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_writer_killed_at_any_time_leaves_a_tape_that_verifies(tmp_path: Path) -> None:
    synced = 0
    for nth in range(4):
        with start_writer(tmp_path, nth) as writer:
            assert writer.stdout is not None
            for _ in range(3 + nth * 4):
                synced = int(writer.stdout.readline().split()[0])
            writer.send_signal(signal.SIGKILL)
        report = verify(tmp_path, "demo", "X/Y")
        assert report.equal, str(report)
        assert report.gaps == report.faults == 0
        assert report.eras == nth + 1
        assert report.last_seq >= synced
    assert synced > 0


def test_a_reader_beside_a_writer_in_another_process_sees_whole_messages_only(
    tmp_path: Path,
) -> None:
    with start_writer(tmp_path, 1) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        seen: list[EventBatch] = []
        reader = TapeReader(tmp_path, "demo", "X/Y")
        digests = 0
        book = Market().book
        for item in reader.follow(lambda: bool(seen) and seen[-1].last_seq > 6_000):
            if isinstance(item, EventBatch):
                assert item.first_seq == (seen[-1].last_seq + 1 if seen else 1)
                assert item.last_complete() == len(item)
                seen.append(item)
                assert book.apply(item).faults == 0
            elif item.kind == "digest":
                assert book.digest() == item.fields["digest"]
                digests += 1
        writer.kill()
    assert digests > 10


FULL = """
import resource, sys
from support.tape import Market
from ordertape.errors import TapeError
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter
from ordertape.tape.marks import Mark
folder = MarketFolder(sys.argv[1], "demo", "X/Y")
market = Market()
writer = JournalWriter(folder, segment_bytes=65536)
resource.setrlimit(resource.RLIMIT_FSIZE, (65536 - 1, resource.RLIM_INFINITY))
written = 0
try:
    while True:
        batch = market.message()
        writer.append(batch)
        written = batch.last_seq
except TapeError as error:
    print(error)
writer.mark(Mark("state", written, 1, {"from": "LIVE", "to": "FAILED", "reason": "disk full"}))
assert writer.written_seq == written
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(written)
writer.close()
"""


def test_a_full_disk_is_one_sentence_at_a_roll_and_leaves_room_to_say_so(tmp_path: Path) -> None:
    # The limit stands in for the disk: it lets no file grow beyond the first segment.
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    ended = subprocess.run(
        [
            sys.executable,
            "-c",
            FULL,
            str(tmp_path),
        ],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    sentence, written = ended.stdout.splitlines()
    assert sentence.startswith("demo X/Y: no room for a journal segment of 65,536 bytes in ")
    found, marks = read(MarketFolder(tmp_path, "demo", "X/Y"))
    assert found[-1].last_seq == int(written)
    assert [mark.fields["to"] for mark in marks] == ["FAILED"]


def test_a_failed_sync_is_fatal(tmp_path: Path) -> None:
    folder = MarketFolder(tmp_path, "demo", "X/Y")
    market = Market()
    told: list[SyncFailed] = []
    writer = JournalWriter(folder, sync_ms_max=60_000, on_failure=told.append)
    writer.append(market.message())
    # A pipe stands where the file was: fdatasync refuses it.
    read_end, write_end = os.pipe()
    os.dup2(write_end, writer._segment.fd)
    os.close(read_end)
    os.close(write_end)
    with pytest.raises(SyncFailed, match="what was written may be lost"):
        writer.sync()
    assert len(told) == 1
    with pytest.raises(SyncFailed):
        writer.append(market.message())
    with pytest.raises(SyncFailed):
        writer.close()
    with folder.writing():
        pass  # the lock is free all the same


def test_a_whole_book_in_the_journal_of_another_market_is_not_served(tmp_path: Path) -> None:
    folders = [MarketFolder(tmp_path, "demo", symbol) for symbol in ("A/A", "B/B")]
    for folder in folders:
        market = Market()
        with JournalWriter(folder) as writer:
            for batch in market.messages(20, clear_every=20):
                writer.append(batch)
            writer.snapshot(market.book)
    shutil.rmtree(folders[0].journal)
    shutil.copytree(folders[1].journal, folders[0].journal)
    with pytest.raises(TapeCorrupt, match="expected the journal of demo A/A"):
        rebuild(tmp_path, "demo", "A/A")
