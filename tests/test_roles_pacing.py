"""Connects are paced, and failures wait ever longer."""

from __future__ import annotations

import asyncio

from ordertape.roles.pacing import Backoff, Pacer


async def test_connects_up_to_the_limit_begin_at_once_and_the_next_one_waits() -> None:
    pacer = Pacer(per_minute=3)
    pacer.window_seconds = 0.2
    waited = [await pacer.wait() for _ in range(4)]
    assert max(waited[:3]) < 0.1
    assert 0.1 < waited[3] < 1.0


async def test_no_window_ever_holds_more_connects_than_the_limit() -> None:
    pacer = Pacer(per_minute=2)
    pacer.window_seconds = 0.1
    loop = asyncio.get_running_loop()
    begun: list[float] = []

    async def connect() -> None:
        await pacer.wait()
        begun.append(loop.time())

    await asyncio.gather(*(connect() for _ in range(7)))
    assert all(later - earlier >= 0.099 for earlier, later in zip(begun, begun[2:], strict=False))


def test_waits_double_to_their_bound_with_full_jitter_and_start_again_after_a_reset() -> None:
    bounds: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        bounds.append((low, high))
        return high

    backoff = Backoff(250, 1000, uniform)
    assert [backoff.next_seconds() for _ in range(4)] == [0.25, 0.5, 1.0, 1.0]
    assert all(low == 0 for low, _ in bounds)
    backoff.reset()
    assert backoff.next_seconds() == 0.25
