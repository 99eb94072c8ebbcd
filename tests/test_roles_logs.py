"""Logs: one rotated file for every process, warnings on the console."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import ordertape
from ordertape import limits
from ordertape.roles.logs import configure_logs, logger


@pytest.fixture(autouse=True)
def quiet_afterwards() -> Iterator[None]:
    yield
    root = logging.getLogger("ordertape")
    for handler in root.handlers[:]:
        root.removeHandler(handler)
        handler.close()


def test_everything_goes_to_the_file_and_warnings_to_the_console(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs(tmp_path / "logs")
    logger("collector").info("L3_stream_live", market="bitfinex BTC/USDT", era=2)
    logger("collector").warning("L3_stream_stale", reason="silence")
    lines = (tmp_path / "logs" / "app.log").read_text().splitlines()
    assert len(lines) == 2
    assert 'event=L3_stream_live logger=ordertape.collector market="bitfinex BTC/USDT"' in lines[0]
    assert capsys.readouterr().err == "warning L3_stream_stale reason=silence\n"


def test_what_a_library_logs_has_a_name_of_ours(tmp_path: Path) -> None:
    configure_logs(tmp_path, console=False)
    logging.getLogger("ordertape.socket.16").error("WS parser error: %s", "odd")
    (line,) = (tmp_path / "app.log").read_text().splitlines()
    assert 'event=L3_library logger=ordertape.socket.16 detail="WS parser error: odd"' in line


def test_an_error_keeps_its_traceback_for_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs(tmp_path)
    try:
        raise ValueError("odd")
    except ValueError:
        logger("cli").exception("L3_unexpected_error")
    (line,) = (tmp_path / "app.log").read_text().splitlines()
    assert "Traceback" in line
    assert "Traceback" not in capsys.readouterr().err


def test_a_log_that_can_not_be_written_stops_nothing_and_is_said_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "logs").write_text("a file where the folder should be")
    configure_logs(tmp_path / "logs", console=False)
    for _ in range(3):
        logger("cli").warning("L3_something")
    assert capsys.readouterr().err.count("can't be written") == 1


def test_two_processes_fill_and_rotate_one_file_without_losing_a_line(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from ordertape import limits;"
        "limits.log_file_bytes_max = 20_000; limits.log_files_kept = 100;"
        "from ordertape.roles.logs import configure_logs, logger;"
        "configure_logs(Path(sys.argv[1]), console=False);"
        "log = logger('test');"
        "[log.info('L3_line', number=n, who=sys.argv[2]) for n in range(1000)]"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path), who]) for who in "ab"
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    files = sorted(tmp_path.glob("app.log*"))
    texts = [file.read_text() for file in files if file.suffix != ".lock"]
    lines = [line for text in texts for line in text.splitlines()]
    assert len(files) > 3
    assert len(set(lines)) == len(lines) == 2000
    assert all(file.stat().st_size < 25_000 for file in files)


def test_only_so_many_rotated_files_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "log_file_bytes_max", 500)
    configure_logs(tmp_path, console=False)
    for number in range(200):
        logger("test").info("L3_line", number=number)
    assert len(list(tmp_path.glob("app.log.[0-9]*"))) == limits.log_files_kept


def test_every_event_name_begins_with_l3() -> None:
    package = Path(ordertape.__file__).parent
    names = [
        name
        for path in package.rglob("*.py")
        for name in re.findall(
            r"""_?log(?:ger\("\w+"\))?\.(?:info|warning|error|exception)\(\s*"([^"]*)""",
            path.read_text(),
        )
    ]
    assert len(names) > 8
    assert [name for name in names if not re.fullmatch(r"L3_[a-z_]+", name)] == []
