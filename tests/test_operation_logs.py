"""Every line about a market says which, and in which era: in whatever process it was written."""

from __future__ import annotations

import ast
import re
from io import StringIO
from pathlib import Path

import structlog

import ordertape
from ordertape.eras import EraNow
from ordertape.roles.logs import configure_logs, logger, market_logger
from support.processes import SYMBOL, simulated_venue, start_collector, wait_for, wait_live

PACKAGE = Path(ordertape.__file__).parent
LEVELS = {"info", "warning", "error", "exception"}


def lines(folder: Path) -> list[dict[str, str]]:
    """The fields of each line of app.log."""
    text = (folder / "app.log").read_text()
    return [
        {name: value.strip('"') for name, value in re.findall(r'(\w+)=("[^"]*"|\S+)', line)}
        for line in text.splitlines()
    ]


def test_the_era_of_a_line_is_the_one_of_its_moment(tmp_path: Path) -> None:
    configure_logs(tmp_path, console=False)
    era = 1
    log = market_logger("test", "bitfinex BTC/USD", lambda: era)
    log.info("L3_first")
    era = 2
    log.info("L3_second")
    logger("test").info("L3_third")
    first, second, third = lines(tmp_path)
    assert (first["market"], first["era"]) == ("bitfinex BTC/USD", "1")
    assert second["era"] == "2"
    assert "era" not in third


def test_the_era_is_a_number_whoever_writes_the_line() -> None:
    """Also where no log was set up, as in somebody else's process that uses a part of ours."""
    era = 1
    shown = StringIO()
    log = structlog.wrap_logger(
        structlog.PrintLogger(shown), processors=[structlog.processors.KeyValueRenderer()]
    ).bind(era=EraNow(lambda: era))
    log.info("L3_first")
    era = 2
    log.info("L3_second")
    assert shown.getvalue() == "era=1 event='L3_first'\nera=2 event='L3_second'\n"


def test_no_logger_of_ours_binds_what_only_some_would_ask() -> None:
    bound = {
        ast.unparse(keyword.value).partition("(")[0]
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "bind"
        for keyword in node.keywords
        if keyword.arg == "era"
    }
    assert bound == {"EraNow"}


def test_the_life_of_a_stream_stands_in_the_log_with_market_and_era(tmp_path: Path) -> None:
    data, logs = tmp_path / "data", tmp_path / "logs"
    with simulated_venue() as venue:
        for _ in range(2):
            collector = start_collector(data, venue)
            wait_live(data, collector, events=20)
            collector.stop()
        wait_for(lambda: any(line.get("now") == "STOPPED" for line in lines(logs)), "its end")
    told = [line for line in lines(logs) if "market" in line]
    assert {line["market"] for line in told} == {f"bitfinex {SYMBOL}"}
    assert all(line["era"].isdecimal() for line in told)
    states = [(line["now"], line["era"]) for line in told if line["event"] == "L3_state"]
    assert [era for state, era in states if state == "STOPPED"] == ["1", "2"]
    gaps = [line for line in told if line["event"].startswith("L3_gap")]
    assert [line["event"] for line in gaps] == ["L3_gap", "L3_gap_healed"]
    assert gaps[0]["reason"] == "not collected"


def test_no_line_names_a_market_by_other_words() -> None:
    """``market`` and ``era`` go together, and nothing is called exchange and symbol."""
    wrong = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            names = {keyword.arg for keyword in node.keywords}
            first = node.args[0] if node.args else None
            says = (
                node.func.attr in LEVELS
                and isinstance(first, ast.Constant)
                and str(first.value).startswith("L3_")
            )
            if (says or (node.func.attr == "bind" and names)) and (
                "symbol" in names or ("market" in names) != ("era" in names)
            ):
                wrong.append(f"{path.relative_to(PACKAGE)}:{node.lineno}")
    assert wrong == []


def test_every_logger_of_ours_reaches_the_log_file() -> None:
    """structlog's own loggers have to be named below ``ordertape``."""
    named = {
        (path.name, name)
        for path in PACKAGE.rglob("*.py")
        for name in re.findall(r'get_logger\(f?"([^"]*)"', path.read_text(encoding="utf-8"))
    }
    assert len(named) > 4
    assert [pair for pair in sorted(named) if not pair[1].startswith("ordertape.")] == []
