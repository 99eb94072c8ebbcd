"""Bits that flip and files that end early, in journal and archive: found, told, never served.

What is damaged was durable.  Found: ``ordertape verify`` says what and where, and a reader gets
true events with a gap row around what is gone, or one sentence; never an event that was not.
A book is the true one; it is refused only where nothing but the damaged file leads there.  Damage
in the archive stops no archiver: what is written afterwards is archived and leaves the journal.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from ordertape._engine import EventBatch, OrderBook
from ordertape.errors import OrdertapeError, TapeCorrupt
from ordertape.tape.archive import Archiver
from ordertape.tape.archive_files import last_file, list_files
from ordertape.tape.bases import list_bases
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter
from ordertape.tape.marks import Mark
from ordertape.tape.reader import TapeReader
from ordertape.tape.rebuild import rebuild
from ordertape.tape.segment import SegmentReader, segments
from ordertape.tape.verify import verify
from support.tape import Market, naive_book, rows_of, write_journal

__all__ = ["DAMAGES", "attempt_damage"]

DAMAGES = (
    "a bit of the journal",
    "a torn journal",
    "a bit of a file of events",
    "a torn file of events",
    "a torn newest file of events",
    "a bit of a base",
    "a torn base",
)


SMALL = {"file_rows_max": 500, "row_group_rows": 150}
SEGMENT_BYTES = 32 * 1024
MOMENTS = 6


class _Moment(NamedTuple):
    """The true book at a time (ns; None: at the end)."""

    at: int | None
    seq: int
    digest: str


class _Need(NamedTuple):
    """What can't be read without a file of the archive: books from an event to before another one,
    events up to ``events``."""

    first: int
    before: float
    events: int


class _Whole(NamedTuple):
    """An archive of several files and a journal behind it, and what is true of them."""

    folder: MarketFolder
    batches: list[EventBatch]
    rows: list[dict[str, Any]]
    moments: list[_Moment]
    needs: dict[str, _Need]
    """By the name of the file."""
    later: list[EventBatch]
    """What the market tells after that."""


@cache
def _whole() -> _Whole:
    folder = MarketFolder(tempfile.mkdtemp(prefix="ordertape-damage-"), "demo", "X/Y")
    market = Market(orders=60)
    batches = list(market.messages(1_500, clear_every=400))
    write_journal(folder, batches, segment_bytes=SEGMENT_BYTES)
    with closing(Archiver(folder, **SMALL)) as archiver:
        archiver.step()
    rows = rows_of(TapeReader(folder.data, "demo", "X/Y").batches())
    assert rows == rows_of(batches)
    assert verify(folder.data, "demo", "X/Y").equal
    times = [batch.last_ts_recv for batch in batches[:: len(batches) // MOMENTS]]
    moments = [
        _Moment(at, book.seq, book.digest())
        for at in [*times, None]
        for book in [naive_book(batches, at)]
    ]
    later = list(market.messages(400))
    return _Whole(folder, batches, rows, moments, _needs(folder), later)


def _needs(folder: MarketFolder) -> dict[str, _Need]:
    """That there is nothing later shows in the next event, which stands in the file, too."""
    needs: dict[str, _Need] = {}
    bases = list_bases(folder.archive)
    behind = [*(base.seq for base in bases[1:]), float("inf")]
    for base, following in zip(bases, behind, strict=True):
        if base.info.after_clear:
            needs[base.path.name] = _Need(base.seq - 1, following, base.seq)
        else:  # from the one before it, the events lead to the same book
            needs[base.path.name] = _Need(0, 0, 0)
    for file in list_files(folder.archive):  # with a base at its end
        needs[file.path.name] = _Need(file.first_seq - 1, file.last_seq, file.last_seq)
    return needs


def attempt_damage(case: str, seed: int) -> list[str]:
    whole = _whole()
    dice = random.Random(f"{case} {seed}")
    with tempfile.TemporaryDirectory(prefix="ordertape-damage-") as place:
        folder = MarketFolder(Path(place) / "data", "demo", "X/Y")
        shutil.copytree(whole.folder.data, folder.data)
        path, at = _damage(folder, case, dice)
        wrong = _judge(folder, whole.rows)
        if _is_mute(folder, path):
            wrong += _judge_mute(folder, path) or _judge_moved_away(folder, whole, path)
        elif path.parent == folder.archive:
            wrong += _judge_books(folder, whole, path)
            wrong += _judge_going_on(folder, whole, path)
        else:
            end, found = whole.moments[-1], _book_at(folder, None)
            if isinstance(found, OrderBook) and found.seq == end.seq:
                wrong += [] if found.digest() == end.digest else ["the rebuilt book is another"]
        return [f"{path.name} at {at}: {what}" for what in wrong]


def _damage(folder: MarketFolder, case: str, dice: random.Random) -> tuple[Path, str]:
    if case.endswith("journal"):
        # The last frame proves what stands before it durable; of itself nothing does.
        path, first, size = _durable_segment(folder, dice)
    else:
        name = "base-" if case.endswith("base") else "events-"
        paths = sorted(folder.archive.glob(f"{name}*.parquet"))
        path = paths[-1] if "newest" in case else dice.choice(paths)
        first, size = 0, path.stat().st_size
    content, at = bytearray(path.read_bytes()), dice.randrange(first, size)
    if case.startswith("a torn"):
        del content[at:]
    else:
        content[at] ^= 1 << dice.randrange(8)
    path.write_bytes(content)
    return path, f"{at} of {size}"


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


def _judge(folder: MarketFolder, rows: list[dict[str, Any]]) -> list[str]:
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
    return wrong + _unsaid(rows, read, gaps, refused)


def _is_mute(folder: MarketFolder, path: Path) -> bool:
    """Whether the newest file of events can't say any more where the journal goes on."""
    newest = last_file(folder.archive)
    try:
        return newest is None or (newest.path == path and not newest.info)
    except TapeCorrupt:
        return True


def _judge_mute(folder: MarketFolder, path: Path) -> list[str]:
    """Nothing is read or archived beside it, and nothing leaves the journal."""
    there = segments(folder.journal)
    found = _book_at(folder, None)
    wrong = [] if isinstance(found, str) and path.name in found else [f"a book is made: {found}"]
    try:
        with closing(Archiver(folder, **SMALL)) as archiver:
            archiver.finish()
        wrong.append("it is archived on")
    except TapeCorrupt as error:
        wrong += [] if path.name in str(error) else [f"it is not named: {error}"]
    return wrong if segments(folder.journal) == there else [*wrong, "segments are gone"]


def _judge_moved_away(folder: MarketFolder, whole: _Whole, path: Path) -> list[str]:
    """What it held and the journal lacks is a gap then; all else goes on."""
    path.rename(path.with_suffix(".damaged"))
    wrong = _judge(folder, whole.rows)
    written, book = [*whole.rows, *rows_of(whole.later)], naive_book(whole.batches)
    _go_on(folder, whole, book)
    if len(left := segments(folder.journal)) > 1:
        wrong.append(f"{len(left)} segments of the journal are left")
    found = _book_at(folder, None)
    if not isinstance(found, OrderBook) or found.digest() != book.digest():
        wrong.append(f"the book at the end is another: {found}")
    return wrong + _judge(folder, written)


def _go_on(folder: MarketFolder, whole: _Whole, book: OrderBook) -> None:
    """What came later is collected behind the damage, and archived."""
    with JournalWriter(folder, book=book, segment_bytes=SEGMENT_BYTES) as writer:
        for batch in whole.later:
            book.apply(batch)
            writer.append(batch)
    with closing(Archiver(folder, **SMALL)) as archiver:
        archiver.finish()


def _book_at(folder: MarketFolder, at: int | None) -> OrderBook | str:
    """Or why there is none, in a sentence."""
    try:
        return rebuild(folder.data, "demo", "X/Y", at)
    except OrdertapeError as error:
        return str(error)


def _judge_books(folder: MarketFolder, whole: _Whole, path: Path) -> list[str]:
    wrong, need = [], whole.needs[path.name]
    for moment in whole.moments:
        found = _book_at(folder, moment.at)
        if isinstance(found, OrderBook):
            if found.digest() != moment.digest:
                wrong.append(f"the book after event {moment.seq} is another")
        elif path.name not in found or not need.first <= moment.seq < need.before:
            wrong.append(f"the book after event {moment.seq} is refused: {found}")
    return wrong


def _judge_going_on(folder: MarketFolder, whole: _Whole, path: Path) -> list[str]:
    """The market is collected and archived on."""
    book, wrong = naive_book(whole.batches), []
    try:
        _go_on(folder, whole, book)
        first = whole.needs[path.name].events + 1
        read = rows_of(TapeReader(folder.data, "demo", "X/Y", first).batches())
    except OrdertapeError as error:
        return [f"it does not go on: {error}"]
    if len(left := segments(folder.journal)) > 1:
        wrong.append(f"{len(left)} segments of the journal are left")
    newest = last_file(folder.archive)
    if newest is None or newest.last_seq != book.seq:
        wrong.append(f"archived is up to {newest}, written up to {book.seq}")
    written = [*whole.rows, *rows_of(whole.later)]
    if read != [row for row in written if row["seq"] >= first]:
        wrong.append(f"read from {first} on are {len(read)} rows, not those that were written")
    found = _book_at(folder, None)
    if not isinstance(found, OrderBook) or found.digest() != book.digest():
        wrong.append(f"the book at the end is another: {found}")
    if verify(folder.data, "demo", "X/Y").equal:
        wrong.append("verify does not tell of it any more")
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
