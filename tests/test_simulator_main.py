from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request

import pytest
from websockets.exceptions import ConnectionClosed
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
            _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")


def test_two_venues_show_the_same_markets_each_on_its_own_port() -> None:
    faults = '[{"kind":"close","connection":1,"message":2,"amount":1001}]'
    with _start("bitfinex", "coinbase", "--rate", "1000", "--faults", faults) as process:
        assert process.stdout is not None
        venues = json.loads(process.stdout.readline())["venues"]
        assert [venue["symbols"] for venue in venues.values()] == [["tBTCUSD"], ["BTC-USD"]]
        bitfinex, coinbase = venues.values()
        with connect(bitfinex["url"]) as client:
            assert json.loads(client.recv())["event"] == "info"
            client.send('{"event":"conf","flags":0}')
            with pytest.raises(ConnectionClosed) as closed:
                client.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1001
        with urllib.request.urlopen(coinbase["rest_url"] + "/products/BTC-USD/book") as answer:
            best = json.load(answer)
        with urllib.request.urlopen(bitfinex["rest_url"] + "/v2/book/tBTCUSD/R0") as answer:
            window = json.load(answer)
        assert abs(float(best["bids"][0][0]) / window[0][1] - 1) < 0.01
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")


def test_it_ends_when_its_parent_closes_the_pipe() -> None:
    with _start("--watch-parent") as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["symbols"] == ["tBTCUST"]
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--rate", "0"], f"expected a rate of 1 to {RATE_MAX}, found 0"),
        (["--symbol", "tNOBODY"], "no simulated market 'tNOBODY'"),
        (["--port", "70000"], "expected a port of 0 to 65535, found 70000"),
        (["--seed", "x"], "argument --seed: invalid int value: 'x'"),
        (["kraken"], "argument VENUE: invalid choice: 'kraken'"),
        (["--port", "1", "--port", "2"], "expected at most a port a venue, found 2"),
        (["--faults", "[{}]"], "expected faults as a JSON list of rules"),
        (["--faults", '[{"kind":"drop","every":-1}]'], "expected numbers of 0 or more in a fault"),
        (["--faults", "@/nowhere"], "can't read /nowhere: No such file"),
        (["--keys", "/nowhere"], "can't read /nowhere: No such file"),
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
        first.communicate(timeout=60)
    assert second.returncode == 1
    assert second.stderr.startswith(f"ordertape.simulator: can't listen on port {port}")
    assert len(second.stderr.splitlines()) == 1
