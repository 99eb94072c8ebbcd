"""What would hold up the event loop runs in threads, and ends when nobody waits for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from starlette.requests import Request

from ordertape import limits
from ordertape.errors import DatabaseUnavailable, OrdertapeError

__all__ = ["Gone", "Leave", "Work"]

Result = TypeVar("Result")


class Gone(OrdertapeError):
    """The client left before its answer was there."""


class Leave:
    """Asked between two steps of a long piece of work: raises Gone once the client left."""

    def __init__(self) -> None:
        self._gone = threading.Event()
        self._lock = threading.Lock()
        self._cancel: Callable[[], None] | None = None
        self._canceling: threading.Thread | None = None

    def __call__(self) -> None:
        if self._gone.is_set():
            raise Gone("the client left before its answer was there")

    def now(self) -> None:
        """Does not wait for what is canceled."""
        with self._lock:
            self._gone.set()
            if self._cancel is not None and self._canceling is None:
                self._canceling = threading.Thread(target=self._cancel, name="cancel", daemon=True)
                self._canceling.start()

    @contextmanager
    def calling(self, cancel: Callable[[], None]) -> Iterator[None]:
        """Inside, a client that leaves has ``cancel`` called, in a thread of its own.  Raises Gone
        where it left before."""
        with self._lock:
            self()
            self._cancel = cancel
        try:
            yield
        finally:
            with self._lock:
                self._cancel, canceling, self._canceling = None, self._canceling, None
            if canceling is not None:
                # Else it might end what the connection is used for next.
                canceling.join()


class Work:
    """A bounded number of threads for answers, others for those that take PostgreSQL long, and
    others for what live readers wait for: slow answers hold up no page, no beginning of a stream
    and no first book."""

    def __init__(self, threads: int = limits.api_threads) -> None:
        self.executor = ThreadPoolExecutor(threads, thread_name_prefix="api")
        self._long = ThreadPoolExecutor(limits.api_long_threads, thread_name_prefix="api long")
        self._long_room = asyncio.Semaphore(limits.api_long_threads)
        self.live = ThreadPoolExecutor(limits.live_threads, thread_name_prefix="live")

    def close(self) -> None:
        for executor in (self.executor, self._long, self.live):
            executor.shutdown(wait=True, cancel_futures=True)

    async def run(self, request: Request, task: Callable[[Leave], Result]) -> Result:
        """What ``task`` returns; it is told to leave when the client does.  Raises Gone."""
        return await self._run(self.executor, request, task)

    async def run_long(self, request: Request, task: Callable[[Leave], Result]) -> Result:
        """As ``run`` for what PostgreSQL may take seconds for.  Raises DatabaseUnavailable where
        as much of it is worked on as may be."""
        try:
            await asyncio.wait_for(self._long_room.acquire(), limits.api_long_wait_ms / 1000)
        except TimeoutError:
            raise DatabaseUnavailable(
                f"{limits.api_long_threads} answers that read all of a market in PostgreSQL are "
                "worked on, and no more may be: ask again"
            ) from None
        try:
            return await self._run(self._long, request, task)
        finally:
            self._long_room.release()

    async def _run(
        self, executor: ThreadPoolExecutor, request: Request, task: Callable[[Leave], Result]
    ) -> Result:
        leave = Leave()
        loop = asyncio.get_running_loop()
        running = loop.run_in_executor(executor, task, leave)
        running.add_done_callback(_looked_at)
        watching = asyncio.create_task(_until_gone(request))
        try:
            first: set[asyncio.Future[Any]] = {running, watching}
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                leave.now()
                running.cancel()  # where it has not begun
            return await running
        except asyncio.CancelledError:
            leave.now()
            running.cancel()  # the server ends: neither what has not begun nor its end is wanted
            if watching.done():
                raise Gone("the client left before its answer was there") from None
            raise
        finally:
            watching.cancel()


def _looked_at(done: asyncio.Future[Any]) -> None:
    """What became of work that nobody waits for any more is of no interest."""
    if not done.cancelled():
        done.exception()


async def _until_gone(request: Request) -> None:
    """Returns when the client has left; the body of a GET is empty and comes first."""
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            return
