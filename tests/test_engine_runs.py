"""Frames of events that go on with one another are read as one batch, and nothing else is."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordertape import limits
from ordertape._engine import EventBatch, IdCodec, decode_frame, decode_run, encode_mark
from ordertape.errors import TapeCorrupt
from ordertape.events import EventKind, Flag
from ordertape.tape.archive import Archiver
from ordertape.tape.folder import MarketFolder
from ordertape.tape.reader import TapeReader
from ordertape.tape.segment import segments
from support.tape import Market, rows_of, write_journal
from test_engine_frames import values_of

CLEAR = EventKind.CLEAR


def message(
    first_seq: int, kinds: list[int], *, form: str = "int", ts_recv: int = 0, **more: Any
) -> EventBatch:
    """A venue's message; a CLEAR has a standing order behind it."""
    kind: list[int] = []
    seq: list[int] = []
    for nth, one in enumerate(kinds):
        kind += [one] if one != CLEAR else [CLEAR, EventKind.OPEN]
        seq += [first_seq + nth] * (2 if one == CLEAR else 1)
    standing = [False, *(a == b for a, b in pairwise(seq))]
    columns: dict[str, Any] = {
        "kind": kind,
        "seq": seq,
        "side": [255 if one == CLEAR else nth % 2 for nth, one in enumerate(kind)],
        "order_id": [None if one == CLEAR else f"{nth + 7}" for nth, one in enumerate(kind)],
        "price": [100 + nth for nth in seq],
        "size": [nth + 1 for nth in range(len(kind))],
        "ts_recv": [ts_recv or first_seq] * len(kind),
        "flags": [Flag.SNAPSHOT if one else 0 for one in standing],
    }
    scales = {"price_scale": 2, "size_scale": 3}
    return EventBatch.from_arrays(**columns | scales | more, codec=form, trade_codec="int")


def run_of(
    *frames: bytes, form: str = "int", rows_max: int = 100, span_ns: int = 100
) -> tuple[int, int, int, int, EventBatch] | None:
    codecs = IdCodec(form), IdCodec("int")
    return decode_run(b"".join(frames) + bytes(64), 0, *codecs, rows_max, span_ns)


MANY = st.lists(
    st.lists(
        st.sampled_from([kind for kind in EventKind if kind != CLEAR]), min_size=1, max_size=4
    ),
    min_size=1,
    max_size=8,
)


@given(MANY, st.data())
def test_a_run_holds_what_its_frames_hold(many: list[list[int]], data: st.DataObject) -> None:
    seq, frames, batches = 1, [], []
    for nth, kinds in enumerate(many):
        rows = st.lists(st.integers(0, 99), min_size=len(kinds), max_size=len(kinds))
        extra = {name: data.draw(rows) for name in ("ts_event", "venue_seq", "trade_id")}
        kept = {name: values for name, values in extra.items() if data.draw(st.booleans())}
        batches.append(message(seq, kinds, **kept))
        frames.append(batches[-1].encode_frame(1, nth))
        seq += len(kinds)
    found = run_of(*frames)
    assert found is not None
    length, last_seq, ts_recv, synced, batch = found
    assert (length, last_seq) == (sum(map(len, frames)), seq - 1)
    assert (ts_recv, synced) == (batches[-1].last_ts_recv, len(frames) - 1)
    expected = values_of(EventBatch.concat([decoded(frame, batch) for frame in frames]))
    assert values_of(batch) == expected
    assert (batch.price_scale, batch.size_scale, batch.codec.spec) == (2, 3, "int")


def decoded(frame: bytes, like: EventBatch) -> EventBatch:
    found = decode_frame(frame, 0, like.codec, like.trade_codec)
    assert found is not None
    assert isinstance(found[3], EventBatch)
    return found[3]


FIRST = message(1, [1, 1])
HARMED = bytearray(message(3, [1]).encode_frame(1, 0))
HARMED[-1] ^= 1
BEHIND = {
    "nothing": b"",
    "a mark": encode_mark(b"{}", 2, 9, 0),
    "a snapshot": message(3, [1]).encode_frame(2, 0),
    "a book": message(3, [CLEAR]).encode_frame(1, 0),
    "a row of a book": message(3, [1], flags=[Flag.SNAPSHOT]).encode_frame(1, 0),
    "a book among events": message(3, [1, CLEAR, 1]).encode_frame(1, 0),
    "missing events": message(4, [1]).encode_frame(1, 0),
    "the same event": message(2, [1]).encode_frame(1, 0),
    "an earlier receipt": message(3, [1], ts_recv=-5).encode_frame(1, 0),
    "much later": message(3, [1], ts_recv=102).encode_frame(1, 0),
    "finer prices": message(3, [1], price_scale=3).encode_frame(1, 0),
    "finer sizes": message(3, [1], size_scale=4).encode_frame(1, 0),
    "other ids": message(3, [1], form="ascii").encode_frame(1, 0),
    "a harmed frame": bytes(HARMED),
    "half a frame": message(3, [1]).encode_frame(1, 0)[:100],
    "no rows": message(3, [1])[0:0].encode_frame(1, 0),
}


@pytest.mark.parametrize("behind", BEHIND.values(), ids=BEHIND.keys())
def test_a_run_ends_before_what_does_not_go_on(behind: bytes) -> None:
    first, going_on = FIRST.encode_frame(1, 0), message(3, [1, 1]).encode_frame(1, 0)
    for frames in ([first, behind], [first, behind or bytes(8), going_on]):
        found = run_of(*frames)
        assert found is not None
        assert (found[0], found[1], len(found[4])) == (len(first), 2, 2)


@pytest.mark.parametrize("name", ["a mark", "a snapshot", "a harmed frame", "half a frame"])
def test_no_run_begins_with_what_is_no_frame_of_events(name: str) -> None:
    assert run_of(BEHIND[name], FIRST.encode_frame(1, 0)) is None


def test_a_run_has_so_many_rows_at_most_and_its_first_frame_is_never_divided() -> None:
    frames = [message(seq, [1, 1]).encode_frame(1, 0) for seq in range(1, 20, 2)]
    for rows_max, expected in [(0, 2), (3, 2), (4, 4), (5, 4), (20, 20), (2**64 - 1, 20)]:
        found = run_of(*frames, rows_max=rows_max)
        assert found is not None
        assert len(found[4]) == expected


def test_a_book_is_a_run_of_its_own() -> None:
    book = message(1, [CLEAR]).encode_frame(1, 0)
    found = run_of(book, message(2, [1]).encode_frame(1, 0))
    assert found is not None
    assert (found[0], found[1], len(found[4])) == (len(book), 1, 2)


def test_ids_of_a_run_decide_a_codec_that_none_has_decided() -> None:
    found = run_of(message(1, [1], form="ascii").encode_frame(1, 0), form="auto")
    assert found is not None
    assert found[4].codec.spec == "ascii"


def test_a_journal_of_small_messages_is_read_in_few_batches(tmp_path: Path) -> None:
    folder = MarketFolder(tmp_path, "demo", "X/Y")
    batches = list(Market().messages(1_000, clear_every=400))
    write_journal(folder, batches)
    found = list(TapeReader(folder.data, folder.exchange, folder.symbol).batches())
    assert rows_of(found) == rows_of(batches)
    assert len(found) < len(batches) / 20


def tape_of(folder: MarketFolder) -> list[dict[str, Any]]:
    return rows_of(TapeReader(folder.data, folder.exchange, folder.symbol).batches())


@pytest.mark.parametrize("now", [1, 7, 100, 2_000])
def test_a_run_that_was_archived_in_part_is_read_on_however_long_it_is_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, now: int
) -> None:
    """The archive remembers where a run began, and that ends elsewhere: what is read at once hangs
    on where a reader enters, on what was written since, and on the settings."""
    folder = MarketFolder(tmp_path, "demo", "X/Y")
    batches = list(Market().messages(2_000, clear_every=900))
    write_journal(folder, batches)
    archiver = Archiver(folder, file_rows_max=333)
    archiver.step()
    archiver.close()
    assert sum(1 for _ in folder.archive.glob("events-*.parquet")) > 3
    monkeypatch.setattr(limits, "journal_run_rows", now)
    assert tape_of(folder) == rows_of(batches)
    again = Archiver(folder, file_rows_max=333)
    again.finish()
    again.close()
    assert tape_of(folder) == rows_of(batches)


@pytest.mark.parametrize("seq", [9, 10])
def test_what_was_read_already_is_refused_at_the_beginning_of_a_run_too(
    tmp_path: Path, seq: int
) -> None:
    folder = MarketFolder(tmp_path, "demo", "X/Y")
    write_journal(folder, [message(1, [CLEAR]), *(message(n, [1]) for n in range(2, 11))])
    (segment,) = segments(folder.journal)
    with segment.path.open("ab") as file:
        for again in range(seq, 13):
            file.write(message(again, [1], ts_recv=11).encode_frame(1, 0))
    with pytest.raises(TapeCorrupt, match=r"expected what follows \(seq, ts_recv\) \(10, 10\)"):
        tape_of(folder)
