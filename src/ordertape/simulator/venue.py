"""What every simulated venue is to whoever starts it: a clock and a door, begun as one."""

from __future__ import annotations

from typing import Self

from ordertape.simulator.sockets import Clock, Door

__all__ = ["SimulatedVenue"]


class SimulatedVenue:
    """Serves on 127.0.0.1 between ``start`` and ``stop``; also an async context manager."""

    clock: Clock
    door: Door

    @property
    def port(self) -> int:
        return self.door.port

    @property
    def rest_url(self) -> str:
        """Root of the REST paths."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def slow_clients(self) -> int:
        """Clients disconnected because they did not read."""
        return self.door.slow_clients

    async def start(self) -> None:
        await self.door.start()
        self.clock.start()

    async def stop(self) -> None:
        """Closes the clients' connections and the port; an error of the clock is raised here."""
        try:
            await self.clock.stop()
        finally:
            await self.door.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def wait(self) -> None:
        """Returns when the clock has stopped; raises what stopped it."""
        await self.clock.wait()
