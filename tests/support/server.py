"""The server as people run it: ``uvicorn app.main:app`` in an activated .venv."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.processes import wait_for

TOP = Path(__file__).resolve().parents[2]
API = "/api/v1/orderbook-heatmap/level3"


@contextmanager
def serving(folder: Path, environment: dict[str, str]) -> Iterator[str]:
    """Its address, ``http://127.0.0.1:PORT``; its data lie in ``folder/data``."""
    log = folder / "uvicorn.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            ["uvicorn", "app.main:app", "--port", "0"],
            cwd=TOP,
            env={
                **os.environ,
                **environment,
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "ORDERTAPE_DATA": str(folder / "data"),
                "ORDERTAPE_LOGS": str(folder / "logs"),
            },
            stdout=output,
            stderr=output,
        )

    def address() -> str | None:
        assert server.poll() is None, log.read_text()
        found = re.search(r"running on (http://\S+)", log.read_text())
        return found[1] if found else None

    try:
        wait_for(lambda: address() is not None, "the server", 60)
        listening = address()
        assert listening is not None
        yield listening
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(20)
        finally:
            server.kill()
    assert "Traceback" not in log.read_text(), log.read_text()
