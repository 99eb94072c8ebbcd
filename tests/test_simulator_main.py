from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest
from websockets.sync.client import connect

from ordertape.simulator.markets import RATE_MAX

COMMAND = [sys.executable, "-m", "ordertape.simulator"]


def _start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_prints_its_address_serves_and_ends_cleanly(number: signal.Signals) -> None:
    arguments = ["bitfinex", "--port", "0", "--seed", "9", "--symbol", "tETHUST", "--rate", "100"]
    with _start(*arguments) as process:
        assert process.stdout is not None
        line = json.loads(process.stdout.readline())
        assert (line["symbols"], line["seed"]) == (["tETHUST"], 9)
        with connect(line["url"]) as client:
            assert json.loads(client.recv())["event"] == "info"
            process.send_signal(number)
            _, errors = process.communicate(timeout=10)
        assert (process.returncode, errors) == (0, "")


def test_it_ends_when_its_parent_closes_the_pipe() -> None:
    with _start("--watch-parent") as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["symbols"] == ["tBTCUST"]
        _, errors = process.communicate(timeout=10)
        assert (process.returncode, errors) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--rate", "0"], f"expected a rate of 1 to {RATE_MAX}, found 0"),
        (["--symbol", "tNOBODY"], "no simulated market 'tNOBODY'"),
        (["--port", "70000"], "expected a port of 0 to 65535, found 70000"),
        (["--seed", "x"], "argument --seed: invalid int value: 'x'"),
        (["kraken"], "argument venue: invalid choice: 'kraken'"),
    ],
)
def test_a_wrong_command_line_is_one_sentence_and_status_2(
    arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from ordertape.simulator.__main__ import main

    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert reason in lines[0]


def test_a_taken_port_is_named() -> None:
    with _start() as first:
        assert first.stdout is not None
        port = json.loads(first.stdout.readline())["url"].split(":")[-1].split("/")[0]
        second = subprocess.run([*COMMAND, "--port", port], capture_output=True, text=True)
        first.terminate()
        first.communicate(timeout=10)
    assert second.returncode == 1
    assert second.stderr.startswith(f"ordertape.simulator: can't listen on port {port}")
    assert len(second.stderr.splitlines()) == 1
