"""A venue's REST interface: paced, bounded, off the event loop where bodies are large."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from ordertape import limits
from ordertape.venues.session import Fetch
from ordertape.venues.texts import retry_after_ms

if TYPE_CHECKING:
    import httpx

__all__ = ["Answer", "RestClient"]

_BANS = (418, 429)
_OK = 200
_NO_ANSWER = 0


class Answer(NamedTuple):
    """``status`` 0: there was none, and ``body`` is the sentence that says why."""

    status: int
    headers: dict[str, str]
    """By lower-case name."""
    body: Any
    """Bytes, or what the request's own reader made of them."""
    text: bytes = b""
    """The body as it came, unpacked."""


class RestClient:
    """Shared by all streams of a venue, so that a ban and the venue's rate hold for all of them."""

    def __init__(self, address: str) -> None:
        """``address``: the venue's REST address, ``https://…`` without a path."""
        self.address = address
        self._client: httpx.AsyncClient | None = None
        self._opening = asyncio.Lock()
        self._turn = asyncio.Lock()
        self._not_before = 0.0
        """Of the event loop's clock."""

    async def get(self, fetch: Fetch, headers: Callable[[], dict[str, str]]) -> Answer:
        """Performs a request when its turn has come; ``headers`` are made as it is sent.

        Raises nothing but what cancels it.
        """
        await self._wait()
        # Not above, and in a thread: a collector that asks for nothing at first starts sooner.
        await asyncio.to_thread(import_module, "httpx")
        import httpx

        try:
            client = await self._opened()
            async with asyncio.timeout(limits.rest_timeout_ms / 1000):
                return await self._perform(client, fetch, headers())
        except TimeoutError:
            return _none(f"no whole answer within {limits.rest_timeout_ms} ms")
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, zlib.error) as error:
            return _none(str(error) or type(error).__name__)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()

    async def _opened(self) -> httpx.AsyncClient:
        async with self._opening:
            if self._client is None:
                self._client = await asyncio.to_thread(_client)
            return self._client

    async def _wait(self) -> None:
        """One request after the other, none while the venue bans us."""
        loop = asyncio.get_running_loop()
        async with self._turn:
            while (left := self._not_before - loop.time()) > 0:  # noqa: ASYNC110 - a ban may grow
                await asyncio.sleep(left)
            self._not_before = loop.time() + 1 / limits.rest_requests_per_second_max

    def _ban(self, milliseconds: int) -> None:
        """The venue asks for silence; for all who share this client."""
        until = asyncio.get_running_loop().time() + milliseconds / 1000
        self._not_before = max(self._not_before, until)

    async def _perform(
        self, client: httpx.AsyncClient, fetch: Fetch, headers: dict[str, str]
    ) -> Answer:
        address = self.address.rstrip("/") + fetch.path
        parts, size = [], 0
        async with client.stream("GET", address, headers=headers) as response:
            async for part in response.aiter_raw():
                parts.append(part)
                size += len(part)
                if size > limits.rest_body_bytes_max:
                    return _none(f"an answer of over {limits.rest_body_bytes_max} bytes")
            named = {name.lower(): value for name, value in response.headers.items()}
        packed = named.get("content-encoding", "identity")
        status = response.status_code
        if status in _BANS:
            asked = retry_after_ms(named, time.time_ns())
            self._ban(limits.rest_ban_ms_default if asked is None else asked)
        read = fetch.read if status == _OK else None
        body, text = await asyncio.to_thread(_read, parts, packed, read)
        return Answer(status, named, body, text)


def _client() -> httpx.AsyncClient:
    """In a thread: it reads certificates."""
    import httpx

    seconds = limits.rest_silence_ms / 1000
    return httpx.AsyncClient(
        timeout=seconds,
        headers={"User-Agent": "ordertape", "Accept-Encoding": "gzip"},
        follow_redirects=False,  # another host must not see what the request is signed with
        limits=httpx.Limits(max_keepalive_connections=0),  # requests are rare
    )


def _read(
    parts: list[bytes], packed: str, read: Callable[[bytes], Any] | None
) -> tuple[Any, bytes]:
    """In a thread: joining, unpacking and reading take long."""
    text = _unpacked(b"".join(parts), packed)
    return (text if read is None else read(text)), text


def _unpacked(raw: bytes, packed: str) -> bytes:
    if packed == "identity":
        return raw
    if packed != "gzip":
        raise ValueError(f"an answer packed as {packed[: limits.shown_text_max]!r}, expected gzip")
    unpacking = zlib.decompressobj(zlib.MAX_WBITS | 16)
    text = unpacking.decompress(raw, limits.rest_body_bytes_max)
    if unpacking.unconsumed_tail:
        raise ValueError(f"an answer of over {limits.rest_body_bytes_max} bytes")
    if not unpacking.eof:
        raise ValueError("an answer that ends inside")
    return text


def _none(reason: str) -> Answer:
    return Answer(_NO_ANSWER, {}, reason)
