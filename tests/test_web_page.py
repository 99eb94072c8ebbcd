"""The web page in a real Chromium, on a real server with a simulated market."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from ordertape.api.front import BUILT
from ordertape.roles.demonstration import free_port
from support.processes import wait_for

WEB = Path(__file__).resolve().parent.parent / "web"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PROMISES = (
    "a live book within 3 s",
    "the market is named live and simulated",
    "its pixels are those of a renderer without WebGL",
    "the live heatmap is drawn, and as without WebGL",
    "keys do what the help says",
    "dragging pans, the wheel zooms where it stands, a box can be left again",
    "a rule made here fires, and a click on its alert is where it fired",
    "contrast is typed, a stretch is taken along, a bookmark is kept by the server",
    "an order id made of HTML does nothing",
    "another group of prices is another picture",
    "recordings are listed, and one is replayed from where it begins",
    "what came and went is a layer, drawn as without WebGL",
    "a replay that is played fast is followed, and live has its past again",
    "screens have addresses, and say what the server does",
    "findings are drawn and listed, and one leads to its replay",
    "axe finds no serious violation",
    "a lost context comes back with all of its columns",
    "no error was told and no policy broken",
    "a server that is gone makes it stale, and it recovers alone",
)


class Demo:
    """`ordertape demo` as people run it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.address = f"http://127.0.0.1:{self.port}/"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "ordertape", "demo", "--port", str(self.port)]
        with (self.folder / "demo.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=self.folder, stdout=log, stderr=log, start_new_session=True
            )
        wait_for(self._is_live, "a live market", pause=0.1)

    def _is_live(self) -> bool:
        where = f"{self.address}api/v1/orderbook-heatmap/level3/streams"
        try:
            with urllib.request.urlopen(where, timeout=5) as answer:
                streams = json.load(answer)["streams"]
        except (urllib.error.URLError, OSError):
            return False
        return any(stream["state"] == "LIVE" for stream in streams)

    def end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[bool, str]]]:
    """What the browser found, promise by promise."""
    if not (BUILT / "index.html").is_file() or not (WEB / "node_modules").is_dir():
        pytest.skip("the web page is not built: Node 20.19 or newer is needed, then `make setup`")
    if not any(shutil.which(name) for name in BROWSERS):
        pytest.skip("Chromium is not installed: install the package chromium")
    demo = Demo(tmp_path_factory.mktemp("page"))
    demo.start()
    browser = subprocess.Popen(
        ["node", "tests/browser.mjs", demo.address],
        cwd=WEB,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert browser.stdin is not None
    assert browser.stdout is not None
    found: dict[str, tuple[bool, str]] = {}
    try:
        for line in browser.stdout:
            told = json.loads(line)
            if "ask" not in told:
                found[told["name"]] = (told["ok"], told["said"])
                continue
            demo.end() if told["ask"] == "kill" else demo.start()
            browser.stdin.write("done\n")
            browser.stdin.flush()
        browser.wait(20)
        yield found
    finally:
        if browser.poll() is None:
            os.killpg(browser.pid, signal.SIGKILL)
        browser.wait()
        browser.stdin.close()
        browser.stdout.close()
        demo.end()


@pytest.mark.parametrize("promise", PROMISES)
def test_the_page_keeps(promise: str, kept: dict[str, tuple[bool, str]]) -> None:
    assert promise in kept, f"the browser ended before it was tried: {list(kept)}"
    good, said = kept[promise]
    assert good, said


def test_every_promise_that_a_browser_tried_is_one_of_these(
    kept: dict[str, tuple[bool, str]],
) -> None:
    assert set(kept) == set(PROMISES)
