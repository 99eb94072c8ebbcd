"""Damaged, swapped and renamed files of an archive: told in a sentence, never served as a book."""

from __future__ import annotations

import os
from contextlib import closing, suppress
from pathlib import Path

import pytest

from ordertape.errors import TapeCorrupt, TapeError
from ordertape.tape.archive import Archiver
from ordertape.tape.archive_files import list_files
from ordertape.tape.folder import MarketFolder, markets, slug
from ordertape.tape.reader import read_tape
from ordertape.tape.rebuild import rebuild
from ordertape.tape.verify import verify
from support.tape import Market, write_journal


def archive(folder: MarketFolder) -> None:
    with closing(Archiver(folder)) as archiver:
        archiver.finish()


def test_a_flipped_bit_in_the_archive_is_told_and_never_served_as_a_book(tmp_path: Path) -> None:
    folder = MarketFolder(tmp_path, "demo", "X/Y")
    market = Market(orders=600)
    write_journal(folder, market.messages(2_000, clear_every=1_500))
    archive(folder)
    truth = market.book.digest()
    told = []
    for kind in ("base-", "events-"):
        path = sorted(folder.archive.glob(f"{kind}*"))[-1]
        whole = path.read_bytes()
        for place in range(40, len(whole), len(whole) // 25):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << place % 8
            path.write_bytes(damaged)
            try:
                assert rebuild(folder.data, "demo", "X/Y").digest() == truth
            except TapeCorrupt as error:
                assert kind == "events-"  # in place of a base there is the one before it
                told.append(str(error))
            report = verify(folder.data, "demo", "X/Y")
            assert report.difference is not None
            told.append(str(report.difference))
            with suppress(TapeCorrupt):
                assert len(list(read_tape(folder.data, "demo", "X/Y"))) > 0
        path.write_bytes(whole)
    assert len(told) > 50
    assert all(str(folder.archive) in text or "digest" in text for text in told)


@pytest.mark.parametrize("pattern", ["base-*", "events-*"])
def test_a_file_of_another_market_or_under_another_name_is_not_believed(
    tmp_path: Path, pattern: str
) -> None:
    folders = [MarketFolder(tmp_path, "demo", symbol) for symbol in ("A/A", "B/B")]
    for folder in folders:
        write_journal(folder, Market(seed=ord(folder.symbol[0])).messages(50, clear_every=50))
        archive(folder)
    ours, theirs = (sorted(folder.archive.glob(pattern))[-1] for folder in folders)
    whole = ours.read_bytes()
    truth = rebuild(tmp_path, "demo", "A/A").digest()
    ours.write_bytes(theirs.read_bytes())
    assert "demo B/B" in str(verify(tmp_path, "demo", "A/A"))
    if pattern == "base-*":  # the one before it is
        assert rebuild(tmp_path, "demo", "A/A").digest() == truth
    else:
        with pytest.raises(TapeCorrupt, match="demo B/B"):
            rebuild(tmp_path, "demo", "A/A")
    ours.write_bytes(whole)
    rebuild(tmp_path, "demo", "A/A")
    ours.rename(ours.with_stem(f"{ours.stem[:-4]}9998"))
    with pytest.raises(TapeCorrupt, match="expected what the path says"):
        rebuild(tmp_path, "demo", "A/A")
    assert not verify(tmp_path, "demo", "A/A").equal


def test_a_broken_list_of_renames_is_one_sentence(tmp_path: Path) -> None:
    folder = MarketFolder(tmp_path, "demo", "X/Y")
    write_journal(folder, Market().messages(20, clear_every=20))
    archive(folder)
    (folder.archive / "commit.json").write_bytes(b'{"half')
    with pytest.raises(TapeCorrupt, match=r"commit\.json: expected a list of renames"):
        archive(folder)


def test_a_folder_whose_name_is_no_text_is_somebody_else_s(tmp_path: Path) -> None:
    write_journal(MarketFolder(tmp_path, "demo", "A/A"), Market().messages(3, clear_every=3))
    os.makedirs(os.fsencode(tmp_path) + b"/demo/\xff/journal")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/demo/\xff/journal/x.journal")).touch()
    assert [folder.symbol for folder in markets(tmp_path)] == ["A/A"]
    with pytest.raises(TapeError, match="bytes that are no text"):
        slug(os.fsdecode(b"\xff"))


def test_an_oldest_file_that_is_gone_is_a_gap_and_not_a_younger_tape(tmp_path: Path) -> None:
    folder = MarketFolder(tmp_path, "demo", "X/Y")
    write_journal(folder, Market().messages(300, clear_every=1_000))
    with closing(Archiver(folder, file_rows_max=64)) as archiver:
        archiver.finish()
    files = list_files(folder.archive)
    assert len(files) > 1
    assert verify(tmp_path, "demo", "X/Y").gaps == 0
    files[0].path.unlink()
    assert verify(tmp_path, "demo", "X/Y").missing_events == files[0].last_seq
