"""Alerts to other programs over HTTP: each webhook has a bounded queue and tries of its own.

Addresses come from the environment alone: whoever makes a rule names one of them, so that nobody
can have this server call what it should not, and no address (it may hold a key) is ever shown.
"""

from __future__ import annotations

import asyncio
import hmac
import random
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

import httpx
import structlog

from ordertape import limits
from ordertape.alerts.fired import Alert
from ordertape.errors import SettingRefused
from ordertape.numbers import json_text

__all__ = ["Webhooks", "signature"]

AGAIN = frozenset({408, 425, 429})
"""Refusals that may pass; so may those from 500 on."""


def signature(secret: str, body: bytes) -> str:
    """What the header X-Ordertape-Signature says of a body."""
    key = secret.encode(errors="surrogateescape")
    return f"sha256={hmac.new(key, body, sha256).hexdigest()}"


@dataclass(slots=True)
class _Target:
    address: str
    waiting: deque[Alert] = field(default_factory=deque)
    due: asyncio.Event = field(default_factory=asyncio.Event)
    sent: int = 0
    failed: int = 0
    dropped: int = 0


class Webhooks:
    """Belongs to the event loop."""

    def __init__(self, addresses: Mapping[str, str], secret: str | None) -> None:
        self._targets = {name: _Target(address) for name, address in addresses.items()}
        self._secret = secret
        self._tasks: list[asyncio.Task[None]] = []
        self._client: httpx.AsyncClient | None = None
        self._log = structlog.stdlib.get_logger("ordertape.alerts")

    def begin(self) -> None:
        if self._targets:
            timeout = limits.webhook_ms_max / 1000
            self._client = httpx.AsyncClient(timeout=timeout, follow_redirects=False)
            self._tasks = [
                asyncio.create_task(self._send_forever(name, target))
                for name, target in self._targets.items()
            ]

    async def close(self) -> None:
        """What waits is not sent any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()

    def require(self, name: str) -> None:
        """Raises SettingRefused where there is none of that name."""
        if name not in self._targets:
            names = ", ".join(sorted(self._targets)) or "none"
            raise SettingRefused(
                f"webhook: expected a name of ORDERTAPE_WEBHOOKS ({names}), found {name!r}"
            )

    def put(self, name: str, alert: Alert) -> None:
        """It is sent as soon as those before it are."""
        target = self._targets.get(name)
        if target is None:
            return  # the environment had it when the rule was made
        if len(target.waiting) >= limits.webhook_waiting_max:
            target.waiting.popleft()
            target.dropped += 1
        target.waiting.append(alert)
        target.due.set()

    def as_json(self) -> dict[str, dict[str, int]]:
        """How each is doing, without its address."""
        return {
            name: {
                "waiting": len(target.waiting),
                "sent": target.sent,
                "failed": target.failed,
                "dropped": target.dropped,
            }
            for name, target in self._targets.items()
        }

    async def _send_forever(self, name: str, target: _Target) -> None:
        while True:
            await target.due.wait()
            target.due.clear()
            while target.waiting:
                alert = target.waiting.popleft()
                problem = await self._send(target, alert)
                if problem is None:
                    target.sent += 1
                else:
                    target.failed += 1
                    self._log.warning(
                        "L3_webhook_failed", webhook=name, alert=alert.id, reason=problem
                    )

    async def _send(self, target: _Target, alert: Alert) -> str | None:
        """None where it was taken, else why not."""
        told = alert.as_frame()
        del told["op"]
        body = json_text(told).encode()
        headers = {"Content-Type": "application/json", "X-Ordertape-Alert": alert.id}
        if self._secret:
            headers["X-Ordertape-Signature"] = signature(self._secret, body)
        problem = ""
        for nth in range(limits.webhook_tries):
            if nth:
                pause = limits.webhook_backoff_ms * 2 ** (nth - 1) / 1000
                await asyncio.sleep(random.uniform(0.5, 1) * pause)  # noqa: S311 - no secret
            status, problem = await self._try(target.address, body, headers)
            if status is not None and 200 <= status < 300:
                return None
            if status is not None and status < 500 and status not in AGAIN:
                return problem
        return f"{problem}, {limits.webhook_tries} times"

    async def _try(
        self, address: str, body: bytes, headers: dict[str, str]
    ) -> tuple[int | None, str]:
        """(status, what is wrong with it).  An error's own text may hold the address."""
        assert self._client is not None
        try:
            async with (
                asyncio.timeout(limits.webhook_ms_max / 1000),
                self._client.stream("POST", address, content=body, headers=headers) as answer,
            ):
                # The answer's body says nothing that matters: the connection is closed instead.
                redirect = ", a redirect, which is not followed" if answer.is_redirect else ""
                return answer.status_code, f"it answered {answer.status_code}{redirect}"
        except TimeoutError:
            return None, f"no answer within {limits.webhook_ms_max} ms"
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError) as error:
            return None, f"it can't be reached ({type(error).__name__})"
