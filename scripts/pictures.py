"""Draws docs/pictures anew: every screen of the web page, of a simulated market that began a minute
ago."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from ordertape.roles.demonstration import free_port

TOP = Path(__file__).resolve().parent.parent
PICTURES = TOP / "docs" / "pictures"
WAIT_S = 60
BEGUN_S = 60


def is_live(address: str) -> bool:
    """Whether the market runs that the page shows first."""
    try:
        where = f"{address}api/v1/orderbook-heatmap/level3/streams"
        with urllib.request.urlopen(where, timeout=5) as answer:  # noqa: S310  # our own server
            streams = json.load(answer)["streams"]
    except (urllib.error.URLError, OSError):
        return False
    return bool(streams) and all(stream["state"] == "LIVE" for stream in streams)


def main() -> int:
    seconds = sys.argv[1] if len(sys.argv) > 1 else "20"
    if not (TOP / "web" / "node_modules").is_dir():
        sys.exit("the web page is not built: install Node 20.19 or newer and run `make setup`")
    with tempfile.TemporaryDirectory() as folder:
        port = str(free_port())
        demo = subprocess.Popen(  # noqa: S603  # our own command
            [sys.executable, "-m", "ordertape", "demo", "--port", port],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            address = f"http://127.0.0.1:{port}/"
            deadline = time.monotonic() + WAIT_S
            while not is_live(address):
                if demo.poll() is not None or time.monotonic() > deadline:
                    sys.exit("the simulated market did not begin")
                time.sleep(0.2)
            time.sleep(BEGUN_S)  # the past that pictures show
            command = ["node", "scripts/pictures.mjs", address, str(PICTURES), seconds]
            return subprocess.run(command, cwd=TOP / "web", check=False).returncode  # noqa: S603
        finally:
            demo.send_signal(signal.SIGTERM)
            demo.wait(30)


if __name__ == "__main__":
    sys.exit(main())
