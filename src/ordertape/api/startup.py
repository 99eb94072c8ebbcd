"""A server that can't start says why in one sentence."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["StartupInASentence"]

_OURS = "ordertape.errors."


class StartupInASentence:
    """Starlette hands the whole traceback of a failed start to its server, which shows it: of our
    own errors, whose text is one sentence for people, only that text is handed on."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return

        async def speak(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed":
                message = {**message, "message": _sentence(message.get("message", ""))}
            await send(message)

        await self._app(scope, receive, speak)


def _sentence(trace: str) -> str:
    """The text of the error that a traceback ends with, where it is one of ours."""
    last = trace.rstrip().rsplit("\n", 1)[-1]
    return last.partition(": ")[2] if last.startswith(_OURS) else trace
