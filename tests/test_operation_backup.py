"""The operator's page tried: its commands back up a live system, and what they made is restored."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest

from ordertape import OrderBook, cli
from ordertape.database.address import Address
from ordertape.database.binaries import bundled
from ordertape.database.embedded import EmbeddedServer
from ordertape.errors import ImportRefused
from ordertape.events import Flag
from ordertape.roles.demonstration import Demonstration, refuse_demonstration
from ordertape.tape import backup
from ordertape.tape.archive import Archiver
from ordertape.tape.backup import back_up
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter
from ordertape.tape.marks import Mark
from ordertape.tape.reader import TapeReader
from ordertape.tape.segment import segments
from ordertape.tape.verify import verify
from support.processes import SYMBOL, simulated_venue, wait_for
from support.roles_server import Launched, launched, rows
from support.server import API
from support.tape import Market

DEMO = ("bitfinex", "BTC/USD")
PAGE = (Path(__file__).resolve().parent.parent / "docs" / "operations.md").read_text("utf-8")

RULES = f"{API.removesuffix('/level3')}/alerts/rules"


def shown(section: str) -> list[str]:
    """The commands that a section of the page shows to be run."""
    text = PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    found = "".join(re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    return [line.partition("#")[0].strip() for line in found.splitlines()]


def run(command: str, data: Path, *, target: Path) -> str:
    """What a command of the page prints, with the folders of this test in the place of its own."""
    command = command.replace("/mnt/backup/ordertape", shlex.quote(str(target)))
    command = command.replace("bitfinex BTC/USDT", f"bitfinex {SYMBOL}")
    here = Path(sys.executable).parent
    done = subprocess.run(
        ["bash", "-euc", command],
        env={
            **os.environ,
            "PATH": f"{here}:{bundled().bin}:{os.environ['PATH']}",
            "ORDERTAPE_DATA": str(data),
            "ORDERTAPE_LOGS": str(data.parent / "logs"),
            "DATABASE_URL": "",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


def serving(data: Path, venue: dict[str, str]) -> AbstractContextManager[Launched]:
    command = ("ordertape", "serve", "--port", "0", "--data", str(data))
    return launched(data, {**venue, "DATABASE_URL": ""}, command=command, path=f"{API}/streams")


def database_of(data: Path) -> Address:
    return Address("otc_analysis", embedded=EmbeddedServer(data))


def test_the_commands_of_the_page_back_up_a_live_system_and_restore_it(tmp_path: Path) -> None:
    data, target = tmp_path / "live" / "data", tmp_path / "backup"
    back, dump, prove, drop, empty, read_back = shown("Backup and restore")
    with simulated_venue(rate=1000) as venue:
        with serving(data, venue) as server:
            server.wait_up()
            wish = {"symbol": SYMBOL, "exchanges": ["bitfinex"]}
            answer = httpx.post(f"{server._address}{API}/start", json=wish, timeout=120)
            assert answer.status_code == 200, answer.text
            server.wait_live(events=500)
            rule = {"kind": "gap", "exchange": "bitfinex", "symbol": SYMBOL}
            asked = server._address + RULES  # answered once the keeper has made the tables
            wait_for(lambda: httpx.post(asked, json=rule).is_success, "the rule", pause=0.2)
            rules = server.get(RULES)["rules"]
            assert len(rules) == 1
            said = [run(back, data, target=target), run(back, data, target=target)]
            reached = [int(re.search(r"up to sequence (\d+)", text)[1]) for text in said]
            assert reached[0] < reached[1]  # it went on meanwhile
            wait_for(lambda: rows(database_of(data)) > reached[1], "rows", pause=0.2)
            run(dump, data, target=target)
            assert "COPY otc_analysis.events_" in Path(f"{target}.sql").read_text()
            run(prove, data, target=target)
        # Killed, all of it.  What the copy has is what the tape has, to the place in the queue.
        last = reached[1]
        assert events(target) == [event for event in events(data) if event[0] <= last]
        assert events(target)[-1][0] == last
        assert digest(target, last) == digest(data, last)

        # Elsewhere; its database knows more than the tape that was restored.
        shutil.move(data / "postgresql", target / "postgresql")
        run(empty, tmp_path / "elsewhere", target=target)
        run(read_back, tmp_path / "elsewhere", target=target)
        database = database_of(tmp_path / "elsewhere")
        database.acquire()
        assert rows(database) > reached[1]
        database.release()
        said = run(drop, target, target=target)
        assert "kept alert_rules and alerts" in said
        with serving(target, venue) as server:
            server.wait_live(era=2, events=200)
            wait_for(lambda: rows(database_of(target)) > last, "rows from the tape", pause=0.2)
            gaps = server.get(f"{API}/gaps/bitfinex/{SYMBOL}")["gaps"]
            assert gaps[-1]["reason"] == "not collected"
            assert gaps[-1]["healed_by"] > last
            assert server.get(RULES)["rules"] == rules
            server.send(signal.SIGTERM)
            server.wait_gone()
    assert verify(target, "bitfinex", SYMBOL).equal
    numbers = [event[0] for event in events(target)]
    assert numbers == list(range(1, len(numbers) + 1))


def events(data: Path) -> list[tuple[int, ...]]:
    """(seq, kind, id, price, size) of every event on the tape."""
    found: list[tuple[int, ...]] = []
    for batch in TapeReader(data, "bitfinex", SYMBOL).batches():
        table = batch.to_arrow()
        names = ("seq", "kind", "order_id", "price", "size", "flags")
        columns = [table[name].to_pylist() for name in names]
        found += [row[:5] for row in zip(*columns, strict=True) if not row[5] & Flag.SNAPSHOT]
    return found


def digest(data: Path, last: int) -> str:
    """Of the book after that event."""
    book = OrderBook()
    for batch in TapeReader(data, "bitfinex", SYMBOL).batches():
        book.apply(batch[: batch.search_seq(last + 1)])
    assert book.seq == last
    return book.digest()


# The parts ----------------------------------------------------------------------------------------


def test_what_the_keeper_moves_during_a_backup_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worst moment: the journal is copied, then all of it is archived and more is written."""
    folder, market = MarketFolder(tmp_path / "data", "bitfinex", SYMBOL), Market()
    target = tmp_path / "copy"
    with JournalWriter(folder, segment_bytes=2**16) as journal:

        def write() -> None:
            for batch in market.messages(800):
                journal.append(batch)
            journal.sync()

        def move_and_look(source: MarketFolder) -> list[Path]:
            write()
            Archiver(folder).finish()
            write()
            return look(source)

        look = backup._archive
        monkeypatch.setattr(backup, "_archive", move_and_look)
        write()
        (tape,) = back_up(folder.data, target)
        assert tape.sequence > 0
        copied, all_there = events(target), events(folder.data)
        assert copied == all_there[: len(copied)]
        assert len(copied) == tape.sequence
        monkeypatch.undo()
        (again,) = back_up(folder.data, target)
        assert events(target) == all_there
        assert again.sequence == market.book.seq
        assert {
            s.path.name for s in segments(MarketFolder(target, "bitfinex", SYMBOL).journal)
        } == {segment.path.name for segment in segments(folder.journal)}
    # What was restored goes on.
    restored = MarketFolder(target, "bitfinex", SYMBOL)
    with JournalWriter(restored) as journal:
        assert journal.recovered.last_seq == market.book.seq
        journal.append(market.message())
    assert verify(target, "bitfinex", SYMBOL).equal


def test_a_tape_restored_from_between_journal_and_archive_goes_on(tmp_path: Path) -> None:
    """The archive of a copy may know more than its journal."""
    folder, market = MarketFolder(tmp_path / "data", "bitfinex", SYMBOL), Market()
    target = MarketFolder(tmp_path / "copy", "bitfinex", SYMBOL)
    with JournalWriter(folder, segment_bytes=2**16) as journal:
        for batch in market.messages(800):
            journal.append(batch)
        journal.sync()
        back_up(folder.data, target.data)
        for batch in market.messages(800):
            journal.append(batch)
        journal.sync()
        Archiver(folder).finish()
    shutil.copytree(folder.archive, target.archive, dirs_exist_ok=True)
    with JournalWriter(target) as journal:
        assert journal.recovered.last_seq == market.book.seq
        journal.append(market.message())
    assert events(target.data)[-1][0] == market.book.seq
    assert verify(target.data, "bitfinex", SYMBOL).equal


def test_lists_and_keys_are_in_a_backup_but_nothing_that_is_worth_nothing_there(
    tmp_path: Path,
) -> None:
    data, target = tmp_path / "data", tmp_path / "copy"
    folder = MarketFolder(data, "bitfinex", SYMBOL)
    with JournalWriter(folder) as journal:
        journal.append(Market().message())
    (data / "keys.json").write_text("{}")
    (data / "keys.json").chmod(0o600)
    (data / "bookmarks.json").write_text("{}")
    (data / "bitfinex" / "wanted.json").write_text("{}")
    (data / "postgresql").mkdir()
    (data / "database.json").write_text("{}")
    back_up(data, target)
    kept = {path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()}
    name = segments(folder.journal)[0].path.name
    assert kept == {
        *("keys.json", "bookmarks.json", "bitfinex/wanted.json"),
        f"bitfinex/BTC%2FUSDT/journal/{name}",
    }
    assert (target / "keys.json").stat().st_mode & 0o777 == 0o600


def test_a_demonstration_s_copy_is_one_still(tmp_path: Path) -> None:
    """By its own mark: what its collector reported is not copied."""
    data, target = tmp_path / "data", tmp_path / "copy"
    with JournalWriter(MarketFolder(data, *DEMO)) as journal:
        journal.mark(Mark("simulated", 0, 0, {"simulated": True}))
        journal.append(Market().message())
    back_up(data, target)
    Demonstration().refuse_real(target)
    with pytest.raises(ImportRefused, match="bitfinex BTC/USD is simulated"):
        refuse_demonstration(target)


def test_a_backup_of_nothing_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["backup", str(tmp_path / "copy"), "--data", str(tmp_path / "data")]) == 1
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert said.err.startswith(f"ordertape: no tape in {tmp_path / 'data'}, so nothing was backed")
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("target", ["data", "data/copy", "."])
def test_a_backup_inside_what_it_copies_is_refused(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.run(["backup", target, "--data", "data"]) == 2
    said = capsys.readouterr().err
    assert "expected a folder beside it" in said
    assert said.count("\n") == 1
