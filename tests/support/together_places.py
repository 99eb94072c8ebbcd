"""The server killed at its named places: its roles leave with it, and the next one goes on."""

from __future__ import annotations

import random
import signal
import time
from contextlib import suppress

from ordertape.crash_points import POINTS, VARIABLE
from support.processes import wait_for
from support.roles_server import Launched
from support.together import the_world
from support.truth import EXCHANGE, PRODUCT

__all__ = ["PLACES", "die_at"]

PLACES = tuple(name for name in POINTS if name.startswith("server."))
_ENDING = ("server.ending", "server.collectors_ended")


def die_at(case: str, seed: int) -> list[str]:
    """One server that dies there; nothing of it stays, and the stream runs on with the next."""
    world, dice = the_world(), random.Random(f"{case} {seed}")
    world.next_try()
    if not (world.data / EXCHANGE / "wanted.json").exists():
        world.launch().wait_up()
        world.start()
        world.wait_live()
        world.close()
    victim = world.launch(**{VARIABLE: case})
    if case in _ENDING:
        victim.wait_up()
        world.wait_live(events=dice.randint(1, 50))
        victim.send(signal.SIGTERM)
    wait_for(lambda: victim.process.poll() is not None, f"{case} is met", 120)
    if victim.process.returncode != -signal.SIGKILL:
        return [f"{case} was not met: {victim.words()}"]
    wrong = _left(victim)
    victim.close()
    died = time.time_ns()
    server = world.launch()
    server.wait_up()
    world.wait_live(after=died, events=dice.randint(1, 100))
    server.send(signal.SIGTERM)
    server.wait_gone()
    server.close()
    world.server = None
    return wrong + world.judge(0)


def _left(victim: Launched) -> list[str]:
    """Children leave when the pipe from their parent closes."""
    with suppress(AssertionError):
        wait_for(lambda: not victim.processes(), "the end of its roles", 30)
        return []
    return [f"{PRODUCT}: processes {victim.processes()} stayed when the server had died"]
