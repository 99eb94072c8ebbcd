"""Power cuts: what was written behind the last sync reaches the disk whole, in parts, as garbage
or not at all; and what the archive had let go may be there again.

A disk writes sectors in any order; names that no directory sync covers may be missing.  What stays
is what was synced, byte for byte.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from contextlib import closing
from pathlib import Path

from ordertape._engine import EventBatch, OrderBook
from ordertape.tape.archive import Archiver
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter
from ordertape.tape.reader import TapeReader
from ordertape.tape.segment import Segment, SegmentReader, segments
from ordertape.tape.verify import verify
from support.arena import Arena, the_arena
from support.tape import Market, rows_of

__all__ = ["CUTS", "attempt_cut"]

CUTS = ("a recorded journal", "journal and archive", "a live collector")
SECTOR = 512
SEGMENT_BYTES = 16 * 1024


def attempt_cut(case: str, seed: int) -> list[str]:
    if case == "a live collector":
        return _live(seed)
    with tempfile.TemporaryDirectory(prefix="ordertape-power-") as folder:
        return _Cut(Path(folder), seed, archives=case == "journal and archive").run()


class _Cut:
    """A market is written until the power fails, and goes on behind what was left of it."""

    def __init__(self, folder: Path, seed: int, *, archives: bool) -> None:
        self.dice = random.Random(f"power {seed} {archives}")
        self.before = MarketFolder(folder / "before", "demo", "X/Y")
        self.after = MarketFolder(folder / "after", "demo", "X/Y")
        self.archives = archives
        self.batches: list[EventBatch] = []
        self.durable: dict[str, int] = {}
        self.gone: dict[str, bytes] = {}
        """Segments that were let go: their removal may not have reached the disk."""

    def run(self) -> list[str]:
        synced = self._write()
        self._fail_power()
        wrong: list[str] = []
        # Before its writer is back: a part of what will be cut may be read, with its gap told.
        early = rows_of(self._read()) if self.after.exists else []
        told = {(row["seq"], row["order_id"]): row for row in rows_of(self.batches)}
        wrong += [f"{row}" for row in early if told.get((row["seq"], row["order_id"])) != row][:2]
        with JournalWriter(self.after, segment_bytes=SEGMENT_BYTES) as writer:
            found = rows_of(self._read())
            recovered = writer.recovered
            if recovered.last_seq < synced:
                wrong.append(f"{synced} was durable, {recovered.last_seq} was recovered")
            if recovered.damage:
                wrong.append(f"a torn tail is called damage: {recovered.damage}")
            kept = [batch for batch in self.batches if batch.last_seq <= recovered.last_seq]
            if found != rows_of(kept):
                wrong.append(f"read were {len(found)} rows, written {len(rows_of(kept))}")
            book = _book_of(kept)
            writer.book = book
            for batch in self.batches[len(kept) :]:
                book.apply(batch)
                writer.append(batch)
        if rows_of(self._read()) != rows_of(self.batches):
            wrong.append("the tape that went on is not what was written")
        report = verify(self.after.data, "demo", "X/Y")
        if not report.equal or report.gaps or report.missing_events:
            wrong.append(f"verify: {report}")
        return wrong

    def _read(self) -> list[EventBatch]:
        return list(TapeReader(self.after.data, "demo", "X/Y").batches())

    def _write(self) -> int:
        """Returns what was durable when the power failed."""
        dice, market, book = self.dice, Market(seed=self.dice.randrange(10**6)), OrderBook()
        count, fails_at = 400, dice.randint(1, 399)
        synced = 0
        with (
            JournalWriter(
                self.before, book=book, segment_bytes=SEGMENT_BYTES, sync_ms_max=10**7
            ) as writer,
            closing(Archiver(self.before, file_rows_max=60, row_group_rows=20)) as archiver,
        ):
            writer.sync()
            self._note_durable()
            for nth in range(count):
                batch = market.message(clear=nth == 0 or dice.random() < 0.01)
                self.batches.append(batch)
                if nth >= fails_at:
                    continue
                book.apply(batch)
                writer.append(batch)
                if dice.random() < 0.04:
                    writer.sync()
                    synced = writer.written_seq
                    self._note_durable()
                if self.archives and dice.random() < 0.05:
                    synced = max(synced, self._archive(archiver))
                if nth == fails_at - 1:
                    shutil.copytree(self.before.data, self.after.data)
        return synced

    def _archive(self, archiver: Archiver) -> int:
        journal = self.before.journal
        there = {path.name: path.read_bytes() for path in journal.iterdir()}
        files = set(self.before.archive.glob("events-*.parquet"))
        archiver.step()
        made = set(self.before.archive.glob("events-*.parquet")) - files
        if not made:
            return 0
        self.gone |= {name: there[name] for name in there if not (journal / name).exists()}
        self._note_durable()  # the archiver syncs what it has read
        return max(int(path.name[28:48]) for path in made)

    def _note_durable(self) -> None:
        for segment in segments(self.before.journal):
            self.durable[segment.path.name] = _end_of(segment)

    def _fail_power(self) -> None:
        dice = self.dice
        for segment in segments(self.after.journal):
            end = self.durable.get(segment.path.name)
            if end is None and dice.random() < 0.3:
                segment.path.unlink()
            else:
                garble(segment.path, end or 0, dice)
        for name, content in self.gone.items():
            if dice.random() < 0.3:
                (self.after.journal / name).write_bytes(content)
        if self.archives and dice.random() < 0.5:
            self.after.archive.mkdir(exist_ok=True)
            (self.after.archive / "events-1.parquet.tmp").write_bytes(dice.randbytes(700))


def _book_of(batches: list[EventBatch]) -> OrderBook:
    book = OrderBook()
    for batch in batches:
        book.apply(batch)
    return book


def _end_of(segment: Segment, seq: int | None = None) -> int:
    """Behind the last whole frame (of events up to ``seq``)."""
    with closing(SegmentReader(segment)) as reader:
        end = 0
        while (frame := reader.frame(end)) is not None:
            if seq is not None and frame[0].last_seq > seq:
                break
            end += frame[0].length
    return end


def garble(path: Path, durable: int, dice: random.Random) -> None:
    """What stands behind ``durable`` reached the disk in parts."""
    content = bytearray(path.read_bytes())
    how = dice.choice(("sectors", "sectors", "short", "nothing"))
    if how == "nothing":
        content[durable:] = bytes(len(content) - durable)
    for at in range(durable - durable % SECTOR, len(content), SECTOR):
        if how != "sectors":
            break
        first, last = max(at, durable), min(at + SECTOR, len(content))
        fate = dice.random()
        if fate < 0.3:
            content[first:last] = bytes(last - first)
        elif fate < 0.45 and any(content[first:last]):
            content[first:last] = dice.randbytes(last - first)
    if how == "short":
        del content[dice.randint(durable, len(content)) :]
    path.write_bytes(content)


# A live one ---------------------------------------------------------------------------------------


def _live(seed: int) -> list[str]:
    """A collector is killed and what it had not synced is garbled; it goes on, LIVE."""
    arena, dice = the_arena(), random.Random(f"power {seed}")
    arena.next_try()
    collector = arena.collector()
    arena.wait_live(collector, events=dice.randint(5, 200))
    collector.kill()
    collector.wait()
    report = arena.report_of(collector)
    assert report is not None
    _garble_behind(arena, report.synced_sequence, dice)
    again = arena.collector()
    arena.wait_live(again, events=10)
    if again.stop() != 0:
        return [again.ending()]
    return arena.judge(report.synced_sequence)


def _garble_behind(arena: Arena, synced: int, dice: random.Random) -> None:
    for segment in segments(arena.market.journal):
        with closing(SegmentReader(segment)) as reader:
            at = 0
            while (frame := reader.frame(at)) is not None:
                at += frame[0].length
            told = reader.synced
        durable = max(told, _end_of(segment, synced))
        if at > durable:
            garble(segment.path, durable, dice)
