"""What a venue says is text: shown as it is, obeyed by no page, terminal, log or spreadsheet."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ordertape import cli
from ordertape._engine import BatchBuilder, OrderBook
from ordertape.events import EventKind, Side
from ordertape.models import StreamInfo
from ordertape.printable import visible, visible_line
from ordertape.roles.logs import configure_logs, logger
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter
from ordertape.tape.marks import Mark, gap_mark
from support.guarded import Guarded, guarded
from support.interface import RunningStreams
from support.server import API

HOSTILE = [
    '"><img src=x onerror=alert(1)>',
    "</script><script>alert(1)</script>",
    "\x1b]0;owned\x07\x1b[2J\x1b[31m",
    "\x9b31mC1",
    "[bold red]markup[/]",
    "[link=http://evil.example]x[/link]",
    '=HYPERLINK("http://evil.example","x")',
    "+1+1",
    "-2+3",
    "@SUM(1)",
    "\tTAB",
    "a\nL3_forged=line",
    "abc\u202edrowssap",
    "'; DROP TABLE level3_orders; --",
    "{{7*7}}${7*7}",
    "\u0000nul",
]
NOW = 1_763_800_000_000_000_000


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tape whose every order has such an id."""
    data = tmp_path_factory.mktemp("hostile") / "data"
    builder = BatchBuilder("intern", None, None, "int")
    builder.add(EventKind.CLEAR, None, None, None, None, NOW)
    for nth, text in enumerate(HOSTILE):
        side = Side.BID if nth % 2 else Side.ASK
        price = str(100 - nth if nth % 2 else 200 + nth)
        builder.add(EventKind.OPEN, side, text, price, "1", NOW + nth)
    with JournalWriter(MarketFolder(data, "bitfinex", "BTC/USD")) as journal:
        batch = builder.finish(1)
        OrderBook(codec=batch.codec).apply(batch)
        journal.append(batch)
        journal.mark(Mark("era", 1, NOW, {"era": 1}))
        journal.mark(gap_mark(batch.last_seq, NOW + 10**9, None, HOSTILE[2], era=1))
    return data


@pytest.fixture(scope="module")
def server(data: Path) -> Iterator[Guarded]:
    info = StreamInfo(exchange="bitfinex", symbol="BTC/USD", state="STALE", reason=HOSTILE[0])
    with guarded(data, RunningStreams([info])) as found:
        yield found


def obeyed(text: str) -> list[str]:
    """What a terminal would obey, line feeds apart."""
    return re.findall("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text)


def test_every_answer_has_the_very_text_and_is_no_page(server: Guarded) -> None:
    answer = server.get(f"{API}/orders/bitfinex/BTC/USD?event_type=open")
    assert [order["order_id"] for order in answer.json()["orders"]] == HOSTILE
    book = server.get(f"{API}/snapshot/bitfinex/BTC/USD")
    ids = {order["order_id"] for side in ("bids", "asks") for order in book.json()[side]}
    assert ids == set(HOSTILE)
    for found in (answer, book):
        assert found.headers["content-type"] == "application/json"
        assert found.headers["x-content-type-options"] == "nosniff"
        assert found.headers["content-security-policy"].startswith("default-src 'none'")


def test_an_order_is_found_by_such_an_id_and_by_nothing_else(server: Guarded) -> None:
    for text in HOSTILE:
        answer = server.get(f"{API}/orders/bitfinex/BTC/USD", params={"order_id": text})
        assert [order["order_id"] for order in answer.json()["orders"]] == [text]


def test_the_page_shows_it_as_text(server: Guarded) -> None:
    page = server.get("/plain").text
    assert "&quot;&gt;&lt;img src=x onerror=alert(1)&gt;" in page
    assert "<img" not in page


def test_what_a_client_sends_comes_back_as_text(server: Guarded) -> None:
    for text in HOSTILE:
        answer = server.get(f"{API}/orders/bitfinex/BTC/USD", params={"side": text})
        assert answer.status_code == 422
        assert answer.headers["content-type"] == "application/json"
        assert set(answer.json()) == {"detail"}


def test_the_terminal_shows_it_and_obeys_none_of_it(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["--data", str(data), "book", "bitfinex", "BTC/USD"]) == 0
    said = capsys.readouterr().out
    assert obeyed(said) == []
    for shown in ("[bold red]markup[/]", "[link=http://evil.example]x[/link]", r"\u001b[2J"):
        assert shown in said
    assert r"a\nL3_forged=line" in said
    cli.run(["--data", str(data), "verify", "bitfinex", "BTC/USD"])
    said = capsys.readouterr().out
    assert r"\u001b]0;owned" in said
    assert obeyed(said) == []
    assert cli.run(["--data", str(data), "book", "bitfinex", "\x1b[2J"]) != 0
    assert obeyed(capsys.readouterr().err) == []


def test_json_from_the_terminal_is_json_with_the_very_text(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["--data", str(data), "book", "bitfinex", "BTC/USD", "--json"]) == 0
    said = capsys.readouterr().out
    assert obeyed(said) == []
    book = json.loads(said)
    assert {o["order_id"] for side in ("bids", "asks") for o in book[side]} == set(HOSTILE)


def test_no_cell_of_a_csv_file_is_a_formula(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--data", str(data), "export", "csv", "bitfinex", "BTC/USD", "--out", str(tmp_path)]
    assert cli.run(command) == 0, capsys.readouterr().err
    (path,) = tmp_path.glob("*.csv")
    with path.open(newline="", encoding="utf-8") as file:
        ids = [row["order_id"] for row in csv.DictReader(file)]
    assert [text.removeprefix("'") for text in ids[1:]] == [t.removeprefix("'") for t in HOSTILE]
    assert [text for text in ids if text[:1] in ("=", "+", "-", "@", "\t", "\r")] == []
    armed = [text for text in HOSTILE if text[0] in "=+-@\t\r"]
    assert len([text for text in ids if text[:1] == "'" and text[1:] in armed]) == len(armed) == 5


def test_a_log_line_is_one_line_of_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(tmp_path)
    for text in HOSTILE:
        logger("test").warning("L3_said", text=text)
    lines = (tmp_path / "app.log").read_text().split("\n")
    assert len(lines) == len(HOSTILE) + 1
    assert all(" event=L3_said " in f" {line} " for line in lines[:-1])
    assert obeyed("".join(lines)) == []
    assert obeyed(capsys.readouterr().err) == []


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_visible_is_the_same_text_and_obeyed_by_nothing(text: str) -> None:
    assert obeyed(visible(text)) == []
    assert json.loads(json.dumps(visible(text)).replace("\\\\u", "\\u")) == text
    assert "\n" not in visible_line(text)
    assert visible("plain text, häßlich 注文 €") == "plain text, häßlich 注文 €"
