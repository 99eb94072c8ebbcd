"""Keeps roles running: starts what is missing, starts again what ended, ends what it started.

A role that another process has already (a service manager's, or one that is just ending) is left
alone, and started here as soon as that process lets it go.  One that shows no sign of life any more
(it hangs, or was stopped) is ended and started again.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ordertape import limits
from ordertape.errors import ChildFailed, OrdertapeError
from ordertape.roles.children import Child
from ordertape.roles.locks import holder
from ordertape.roles.logs import logger

__all__ = ["Role", "Supervisor"]


@dataclass(frozen=True)
class Role:
    """``python -m module arguments…``, of which a data folder has one: who holds ``lock``.

    ``speaks``: it prints a line when it is ready.  ``beats``: it prints one at least every
    ``limits.role_beat_ms`` from then on.  ``forget`` is called when it was ended here.
    """

    name: str
    module: str
    arguments: tuple[str, ...]
    lock: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    speaks: bool = False
    beats: bool = False
    forget: Callable[[], None] = lambda: None


class Watched:
    """One role that is to run, whoever runs it."""

    def __init__(self, role: Role) -> None:
        self.role = role
        self.child: Child | None = None
        self.first_line = ""
        """What our child said when it was ready."""
        self.ready = asyncio.Event()
        """Set while it runs, here or elsewhere."""
        self.problem = ""
        """How it ended last, in words."""
        self.starts = 0
        self._log = logger("supervisor").bind(role=role.name)
        self._watching: asyncio.Task[None] | None = None
        self._stopping = False

    def begin(self) -> None:
        self._watching = asyncio.create_task(self._watch(), name=self.role.name)

    @property
    def attached(self) -> bool:
        """Whether another process than a child of ours has the role."""
        return self.ready.is_set() and self.child is None

    async def end(self, timeout_ms: int = limits.role_stop_ms) -> None:
        """Ends our child; one that is not ours stays."""
        self._stopping = True
        if self._watching is not None:
            self._watching.cancel()
            with suppress(asyncio.CancelledError):
                await self._watching
        child, self.child = self.child, None
        if child is not None:
            status = await asyncio.to_thread(child.stop, timeout_ms)
            if status not in (0, -signal.SIGTERM):  # before it listened for our signal
                self._log.warning("L3_role_ended", reason=child.ending())
            self.role.forget()
        self.ready.clear()

    async def _watch(self) -> None:
        wait_ms = limits.role_restart_ms_min
        loop = asyncio.get_running_loop()
        while True:
            await self._while_elsewhere()
            began = loop.time()
            try:
                await self._run_child()
            except (ChildFailed, OSError) as error:
                self.problem = str(error)
            finally:
                self.ready.clear()
            self._log.warning("L3_role_ended", reason=self.problem, starts=self.starts)
            if loop.time() - began >= limits.role_settled_ms / 1000:
                wait_ms = 0  # what ran for long is missing now
            await asyncio.sleep(wait_ms / 1000)
            wait_ms = min(max(wait_ms * 2, limits.role_restart_ms_min), limits.role_restart_ms_max)

    async def _while_elsewhere(self) -> None:
        """Returns when nobody has the role."""
        if self.role.lock is None:
            return
        attached = False
        while (pid := holder(self.role.lock)) is not None:
            if not attached:
                attached = True
                self._log.info("L3_role_attached", pid=pid)
            self.ready.set()
            await asyncio.sleep(limits.role_poll_ms / 1000)
        self.ready.clear()

    async def _run_child(self) -> None:
        """Starts our child and returns when it has ended."""
        role = self.role
        # In this thread: a child that was begun is never lost to a cancellation.
        child = self.child = Child(role.name, role.module, role.arguments, role.environment)
        self.starts += 1
        ended = _when_ended(child)
        try:
            if role.speaks:
                self.first_line = await asyncio.to_thread(child.first_line)
            self._log.info("L3_role_begins", pid=child.pid, starts=self.starts)
            self.ready.set()
            self.problem = await self._while_it_lives(child, ended)
        except ChildFailed:
            await asyncio.to_thread(child.stop)
            self.child = None
            raise
        await asyncio.to_thread(child.stop)
        self.child = None

    async def _while_it_lives(self, child: Child, ended: asyncio.Event) -> str:
        """How it ended, be it because it showed no sign of life.

        Looks are counted, not seconds, so that nothing is held against it which happened while
        this process itself was stopped.  Its first sign may take as long as a start may.
        """
        silent = heard = 0
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), limits.role_beat_ms / 1000)
                return child.ending()
            before, heard = heard, child.lines
            silent = silent + 1 if self.role.beats and heard == before else 0
            silence_ms = limits.role_silence_ms if heard else limits.child_start_timeout_ms
            if silent >= silence_ms // limits.role_beat_ms:
                self._log.error("L3_role_silent", pid=child.pid, silence_ms=silence_ms)
                child.kill()
                await ended.wait()
                return f"it showed no sign of life for {silence_ms / 1000:g} s"


def _when_ended(child: Child) -> asyncio.Event:
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    def wait() -> None:
        child.wait()
        with suppress(RuntimeError):  # the loop has ended before the child
            loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=wait, name=f"{child.name} watch", daemon=True).start()
    return ended


class Supervisor:
    """The roles of one data folder, ended in the reverse order of their start."""

    def __init__(self) -> None:
        self._watched: dict[str, Watched] = {}

    def watch(self, role: Role) -> Watched:
        """From here on that role runs; by name, so that asking twice is asking once."""
        if role.name not in self._watched:
            watched = self._watched[role.name] = Watched(role)
            watched.begin()
        return self._watched[role.name]

    def roles(self) -> list[Watched]:
        return list(self._watched.values())

    async def end(
        self, names: list[str] | None = None, timeout_ms: int = limits.role_stop_ms
    ) -> None:
        """Ends these roles at once, all that are left without names."""
        chosen = [name for name in self._watched if names is None or name in names]
        ending = [self._watched.pop(name).end(timeout_ms) for name in reversed(chosen)]
        for result in await asyncio.gather(*ending, return_exceptions=True):
            if isinstance(result, (OrdertapeError, OSError)):
                logger("supervisor").error("L3_role_stays", reason=str(result))
            elif isinstance(result, BaseException):
                raise result
