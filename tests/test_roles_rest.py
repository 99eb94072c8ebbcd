"""Requests over HTTP: unpacked, bounded, timed, never redirected."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from ordertape import limits
from ordertape.roles.rest import Answer, RestClient
from ordertape.venues.session import Fetch

FETCH = Fetch("/book?level=3", "book")


class Served:
    """What the server was asked."""

    def __init__(self) -> None:
        self.requests: list[str] = []


@asynccontextmanager
async def server(answer: bytes, *, silent: bool = False) -> AsyncIterator[tuple[str, Served]]:
    """Answers every request with these bytes and closes, or says nothing at all."""
    served = Served()
    serving: set[asyncio.Task[object] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        head = await reader.readuntil(b"\r\n\r\n")
        served.requests.append(head.decode())
        if silent:
            await reader.read()
        else:
            writer.write(answer)
            await writer.drain()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}", served
        await asyncio.gather(*(task for task in serving if task is not None))


def packed(body: bytes) -> bytes:
    """The same whenever it is made: names of tests hold it."""
    return gzip.compress(body, mtime=0)


def response(body: bytes, status: str = "200 OK", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def got(answer: bytes, read: Callable[[bytes], object] | None = None) -> Answer:
    async with server(answer) as (address, _):
        client = RestClient(address)
        fetch = Fetch(FETCH.path, FETCH.what, read)
        found = await client.get(fetch, dict)
        await client.close()
    return found


async def test_a_body_is_unpacked_and_read_in_a_thread() -> None:
    found = await got(response(packed(b"abc"), Content_Encoding="gzip"), len)
    assert (found.status, found.body, found.text) == (200, 3, b"abc")
    plain = await got(response(b"abc"))
    assert (plain.body, plain.headers["content-length"]) == (b"abc", "3")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (response(packed(bytes(5_000)), Content_Encoding="gzip"), "over 1000 bytes"),
        (response(bytes(5_000)), "over 1000 bytes"),
        (response(b"abc", Content_Encoding="br"), "packed as 'br'"),
        (response(packed(b"abc")[:-3], Content_Encoding="gzip"), "ends inside"),
        (response(b"no gzip", Content_Encoding="gzip"), "incorrect header"),
        (response(b"abc").replace(b": 3", b": 9"), "without sending complete message body"),
        (b"nonsense\r\n\r\n", "illegal status line"),
        (b"", "without sending a response"),
    ],
)
async def test_an_answer_that_is_none_is_one_sentence(
    answer: bytes, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "rest_body_bytes_max", 1_000)
    found = await got(answer)
    assert found.status == 0
    assert words in found.body
    assert "\n" not in found.body


async def test_what_the_reader_refuses_is_no_answer() -> None:
    found = await got(response(b"abc"), lambda body: int(body))
    assert found.status == 0
    assert "invalid literal" in found.body


async def test_an_error_is_not_given_to_the_reader() -> None:
    found = await got(response(b"oops", "503 Unavailable"), lambda body: int(body))
    assert (found.status, found.body) == (503, b"oops")


async def test_a_redirect_is_not_followed_and_headers_are_made_when_it_is_sent() -> None:
    async with server(response(b"there")) as (elsewhere, other):
        answer = response(b"", "302 Found", Location=f"{elsewhere}/x")
        async with server(answer) as (address, served):
            client = RestClient(address)
            found = await client.get(FETCH, lambda: {"CB-ACCESS-KEY": "k"})
            await client.close()
    assert found.status == 302
    assert "CB-ACCESS-KEY: k" in served.requests[0]
    assert served.requests[0].startswith("GET /book?level=3 HTTP/1.1\r\n")
    assert other.requests == []


async def test_a_server_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "rest_timeout_ms", 200)
    async with server(b"", silent=True) as (address, _):
        client = RestClient(address)
        found = await client.get(FETCH, dict)
        await client.close()
    assert (found.status, found.body) == (0, "no whole answer within 200 ms")


async def test_requests_keep_their_pace_and_a_ban_holds_all_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = asyncio.get_running_loop()
    answer = response(b"", "429 Too Many Requests", Retry_After="1")
    async with server(answer) as (address, served):
        client = RestClient(address)
        begun = loop.time()
        first = await client.get(FETCH, dict)
        assert first.status == 429
        await asyncio.gather(*(client.get(FETCH, dict) for _ in range(2)))
        await client.close()
    assert loop.time() - begun > 1.0
    assert len(served.requests) == 3


async def test_nobody_who_listens_is_one_sentence() -> None:
    client = RestClient("http://127.0.0.1:9")
    found = await client.get(FETCH, dict)
    await client.close()
    assert found.status == 0
    assert "onnect" in found.body
