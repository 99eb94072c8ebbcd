"""``ordertape import``: a summary, one line of JSON, and one sentence where a file is bad."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from ordertape import cli
from ordertape.replay.capture_file import CaptureWriter
from ordertape.roles.status import StreamReport, write_report
from ordertape.simulator.bitfinex_frames import frames
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter
from ordertape.tape.marks import Mark

MESSAGES = (
    "34200.1,1,11,100,5853300,1\n"
    "34200.2,1,12,50,5854000,-1\n"
    "34200.3,4,11,40,5853300,1\n"
    "34200.4,3,12,50,5854000,-1\n"
    "34200.5,7,0,0,-1,-1\n"
)
AAPL = ("--exchange", "nasdaq", "--symbol", "AAPL", "--date", "2012-06-21")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ORDERTAPE_DATA", raising=False)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = cli.run(arguments)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_a_lobster_file_becomes_a_tape_once(capsys: pytest.CaptureFixture[str]) -> None:
    Path("m.csv").write_text(MESSAGES)
    status, out, err = run(capsys, "import", "lobster", "m.csv", *AAPL)
    assert (status, err) == (0, "")
    assert out.startswith("nasdaq AAPL: 5 events, seq 1 to 5, 2012-06-21T13:30:00")
    assert "2 open" in out
    status, out, err = run(capsys, "import", "lobster", "m.csv", *AAPL)
    assert (status, err) == (0, "")
    assert out == "nasdaq AAPL: m.csv is in the tape already; nothing was added\n"
    status, out, _ = run(capsys, "book", "nasdaq", "AAPL", "--json")
    assert status == 0
    assert '"bids":[{"order_id":"11","price":585.33,"size":60}],"asks":[]' in out
    assert json.loads(out)["simulated"] is False
    assert run(capsys, "verify", "nasdaq", "AAPL")[0] == 0


@pytest.mark.parametrize(
    "command", [("import", "lobster", "m.csv", *AAPL), ("collect", "bitfinex", "ETH/USD")]
)
def test_nothing_real_is_added_to_the_folder_of_a_demonstration(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("m.csv").write_text(MESSAGES)
    market = MarketFolder(Path("data-demo"), "bitfinex", "BTC/USDT")
    with JournalWriter(market) as journal:
        journal.mark(Mark("simulated", 0, 0, {"simulated": True}))
    write_report(
        market.root,
        StreamReport(
            exchange="bitfinex", symbol="BTC/USDT", pid=1, simulated=True, state="STOPPED"
        ),
    )
    status, out, err = run(capsys, *command, "--data", "data-demo")
    assert (status, out) == (1, "")
    assert err == (
        "ordertape: data-demo is a demonstration's (bitfinex BTC/USDT is simulated), nothing real "
        "is added to it: choose another --data\n"
    )
    assert sorted(path.name for path in Path("data-demo").iterdir()) == ["bitfinex"]


def test_json_is_one_line_and_says_whether_it_was_a_repeat(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with gzip.open("m.csv.gz", "wt") as file:
        file.write(MESSAGES)
    arguments = ("import", "lobster", "m.csv.gz", *AAPL, "--json", "--data", "elsewhere")
    first, second = (run(capsys, *arguments)[1] for _ in range(2))
    assert first.count("\n") == second.count("\n") == 1
    assert (json.loads(first)["events"], json.loads(first)["repeated"]) == (5, False)
    assert (json.loads(second)["events"], json.loads(second)["repeated"]) == (0, True)
    assert Path("elsewhere/nasdaq/AAPL").is_dir()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (MESSAGES + "34200.6,1,13,xyz,5853300,1\n", ("m.csv", "line 6", "xyz")),
        (MESSAGES + "34200.6,1,13\n", ("m.csv", "line 6")),
        ("", ("m.csv",)),
        ("\0\0\0", ("m.csv",)),
    ],
)
def test_a_malformed_file_is_one_sentence_and_nothing_is_half_imported(
    text: str, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("m.csv").write_text(text)
    status, out, err = run(capsys, "import", "lobster", "m.csv", *AAPL)
    assert (status, out) == (1, "")
    assert err.count("\n") == 1
    assert all(word in err for word in words)
    assert run(capsys, "status")[1] == "no tape in data\n"


def test_a_file_that_is_not_there_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["lobster", "no.csv", *AAPL], ["databento", "no.dbn"]):
        status, _, err = run(capsys, "import", *command)
        assert status == 1
        assert err.count("\n") == 1
        assert command[1] in err


def test_a_capture_becomes_a_tape(capsys: pytest.CaptureFixture[str]) -> None:
    with CaptureWriter("c.jsonl.zst") as writer:
        for ts, text in frames(7, 300):
            writer.write(ts, "ws", "wss://venue/ws/2", text)
    arguments = ("import", "capture", "c.jsonl.zst", "--exchange", "bitfinex")
    status, out, err = run(capsys, *arguments, "--symbol", "tBTCUST")
    assert (status, err) == (0, "")
    assert out.startswith("bitfinex BTC/USDT: ")
    status, out, _ = run(capsys, "verify", "bitfinex", "BTC/USDT", "--json")
    assert status == 0
    assert json.loads(out)["faults"] == 0
    status, out, err = run(capsys, *arguments, "--symbol", "ETH/USDT")
    assert status == 1
    assert "tBTCUST" in err
    assert err.count("\n") == 1
