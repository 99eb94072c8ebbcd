"""Bits that flip and files that end early, in journal and archive: found, told, never served.

What is damaged was durable.  Found: ``ordertape verify`` says what and where, and a reader gets
true events with a gap row around what is gone, or one sentence; never an event that was not.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

from ordertape._engine import EventBatch
from ordertape.errors import OrdertapeError, TapeCorrupt
from ordertape.tape.archive import Archiver
from ordertape.tape.archive_files import last_file
from ordertape.tape.folder import MarketFolder
from ordertape.tape.marks import Mark
from ordertape.tape.reader import TapeReader
from ordertape.tape.rebuild import rebuild
from ordertape.tape.segment import SegmentReader, segments
from ordertape.tape.verify import verify
from support.tape import Market, rows_of, write_journal

__all__ = ["DAMAGES", "attempt_damage"]

DAMAGES = (
    "a bit of the journal",
    "a torn journal",
    "a bit of a file of events",
    "a torn file of events",
    "a bit of a base",
    "a torn base",
)


@cache
def _whole() -> tuple[MarketFolder, list[dict[str, Any]], str]:
    """An archive of several files and a journal behind it; its rows; the digest of its book."""
    folder = MarketFolder(tempfile.mkdtemp(prefix="ordertape-damage-"), "demo", "X/Y")
    market = Market(orders=60)
    batches = list(market.messages(1_500, clear_every=400))
    write_journal(folder, batches, segment_bytes=32 * 1024)
    with closing(Archiver(folder, file_rows_max=500, row_group_rows=150)) as archiver:
        archiver.step()
    rows = rows_of(TapeReader(folder.data, "demo", "X/Y").batches())
    assert rows == rows_of(batches)
    assert verify(folder.data, "demo", "X/Y").equal
    return folder, rows, market.book.digest()


def attempt_damage(case: str, seed: int) -> list[str]:
    whole, rows, book = _whole()
    dice = random.Random(f"{case} {seed}")
    with tempfile.TemporaryDirectory(prefix="ordertape-damage-") as place:
        folder = MarketFolder(Path(place) / "data", "demo", "X/Y")
        shutil.copytree(whole.data, folder.data)
        at = _damage(folder, case, dice)
        return [f"{at}: {what}" for what in _judge(folder, rows, book)]


def _damage(folder: MarketFolder, case: str, dice: random.Random) -> str:
    if case.endswith("journal"):
        # The last frame proves what stands before it durable; of itself nothing does.
        path, first, size = _durable_segment(folder, dice)
    else:
        name = "base-" if case.endswith("base") else "events-"
        path = dice.choice(sorted(folder.archive.glob(f"{name}*.parquet")))
        first, size = 0, path.stat().st_size
    content, at = bytearray(path.read_bytes()), dice.randrange(first, size)
    if case.startswith("a torn"):
        del content[at:]
    else:
        content[at] ^= 1 << dice.randrange(8)
    path.write_bytes(content)
    return f"{path.name} at {at} of {size}"


def _durable_segment(folder: MarketFolder, dice: random.Random) -> tuple[Path, int, int]:
    """(path, from, to): what is durable there and not in the archive yet."""
    newest = last_file(folder.archive)
    assert newest is not None
    archived = newest.info.journal or (0, 0)
    sizes = []
    for segment in segments(folder.journal):
        with closing(SegmentReader(segment)) as reader:
            ends = [0]
            while (frame := reader.frame(ends[-1])) is not None:
                ends.append(ends[-1] + frame[0].length)
            # A frame that is gone with all behind it: only the next segment can tell.
            is_last = segment == segments(folder.journal)[-1]
            first = archived[1] if segment.number == archived[0] else 0
            sizes.append((segment.path, first, reader.synced if is_last else ends[-1]))
    return dice.choice([found for found in sizes if found[2] > found[1]])


def _judge(folder: MarketFolder, rows: list[dict[str, Any]], book: str) -> list[str]:
    wrong = []
    report = verify(folder.data, "demo", "X/Y")
    if report.equal and not report.gaps:
        wrong.append(f"verify found nothing: {report}")
    true = {(row["seq"], row["order_id"]): row for row in rows}
    read: list[dict[str, Any]] = []
    gaps: list[Mark] = []
    refused = False
    try:
        for item in TapeReader(folder.data, "demo", "X/Y").items():
            if isinstance(item, Mark):
                gaps += [item] if item.kind == "gap" else []
            elif isinstance(item, EventBatch):
                read += rows_of([item])
    except TapeCorrupt:
        refused = True
    wrong += [f"read {row}" for row in read if true.get((row["seq"], row["order_id"])) != row][:2]
    if [row["seq"] for row in read] != sorted(row["seq"] for row in read):
        wrong.append("the events are not in order")
    wrong += _unsaid(rows, read, gaps, refused)
    try:
        rebuilt = rebuild(folder.data, "demo", "X/Y")
        if rebuilt.seq == rows[-1]["seq"] and rebuilt.digest() != book:
            wrong.append("the rebuilt book is another")
    except OrdertapeError:
        pass  # told in a sentence
    return wrong


def _unsaid(
    rows: list[dict[str, Any]], read: list[dict[str, Any]], gaps: list[Mark], refused: bool
) -> list[str]:
    """Events that are gone and in no gap row, where reading did not end with a sentence."""
    if refused:
        return []
    there = {row["seq"] for row in read}
    told = {
        seq
        for gap in gaps
        if "missing_from" in gap.fields
        for seq in range(gap.fields["missing_from"], gap.fields["missing_to"] + 1)
    }
    missing = sorted({row["seq"] for row in rows} - there - told)
    return [f"events {missing[:5]} are gone and in no gap row"] if missing else []
