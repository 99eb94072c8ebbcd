"""Whatever goes wrong is one sentence and a status; no traceback reaches a person."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from ordertape import cli
from ordertape.commands import status as status_command
from ordertape.tape.folder import MarketFolder
from support.tape import Market, write_journal


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ORDERTAPE_DATA", raising=False)
    (tmp_path / "here").write_text("")
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = cli.run(arguments)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


COMMANDS = (
    "collect",
    "import lobster",
    "import databento",
    "import capture",
    "book",
    "watch",
    "verify",
    "export",
    "serve",
    "demo",
    "venues",
    "status",
)


@pytest.mark.parametrize("command", ["", "import", *COMMANDS])
def test_help_is_everywhere(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, *command.split(), "--help")
    assert status == 0
    assert "Usage: ordertape" in out
    assert not err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nonsense"], "nonsense"),
        (["book"], "EXCHANGE"),
        (["book", "bitfinex"], "SYMBOL"),
        (["book", "bitfinex", "BTC/USDT", "--depth", "many"], "many"),
        (["book", "bitfinex", "BTC/USDT", "--depth", "-1"], "-1"),
        (["book", "bitfinex", "BTC/USDT", "--colour"], "--colour"),
        (["collect", "bitfinex"], "SYMBOL"),
        (["import", "lobster"], "MESSAGES"),
        (["import", "magic", "file"], "magic"),
        (["export", "excel", "bitfinex", "BTC/USDT", "--out", "x"], "excel"),
        (["export", "csv", "bitfinex", "BTC/USDT"], "--out"),
        (["demo", "--rate", "0"], "0"),
        (["serve", "--port", "65536"], "65536"),
        (["book", "bitfinex", "BTC/USDT", "--at", "yesterday"], "yesterday"),
        (["collect", "mtgox", "BTC/USD"], "there is no venue 'mtgox'"),
        (["import", "capture", "here", "--exchange", "mtgox", "--symbol", "BTC/USD"], "mtgox"),
        (["import", "capture", "here", "--exchange", "bitfinex", "--symbol", "?"], "'?' is no"),
        (["import", "lobster", "here", "--exchange", "", "--symbol", "S"], "--exchange is ''"),
        (["import", "databento", "here", "--symbol", " "], "--symbol is ' '"),
        (
            ["import", "lobster", "here", "--exchange", "e", "--symbol", "S", "--date", "1.2.2012"],
            "--date is '1.2.2012'",
        ),
    ],
)
def test_a_wrong_command_line_is_one_sentence_and_status_2(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run(capsys, *arguments)
    assert status == 2
    assert words in err
    assert err.count("\n") == 1
    assert err.startswith("ordertape: ")
    assert not out


def test_a_setting_that_can_not_be_used_is_status_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("L3_SNAPSHOT_INTERVAL", "often")
    status, _, err = run(capsys, "status")
    assert status == 2
    assert err.startswith("ordertape: L3_SNAPSHOT_INTERVAL is 'often': ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("command", ["book", "verify", "watch"])
def test_a_market_without_a_tape_is_one_sentence_and_status_1(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run(capsys, command, "bitfinex", "BTC/USDT")
    assert (status, out) == (1, "")
    assert err == "ordertape: no tape of bitfinex BTC/USDT in data; it holds none at all\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["import", "lobster", "gone_2012-06-21_.csv", "--exchange", "e", "--symbol", "S"],
        ["import", "databento", "gone.dbn"],
        ["import", "capture", "gone.jsonl", "--exchange", "bitfinex", "--symbol", "BTC/USD"],
    ],
)
def test_a_missing_file_is_one_sentence_and_status_1(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (1, "")
    assert err == f"ordertape: {arguments[2]}, opening: No such file or directory\n"


@pytest.mark.parametrize("end", ["2026-11-21", "2026-11-22"])
def test_a_start_that_is_not_before_the_end_is_one_sentence_and_status_2(
    end: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_journal(MarketFolder(tmp_path / "data", "venue", "A/B"), Market().messages(3))
    command = ["export", "csv", "venue", "A/B", "--out", "out", "--start", "2026-11-22"]
    status, out, err = run(capsys, *command, "--end", end)
    assert (status, out) == (2, "")
    assert err == (f"ordertape: --start is '2026-11-22': expected a moment before --end '{end}'\n")
    assert not (tmp_path / "out").exists()


def test_collecting_without_a_tape_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("L3_PERSIST_ENABLED", "false")
    status, _, err = run(capsys, "collect", "bitfinex", "BTC/USD")
    assert status == 2
    assert "L3_PERSIST_ENABLED" in err


def test_a_data_folder_that_can_not_be_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    status, _, err = run(capsys, "book", "bitfinex", "BTC/USDT", "--data", str(tmp_path / "file"))
    assert status == 1
    assert err.count("\n") == 1


def test_a_defect_of_ours_is_one_sentence_and_its_traceback_is_in_the_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def defect(*_: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(status_command, "markets", defect)
    status, _, err = run(capsys, "status")
    assert status == 1
    assert "unexpected ZeroDivisionError: division by zero" in err
    assert "Traceback" not in err
    assert "Traceback" in (tmp_path / "logs" / "app.log").read_text()


def test_without_a_command_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys)
    assert status == 2
    assert "Usage: ordertape" in out + err


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "--version")
    assert status == 0
    assert out.strip().replace(".", "").isdigit()


def test_a_reader_that_leaves_early_hears_nothing() -> None:
    command = f"{shlex.quote(sys.executable)} -m ordertape.cli venues --json | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.stderr == ""


def test_venues_say_what_they_can_not_prove(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "venues", "--json")
    assert status == 0
    assert '"exchange":"bitfinex"' in out
    assert '"checksum":' in out
    status, out, _ = run(capsys, "venues")
    assert "bitfinex" in out
    assert "checksum" in out
