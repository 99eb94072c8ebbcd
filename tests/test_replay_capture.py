"""Captures: written, read, played through the session of a live stream."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import zstandard

from ordertape import limits
from ordertape._engine import EventBatch, OrderBook
from ordertape.errors import BadFile, UnknownMarket
from ordertape.events import EventKind, Flag
from ordertape.replay import CaptureReplay, CaptureWriter, read_capture
from ordertape.replay.capture_file import read_lines
from ordertape.stream import MarketStream
from ordertape.tape.marks import Mark
from ordertape.venues import venue_of
from support.bitfinex import (
    START_MS,
    NaiveVenue,
    r0_capture_text,
    session_text_frames,
    write_capture,
)

T = START_MS * 1_000_000
MS = 1_000_000
URL = "wss://api-pub.bitfinex.com/ws/2"


def life(iterations: int = 40, **options: Any) -> list[str]:
    venue = NaiveVenue(length=25, **options)
    frames = venue.connection()
    for _ in range(iterations):
        frames += venue.iteration()
    return frames


def kinds(batches: list[EventBatch]) -> Counter[str]:
    return Counter(
        EventKind(batch[index]["kind"]).name
        for batch in batches
        for index in range(len(batch))
        if not batch[index]["flags"] & Flag.SNAPSHOT
    )


# The file -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["frames.jsonl", "frames.jsonl.zst"])
def test_a_capture_is_read_as_it_was_written(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    frames = life(5)
    for part in (frames[:20], frames[20:]):  # a second writer appends
        with CaptureWriter(path) as writer:
            for nth, text in enumerate(part):
                writer.write(T + nth, "ws", URL, text.encode())
    lines = [line for _, line in read_lines(path)]
    assert [line.text for line in lines] == frames
    assert {(line.via, line.url) for line in lines} == {("ws", URL)}
    assert lines[0].t == T


def test_a_folder_gets_a_new_compressed_file_for_each_writer(tmp_path: Path) -> None:
    paths = set()
    for _ in range(2):
        with CaptureWriter(tmp_path / "capture") as writer:
            writer.write(T, "ws", URL, b"[]")
            paths.add(writer.path)
    assert len(paths) == 2
    assert all(path.name.endswith(".jsonl.zst") for path in paths)
    assert all([line.text for _, line in read_lines(path)] == ["[]"] for path in paths)


def test_lines_are_what_the_documented_format_says(tmp_path: Path) -> None:
    with CaptureWriter(tmp_path / "frames.jsonl") as writer:
        writer.write(T, "ws", URL, b'[1,"hb"]')
    (line,) = (tmp_path / "frames.jsonl").read_text().splitlines()
    assert json.loads(line) == {"t": T, "via": "ws", "url": URL, "text": '[1,"hb"]'}


def test_a_compressed_capture_that_was_cut_off_names_the_byte_to_cut_at(tmp_path: Path) -> None:
    path = tmp_path / "frames.jsonl.zst"
    with CaptureWriter(path) as writer:
        writer.write(T, "ws", URL, b"[1]")
        writer.flush()
        whole = path.stat().st_size
        writer.write(T, "ws", URL, b"[2]" * 1000)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(BadFile, match=f"byte {whole}: it ends inside zstd data that begins there"):
        list(read_lines(path))
    path.write_bytes(path.read_bytes()[:whole])
    assert [line.text for _, line in read_lines(path)] == ["[1]"]


def test_pieces_of_compressed_data_are_bounded_in_text_and_time(tmp_path: Path) -> None:
    path = tmp_path / "frames.jsonl.zst"
    with CaptureWriter(path) as writer:
        writer.write(T, "ws", URL, b"[]")
        writer.write(T + limits.capture_frame_seconds_max * 10**9, "ws", URL, b"[]")
        by_time = path.stat().st_size
        writer.write(T, "ws", URL, b" " * limits.capture_frame_bytes_max)
        assert 0 < by_time < path.stat().st_size


@pytest.mark.parametrize(
    ("content", "where", "problem"),
    [
        (b'{"t":1,"via":"ws","url":"","text":"[]"}\noops\n', "line 2", "expected a frame"),
        (b'{"t":1,"via":"ws","url":"","text":"[]"}\n{"t":2,"via":"ws"', "line 2", "truncated"),
        (b'\n\n{"t":"1","via":"ws","url":"","text":"[]"}\n', "line 3", "int"),
        (b'{"t":1,"via":"ws","url":""}', "line 1", "text"),
        (b'{"t":1,"via":"ws","url":"","text":"\xff"}\n', "line 1", "expected a frame"),
        (b"[1,2]\n", "line 1", "expected a frame"),
        (b"\x00\x00\x00\n", "line 1", "expected a frame"),
    ],
)
def test_a_malformed_line_is_named(
    tmp_path: Path, content: bytes, where: str, problem: str
) -> None:
    path = tmp_path / "frames.jsonl"
    path.write_bytes(content)
    with pytest.raises(BadFile) as caught:
        list(read_capture(path, "bitfinex", "BTC/USD"))
    assert caught.value.where == where
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_zstd_or_no_file_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "frames.jsonl.zst"
    path.write_bytes(b'{"t":1}')
    with pytest.raises(BadFile, match="byte 0: damaged zstd data"):
        list(read_lines(path))
    with pytest.raises(BadFile, match="No such file"):
        list(read_lines(tmp_path / "missing.jsonl"))
    with pytest.raises(BadFile, match="directory"):
        list(read_lines(tmp_path))


# The replay ---------------------------------------------------------------------------------------
def test_a_replay_gives_the_events_of_the_live_stream(tmp_path: Path) -> None:
    frames = life()
    stream = MarketStream(venue_of("bitfinex"), "BTC/USD")
    stream.start(T)
    stream.on_open(T)
    for nth, frame in enumerate(frames):
        stream.on_frame(frame.encode(), T + nth * MS)
    path = write_capture(tmp_path / "frames.jsonl", frames, start=T)
    replay = CaptureReplay(path, "bitfinex", "tBTCUSD")
    batches = list(replay.batches())
    assert replay.stream.integrity.proven
    book = OrderBook()
    for batch in batches:
        assert book.apply(batch).faults == 0
    assert book.digest() == stream.book.digest() == replay.stream.book.digest()
    assert batches[0].first_seq == 1


def test_replaying_twice_gives_the_same_rows(tmp_path: Path) -> None:
    path = write_capture(tmp_path / "frames.jsonl", life(seed=3))
    first, second = (
        [batch[i] for batch in read_capture(path, "bitfinex", "BTC/USD") for i in range(len(batch))]
        for _ in range(2)
    )
    assert first == second
    assert len(first) > 100


def test_silence_is_measured_in_the_captures_time(tmp_path: Path) -> None:
    venue = NaiveVenue(length=25, checksums=False, timed=False, sequenced=False)
    frames = [*venue.connection(), *venue.iteration(5)]
    last = T + len(frames) * MS
    path = write_capture(tmp_path / "frames.jsonl", frames)
    with path.open("a") as file:
        late = {"t": last + 3600 * 10**9, "via": "ws", "url": URL, "text": '[17,"hb"]'}
        file.write(json.dumps(late) + "\n")
    replay = CaptureReplay(path, "bitfinex", "BTC/USD")
    batches = list(replay.batches())
    assert all(batch.last_ts_recv < last for batch in batches)
    assert "unproven" in replay.stream.integrity.summary
    assert len(replay.stream.book) == 50


def test_each_connection_in_a_capture_is_a_new_era_after_a_gap(tmp_path: Path) -> None:
    path = write_capture(tmp_path / "frames.jsonl", life(10) + life(10, seed=2))
    items = list(CaptureReplay(path, "bitfinex", "BTC/USD").items())
    gaps = [item.fields for item in items if isinstance(item, Mark) and item.kind == "gap"]
    assert [gap["healed_by"] is None for gap in gaps] == [True, False]
    assert gaps[0]["reason"] == "the capture goes on with another connection"
    assert kinds([item for item in items if isinstance(item, EventBatch)])["CLEAR"] == 2


def test_frames_that_came_by_rest_are_passed_over(tmp_path: Path) -> None:
    path = write_capture(tmp_path / "frames.jsonl", life(5))
    lines = path.read_text().splitlines()
    lines.insert(9, json.dumps({"t": T, "via": "rest", "url": "https://x", "text": "[[1,2,3]]"}))
    mixed = tmp_path / "mixed.jsonl"
    mixed.write_text("\n".join(lines) + "\n")
    digests = set()
    for file in (path, mixed):
        replay = CaptureReplay(file, "bitfinex", "BTC/USD")
        list(replay.batches())
        digests.add(replay.stream.book.digest())
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("symbol", "found"), [("ETH/USD", "book tBTCUSD R0"), ("BTC/USDT", "trades tBTCUSD")]
)
def test_a_capture_of_another_market_is_refused_in_one_sentence(
    tmp_path: Path, symbol: str, found: str
) -> None:
    path = write_capture(tmp_path / "frames.jsonl", life(5))
    with pytest.raises(BadFile) as caught:
        list(read_capture(path, "bitfinex", symbol))
    assert f"expected a raw book of bitfinex {symbol}" in str(caught.value)
    assert found in str(caught.value)


def test_an_empty_capture_and_unknown_names_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "frames.jsonl"
    path.touch()
    with pytest.raises(BadFile, match="found none"):
        list(read_capture(path, "bitfinex", "BTC/USD"))
    with pytest.raises(UnknownMarket, match="there is no venue 'nowhere'"):
        read_capture(path, "nowhere", "BTC/USD")
    with pytest.raises(UnknownMarket, match="is no symbol"):
        read_capture(path, "bitfinex", "BTC")


def test_a_number_that_does_not_fit_refuses_the_file_with_its_line(tmp_path: Path) -> None:
    venue = NaiveVenue(length=25, checksums=False, timed=False, sequenced=False)
    frames = [*venue.connection(), "[165356,[5,1e99,1]]"]
    path = write_capture(tmp_path / "frames.jsonl", frames)
    with pytest.raises(BadFile, match=f"line {len(frames)}: bitfinex BTC/USD: price '1e99'"):
        list(read_capture(path, "bitfinex", "BTC/USD"))


@pytest.mark.parametrize("compressed", [False, True])
def test_the_recorded_session_replayed_has_the_known_ends(
    shared: Path, tmp_path: Path, compressed: bool
) -> None:
    frames = list(session_text_frames(r0_capture_text(shared)))
    path = write_capture(tmp_path / "r0.jsonl", frames)
    if compressed:
        whole = path.with_suffix(".jsonl.zst")
        whole.write_bytes(zstandard.compress(path.read_bytes()))
        path = whole
    replay = CaptureReplay(path, "bitfinex", "BTC/USD")
    batches = []
    for batch in replay.batches():
        batches.append(batch)
        assert replay.stream.book.totals()[:2] == (25, 25)
    counted = kinds(batches)
    assert (counted["EVICT"], counted["DONE"], counted["MATCH"]) == (32, 58, 0)
    assert replay.stream.counters["reentered"] == 28
    assert replay.stream.integrity.summary.startswith("unproven")
