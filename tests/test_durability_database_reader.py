"""A follower that is held up between two looks at the journal takes nothing for damage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ordertape import EventBatch
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter
from ordertape.tape.reader import TapeReader
from ordertape.tape.segment import SegmentReader
from support.tape import Market, rows_of


def test_frames_that_are_written_and_synced_between_two_looks_are_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ordertape.limits.follow_scan_ms", 0)
    folder, market = MarketFolder(tmp_path, "x", "ONE/USD"), Market()
    written: list[EventBatch] = []
    looked = SegmentReader.frame
    late, waits_at = 0, -1

    with JournalWriter(folder) as journal:

        def write(messages: int) -> None:
            for batch in market.messages(messages):
                journal.append(batch)
                written.append(batch)

        def held_up(reader: SegmentReader, offset: int, *codecs: Any) -> Any:
            """The process stops behind the look that found nothing; the writer goes on."""
            nonlocal late, waits_at
            found = looked(reader, offset, *codecs)
            stuck, waits_at = waits_at == offset, offset
            if found is None and stuck and late < 5:
                late += 1
                write(3)
                journal.sync()
                write(1)
            return found

        write(20)
        journal.sync()
        tail = TapeReader(tmp_path, "x", "ONE/USD").tail()
        monkeypatch.setattr(SegmentReader, "frame", held_up)
        found: list[Any] = []
        for _ in range(12):
            found += tail.items()
        tail.close()
    assert late == 5
    assert [item for item in found if not isinstance(item, EventBatch) and item.kind == "gap"] == []
    assert rows_of(item for item in found if isinstance(item, EventBatch)) == rows_of(written)
