"""The server in this process: bound, served, ended by a signal."""

from __future__ import annotations

import asyncio
import errno
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from types import FrameType

import uvicorn
import uvloop

from ordertape import limits
from ordertape.api.app import create_app
from ordertape.api.security.transport import secure
from ordertape.commands.common import out
from ordertape.database.address import Address, connect
from ordertape.errors import DatabaseError, PortTaken, RoleBusy
from ordertape.roles.children import ending_signals
from ordertape.roles.demonstration import Demonstration
from ordertape.roles.logs import into_log_file
from ordertape.roles.server import Server, running_server, server_address
from ordertape.settings import Settings

__all__ = ["run_server"]


def run_server(
    settings: Settings,
    host: str,
    port: int,
    introduce: Callable[[], None],
    demonstration: Demonstration | None = None,
    seconds: int | None = None,
) -> None:
    """Serves until a signal, or so many seconds; prints its address once it answers, then what
    ``introduce`` says.  Where the folder has a server, that one's address is all it prints.

    Raises PortTaken, RoleBusy, TapeError where the folder holds real data and is to hold simulated.
    """
    if (address := _running(settings.data)) is not None:
        unused = "" if not port or address.endswith(f":{port}") else f"; port {port} is not used"
        out(f"{address}\nThe server of {settings.data} runs already{unused}.")
        return
    if demonstration is not None:
        demonstration.refuse_real(settings.data)
    with _listening(host, port) as listener:
        name = f"[{host}]" if ":" in host else host
        address = f"http://{name}:{listener.getsockname()[1]}"

        def announce() -> None:
            out(address)
            introduce()

        _serve(settings, listener, announce, demonstration, seconds)


def _running(data: Path) -> str | None:
    """The address of the server that the folder has, once it listens; None where it has none."""
    deadline = time.monotonic() + limits.child_start_timeout_ms / 1000
    while (found := server_address(data)) is not None:
        pid, address = found
        if address:
            return address
        if time.monotonic() > deadline:
            raise RoleBusy(f"a server of {data} runs as process {pid}, but does not listen")
        time.sleep(limits.role_poll_ms / 1000)
    return None


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """A bound socket: taken before anything is started.  Raises PortTaken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            why = "is taken" if error.errno == errno.EADDRINUSE else "is not for this account"
            other = port + 1 if 1024 <= port < 65_535 else 8001
            raise PortTaken(
                f"port {port} of {host} {why}: choose another one with --port {other}, or "
                f"`make run PORT={other}`"
            ) from None
        yield listener


def _serve(
    settings: Settings,
    listener: socket.socket,
    announce: Callable[[], None],
    demonstration: Demonstration | None,
    seconds: int | None,
) -> None:
    """Runs roles and interface until a signal; raises what kept them from starting."""
    failures: list[BaseException] = []
    addresses: list[Address | None] = []

    def begun() -> None:
        announce()
        for address in addresses:
            if address is not None and address.embedded is None:
                # Nothing waits for it: it may take as long as a connection may.
                threading.Thread(target=_warn_of, args=(address,), daemon=True).start()

    @asynccontextmanager
    async def running(settings: Settings) -> AsyncIterator[Server]:
        try:
            async with running_server(settings, demonstration) as server:
                addresses.append(server.database)
                yield server
        except BaseException as error:
            failures.append(error)
            raise

    configuration = uvicorn.Config(
        create_app(settings, running),
        lifespan="on",
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=limits.server_drain_ms // 1000,
    )
    secure(configuration)
    into_log_file("uvicorn")
    try:
        uvloop.run(_Server(configuration, begun, seconds).serve([listener]))
    except SystemExit:  # uvicorn's way to say that the application did not start
        if failures:
            raise failures[0] from None
        raise


def _warn_of(address: Address) -> None:
    """A server of the user's own that can't be reached is a wrong setting more often than not."""
    try:
        connect(address, name="ordertape server").close()
    except DatabaseError as error:
        sys.stderr.write(
            f"ordertape: {error}; the tapes go on, PostgreSQL gets the events once it answers\n"
        )


class _Server(uvicorn.Server):
    """uvicorn's, which tells its address when it answers and leaves in peace at a signal."""

    def __init__(
        self, configuration: uvicorn.Config, announce: Callable[[], None], seconds: int | None
    ) -> None:
        super().__init__(configuration)
        self._announce, self._seconds = announce, seconds

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.should_exit:
            return
        self._announce()
        if self._seconds is not None:
            asyncio.get_running_loop().call_later(self._seconds, self._end)

    def _end(self) -> None:
        self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """As uvicorn's; what follows takes a moment, in which nobody should wonder."""
        if not self.should_exit:
            with suppress(OSError):  # the terminal may be gone
                out("Stopping.")
        super().handle_exit(sig, frame)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's, but for the terminal that closes, and for raising them once more at the
        end: to be asked to end is no failure."""
        loop = asyncio.get_running_loop()
        for number in ending_signals():
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield
