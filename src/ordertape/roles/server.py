"""The server's roles: one server a data folder, which starts what is missing and ends it again.

Collectors and the keeper are child processes (``supervisor``); those that run already, a service
manager's, are attached to and left running at the end.  The embedded PostgreSQL is used from the
beginning to the end of ``running_server``; the keeper uses it, too, and a guard process of the
database ends it once nobody does, also where everybody was killed.

However a server ends, nothing of it stays: after a clean end because it ended its children, after
kill -9 because they leave when the pipe from their parent closes.  The terminal that closes
(SIGHUP) ends it as SIGTERM does, unless it was started to ignore that (nohup).
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ordertape import limits
from ordertape.crash_points import crash_point
from ordertape.database.address import Address, address_of, connect
from ordertape.errors import OrdertapeError, RoleBusy
from ordertape.measures import MeasuredStream, ProcessMeasures, role_measures
from ordertape.roles.addresses import listening_addresses
from ordertape.roles.control import ControlClient
from ordertape.roles.demonstration import Demonstration, free_port
from ordertape.roles.locks import hold, holder
from ordertape.roles.logs import logger
from ordertape.roles.memory import MemoryFolder
from ordertape.roles.notify import keeping_alive
from ordertape.roles.status import is_collected
from ordertape.roles.streams import Streams
from ordertape.roles.supervisor import Role, Supervisor
from ordertape.roles.wanted import wanted_exchanges
from ordertape.settings import Settings, as_environment
from ordertape.tape.folder import slug
from ordertape.venues.registry import VENUES

__all__ = ["Server", "control_path", "running_server", "server_address"]

_KEEPER = "the keeper"


@dataclass(frozen=True, slots=True)
class Server:
    """What the routes of a running server use."""

    streams: Streams
    database: Address | None
    """None where nothing persists."""
    data: Path
    supervisor: Supervisor

    def measured(self) -> list[MeasuredStream]:
        return self.streams.measured()

    def processes(self) -> list[ProcessMeasures]:
        """Roles that another process has are told, too, where they are ours to look at."""
        pids = {("server", os.getpid())}
        for watched in self.supervisor.roles():
            child, lock = watched.child, watched.role.lock
            pid = child.pid if child is not None else lock and holder(lock)
            if pid:
                pids.add((_label(watched.role), pid))
        if (keeper := holder(self.data / "keeper.lock")) is not None:
            pids.add(("keeper", keeper))
        return role_measures(pids)

    def starts(self) -> dict[str, int]:
        return {_label(watched.role): watched.starts for watched in self.supervisor.roles()}

    def is_collected(self, folder: Path) -> bool:
        return is_collected(folder)

    def not_ready(self) -> dict[str, str]:
        wrong = {}
        for watched in self.supervisor.roles():
            if not watched.ready.is_set():
                wrong[_label(watched.role)] = "it does not run"
        for exchange, client in self.streams.collectors().items():
            if not client.connected:
                wrong.setdefault(f"collector of {exchange}", "it does not answer")
            elif client.silent_ms > limits.status_stale_ms:
                wrong[f"collector of {exchange}"] = "it fell silent"
        return wrong


def _label(role: Role) -> str:
    """``the collector of bitfinex`` as a label."""
    return role.name.removeprefix("the ")


@asynccontextmanager
async def running_server(
    settings: Settings, demonstration: Demonstration | None = None
) -> AsyncIterator[Server]:
    """The roles of a data folder from here to the end of the block.

    With a ``demonstration`` its simulated markets run, too, as long as the server does.
    Raises RoleBusy in one sentence where the folder has a server.
    """
    async with AsyncExitStack() as stack:
        stack.enter_context(_alone(settings.data))
        stack.enter_context(_leaving_with_terminal_and_parent())
        log = logger("server")
        log.info("L3_server_begins", data=str(settings.data))
        stack.callback(log.info, "L3_server_ends", data=str(settings.data))
        roles = _Roles(settings)
        stack.push_async_callback(roles.end)
        streams = Streams(settings, roles.collector)
        if demonstration is not None:
            clients = roles.demonstrate(demonstration, streams.told)
            for exchange, symbol in demonstration.markets:
                streams.demonstrate(exchange, symbol, clients[exchange])
        for exchange in wanted_exchanges(settings.data, list(VENUES)):
            streams.collector(exchange)
        crash_point("server.collectors_begun")
        database = await roles.begin_database()
        crash_point("server.database_begun")
        roles.begin_keeper(forgets=demonstration is not None)
        crash_point("server.roles_begun")
        await stack.enter_async_context(keeping_alive())
        yield Server(streams, database, settings.data, roles.supervisor)


def control_path(data: Path, exchange: str, *, simulated: bool = False) -> Path:
    """The control socket of a venue's collector."""
    return data / slug(exchange) / ("simulated.sock" if simulated else "control.sock")


def server_address(data: Path) -> tuple[int, str] | None:
    """(process, address) of the folder's server, None where none runs; the address is empty as
    long as it does not listen."""
    pid = holder(data / "server.lock")
    if pid is None:
        return None
    return pid, next(iter(listening_addresses(pid)), "")


class _Roles:
    """The roles of one server, in the order of their beginning."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.supervisor = Supervisor()
        self._clients: list[ControlClient] = []
        self._collectors: list[str] = []
        self._database: _Database | None = None
        self._options = ("--data", str(settings.data), "--watch-parent")
        # Children take our settings as they are, wherever we have them from; credentials are for
        # the collector of their venue alone.
        self._environment = as_environment(settings)

    def collector(self, exchange: str, on_change: Callable[[], None]) -> ControlClient:
        """The connection to a venue's collector, which runs from here on."""
        control = control_path(self._settings.data, exchange)
        role = Role(
            f"the collector of {exchange}",
            "ordertape.roles.collector",
            (exchange, "--control", str(control), *self._options),
            lock=control.with_suffix(".lock"),
            environment=as_environment(self._settings, exchange),
            speaks=True,
            beats=True,
            forget=MemoryFolder(control).remove,
        )
        return self._connected(role, control, on_change)

    def demonstrate(
        self, demonstration: Demonstration, on_change: Callable[[], None]
    ) -> dict[str, ControlClient]:
        """The connections to the collectors of simulated venues; all of it runs from here on."""
        ports = {exchange: free_port() for exchange, _ in demonstration.markets}
        self.supervisor.watch(demonstration.exchange_role(ports))
        clients = {}
        for exchange, port in ports.items():
            control = control_path(self._settings.data, exchange, simulated=True)
            role = demonstration.collector_role(
                exchange, port, control, self._options, self._environment
            )
            clients[exchange] = self._connected(role, control, on_change)
        return clients

    def _connected(self, role: Role, control: Path, on_change: Callable[[], None]) -> ControlClient:
        self._collectors.append(role.name)
        watched = self.supervisor.watch(role)
        client = ControlClient(control, on_change, lambda: watched.problem)
        self._clients.append(client)
        client.begin()
        return client

    def begin_keeper(self, *, forgets: bool) -> None:
        """Ours is started even where another one works: it waits until that one leaves, and does
        meanwhile what that one does not.  ``forgets``: the oldest of simulated markets."""
        arguments = [*self._options]
        if self._settings.persist_enabled:
            arguments.append("--database")
        if forgets:
            arguments += ["--archive-bytes-max", str(limits.demo_archive_bytes_max)]
            arguments += ["--database-rows-max", str(limits.demo_database_rows_max)]
        keeper = Role(
            _KEEPER,
            "ordertape.roles.keeper",
            tuple(arguments),
            environment=self._environment,
            beats=True,
        )
        self.supervisor.watch(keeper)

    async def begin_database(self) -> Address | None:
        """The database once it answers, once it is known why it does not, or after a time: the
        tape does not need it, the keeper tries again, and a recovery may take long."""
        if not self._settings.persist_enabled:
            return None
        self._database = _Database(address_of(self._settings))
        await self._database.begin()
        return self._database.address

    async def end(self) -> None:
        """Collectors first, so that the keeper archives the last they wrote; then the database."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + limits.role_stop_ms / 1000
        crash_point("server.ending")
        await self.supervisor.end(self._collectors, timeout_ms=limits.role_stop_ms)
        crash_point("server.collectors_ended")
        for client in self._clients:
            await client.close()
        left_ms = int((deadline - loop.time()) * 1000)
        await self.supervisor.end(timeout_ms=max(left_ms, limits.keeper_stop_ms_min))
        if self._database is not None:
            await self._database.end()


class _Database:
    """Our use of the database, begun in a thread that nothing waits for longer than is useful."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._begun = threading.Event()
        self._log = logger("server")

    async def begin(self) -> None:
        """Returns when it answers, can't be had, or takes longer than the server may wait."""
        threading.Thread(target=self._begin, name="database begins", daemon=True).start()
        if not await asyncio.to_thread(self._begun.wait, limits.database_begin_ms / 1000):
            self._log.warning("L3_database_begins_late", database=self.address.shown)

    def _begin(self) -> None:
        try:
            self.address.acquire(lambda text: self._log.info("L3_database_begins", progress=text))
        except OrdertapeError as error:
            self._log.error("L3_database_failed", reason=str(error))
            self._begun.set()
            return
        self._begun.set()
        # Nothing waits for this: whoever starts a server with a wrong address reads it at once.
        try:
            connect(self.address, name="ordertape server").close()
        except OrdertapeError as error:
            self._log.error("L3_database_failed", reason=str(error))

    async def end(self) -> None:
        """Lets it go.  One that still begins is ended by its guard when this process is gone."""
        if self._begun.is_set():
            await asyncio.to_thread(self.address.release)


@contextmanager
def _alone(data: Path) -> Iterator[None]:
    """Holds the server's lock.  Raises RoleBusy, which names the other server."""
    path = data / "server.lock"
    with ExitStack() as stack:
        try:
            stack.enter_context(hold(path, f"a server of {data}"))
        except RoleBusy:
            pid = holder(path)
            if pid and _is_sibling(pid):
                raise RoleBusy(
                    f"the server of {data} is one process, and process {pid} is it: start uvicorn "
                    "without --workers"
                ) from None
            where = ", ".join(listening_addresses(pid)) if pid else ""
            raise RoleBusy(
                f"a server of {data} runs already: process {pid or 'unknown'}"
                f"{' at ' + where if where else ''}; stop it, or choose another ORDERTAPE_DATA"
            ) from None
        yield


def _is_sibling(pid: int) -> bool:
    """Whether that process is a worker of the same uvicorn as this one."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return False
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return int(status.rpartition(")")[2].split()[1]) == parent.pid


@contextmanager
def _leaving_with_terminal_and_parent() -> Iterator[None]:
    """SIGHUP ends us as SIGTERM does, and so does the end of the process that spawned us as its
    worker (``uvicorn --reload``), which would otherwise leave us behind when it is killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:

        def wait() -> None:
            parent.join()
            os.kill(os.getpid(), signal.SIGTERM)

        threading.Thread(target=wait, name="parent watch", daemon=True).start()
    replaced = False
    with suppress(ValueError):  # not in the main thread: whoever runs us there has the signals
        if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
            signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
            replaced = True
    try:
        yield
    finally:
        if replaced:
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
