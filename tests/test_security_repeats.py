"""What strangers have the server say again and again rolls nothing out of the log."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus

from ordertape import limits
from ordertape.api.security.repeats import Repeats
from ordertape.roles.logs import into_log_file
from support.guarded import Guarded, guarded
from support.server import API


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Guarded]:
    """Its log as `ordertape serve` keeps it; what was told before does not count."""
    log = logging.getLogger("uvicorn.error")
    for known in [one for one in log.filters if isinstance(one, Repeats)]:
        known._told.clear()
    with guarded(tmp_path) as found:
        into_log_file("uvicorn")
        yield found
    logging.getLogger("uvicorn").handlers = []


def lines(folder: Path) -> list[str]:
    """What the server below said; the file is made with the first line of anybody."""
    log = folder / "logs" / "app.log"
    said = log.read_text().splitlines() if log.exists() else []
    # Who set the server's logger to tell every session, in a test before, has these lines, too.
    told = [line for line in said if "logger=uvicorn" in line]
    return [line for line in told if "level=info" not in line]


def garbage(server: Guarded, times: int) -> None:
    for _ in range(times):
        with socket.create_connection(("127.0.0.1", server.port), 20) as client:
            client.sendall(b"\x16\x03\x01 no request\r\n\r\n")
            while client.recv(65_536):
                pass


def test_requests_that_are_none_are_a_line_and_then_counted(
    server: Guarded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    garbage(server, 50)
    (line,) = lines(tmp_path)
    assert "Invalid HTTP request received." in line
    monkeypatch.setattr(limits, "log_repeat_ms_min", 0)  # a minute later
    garbage(server, 1)
    _, line = lines(tmp_path)
    assert "Invalid HTTP request received. (49 more since the last such line)" in line


@pytest.mark.parametrize(
    ("path", "options", "status"),
    [
        (f"{API}/ws/NO/SUCH?exchange=bitfinex", {}, 404),
        (f"{API}/ws/BTC/USDT?depth=nonsense", {}, 422),
        (f"{API}/ws/BTC/USDT", {"additional_headers": {"X-API-Key": "nonsense"}}, 401),
        (f"{API}/ws/BTC/USDT", {"origin": "https://elsewhere.example"}, 403),
    ],
)
def test_a_websocket_that_is_refused_is_no_error_of_ours(
    server: Guarded, tmp_path: Path, path: str, options: dict[str, object], status: int
) -> None:
    with pytest.raises(InvalidStatus) as refused:
        server.socket(path, **options)
    assert refused.value.response.status_code == status
    server.get("/healthz")  # the session before has ended by then
    assert lines(tmp_path) == []


def test_errors_raised_at_different_places_are_all_told() -> None:
    repeats = Repeats()

    def record(fails: Callable[[], float]) -> logging.LogRecord:
        try:
            fails()
        except ArithmeticError as error:
            found = (type(error), error, error.__traceback__)
        return logging.LogRecord("uvicorn.error", logging.ERROR, __file__, 1, "failed", (), found)

    def here() -> float:
        return 1 / 0

    def there() -> float:
        return 2 % 0

    told = [repeats.filter(record(fails)) for fails in (here, there, here, there)]
    assert told == [True, True, False, False]
