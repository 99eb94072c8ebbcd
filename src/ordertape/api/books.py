"""The book of a market as it stands or stood, as an answer."""

from __future__ import annotations

from ordertape.api.context import Api, Meant
from ordertape.api.work import Leave
from ordertape.broadcast.answer import rebuilt_picture, snapshot_text
from ordertape.broadcast.picture import BookPicture

__all__ = ["book_text", "live_picture"]


def book_text(api: Api, meant: Meant, at: int | None, depth: int, leave: Leave) -> str:
    """Blocking work: the answer of ``GET /snapshot`` as JSON text.

    ``at`` (ns, our clock, inclusive; None: now).  Raises UnknownMarket where nothing was recorded
    by then.
    """
    history = api.history(meant)
    picture = live_picture(meant) if at is None else None
    if picture is None:
        picture = rebuilt_picture(meant.folder, history, at)
    leave()
    return snapshot_text(picture, history, depth, at, meant.envelope(history))


def live_picture(meant: Meant) -> BookPicture | None:
    """The live book, where one runs and has begun."""
    return None if meant.channel is None else meant.channel.replica.picture()
