"""What a client of the WebSocket says: not looked at, and bounded whatever server runs it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from ordertape import limits
from ordertape.models import StreamInfo
from support.interface import RunningStreams, interface

MOST = limits.client_message_bytes_max


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    info = StreamInfo(exchange="bitfinex", symbol="A/B", state="CONNECTING")
    # uvicorn itself reads 16 MiB here, as it does without options.
    with interface(tmp_path_factory.mktemp("data"), streams=RunningStreams([info])) as api:
        yield f"{api.address.replace('http', 'ws', 1)}/ws/A/B?exchange=bitfinex"


@pytest.mark.parametrize("message", ["x" * (MOST + 1), b"x" * (MOST + 1), "€" * (MOST // 2)])
def test_a_message_that_is_too_long_closes_its_connection(
    address: str, message: str | bytes
) -> None:
    with connect(address) as socket:
        assert '"type":"l3_status"' in str(socket.recv(timeout=60))
        socket.send(message)
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=60)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009
    assert closed.value.rcvd.reason == "expected messages to 65536 bytes"


def test_what_a_client_says_within_the_bound_changes_nothing(address: str) -> None:
    with connect(address) as socket:
        assert '"type":"l3_status"' in str(socket.recv(timeout=60))
        for message in ("", "x" * MOST, b"x" * MOST):
            socket.send(message)
        with pytest.raises(TimeoutError):
            socket.recv(timeout=0.3)
