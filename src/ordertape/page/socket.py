"""What waits for one page's socket: frames with its own numbers, left out and made anew where it is
slow.  Everything here belongs to the event loop."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ordertape import limits
from ordertape.broadcast.figures import PageCounts
from ordertape.page.codec import KEY, FrameType, Header, encode_header
from ordertape.page.scene import Posted
from ordertape.page.view import Out

__all__ = ["Message", "PageStream", "PageTooSlow"]

Message: TypeAlias = bytes | str
LEFT_OUT = frozenset({"heat", "ladder", "queue"})
"""Channels that a key frame makes whole again."""
ALWAYS = frozenset({"control", "status"})
"""What every page is told, whatever it wanted and however slow it is: answers, gaps, states."""


class PageTooSlow(Exception):
    """A page that takes frames and applies none for too long."""


@dataclass(eq=False)
class PageStream:
    """One market on one page.  ``due`` is set when something waits; ``ask_keys`` asks its scene for
    everything anew."""

    number: int
    due: asyncio.Event
    channels: frozenset[str] | None = None
    """Those that the page wants; None: all."""
    counts: PageCounts = field(default_factory=PageCounts)
    """Of all pages together."""
    epoch: int = 0
    seq: int = -1
    paused: bool = False
    needs_key: bool = False
    asked_keys: bool = False
    """They are on their way; what comes before them builds on what was left out."""
    conflated: int = 0
    """Frames that were left out."""
    sent_bytes: int = 0
    _waiting: deque[Out] = field(default_factory=deque)
    _bytes: int = 0
    _texts: int = 0
    _unapplied: deque[tuple[int, int, float]] = field(default_factory=deque)
    """(epoch, seq, when it was sent)."""

    def post(self, posted: Posted) -> None:
        """The next frames of its scene."""
        behind: list[Out] = []
        if posted.anew:
            self._forget(count=False)
            # An epoch begins with a key: trades and gaps that wait are numbered behind it.
            behind = [out for out in self._waiting if out.kind is not None]
            self._waiting = deque(out for out in self._waiting if out.kind is None)
            self.epoch, self.seq = self.epoch + 1, -1
            self.needs_key = self.asked_keys = False
            self._unapplied.clear()
        elif not self._unapplied_in_time():
            self.leave_out()
        for out in posted.outs:
            self._put(out)
        self._waiting.extend(behind)
        self.due.set()

    def _put(self, out: Out) -> None:
        wanted = self.channels is None or out.channel in self.channels
        if not wanted and out.channel not in ALWAYS:
            return
        if out.channel in LEFT_OUT:
            if self.paused:
                return
            if self.needs_key:
                if not self.asked_keys:
                    self.note_left_out()
                return
            self._bytes += len(out.body)
            if self._bytes > limits.page_waiting_bytes_max and not out.is_key:
                self.leave_out()
                return
        elif out.channel not in ALWAYS:
            if self.paused:
                return
            self._texts += 1
        self._waiting.append(out)
        if self._texts > limits.page_waiting_texts_max:
            self._drop_oldest_text()

    def leave_out(self) -> None:
        """What may be left out is dropped; it needs everything anew afterwards."""
        self._forget(count=True)
        self.needs_key = True

    def _forget(self, *, count: bool) -> None:
        kept: deque[Out] = deque()
        for out in self._waiting:
            if out.channel in LEFT_OUT:
                if count:
                    self.note_left_out()
            else:
                kept.append(out)
        self._waiting, self._bytes = kept, 0

    def note_left_out(self) -> None:
        self.conflated += 1
        self.counts.left_out_frames += 1

    def _drop_oldest_text(self) -> None:
        for nth, out in enumerate(self._waiting):
            if out.channel not in LEFT_OUT | ALWAYS:
                del self._waiting[nth]
                self._texts -= 1
                self.note_left_out()
                # Of a large order only what changed is told: what follows means nothing without.
                self.needs_key |= out.channel == "large"
                return

    def acknowledged(self, seq: int) -> None:
        """The page applied this frame of its present epoch."""
        while self._unapplied and (
            self._unapplied[0][0] != self.epoch or self._unapplied[0][1] <= seq
        ):
            self._unapplied.popleft()

    def _unapplied_in_time(self) -> bool:
        """Raises PageTooSlow."""
        if self.paused or not self._unapplied:
            return True
        late_ms = (time.monotonic() - self._unapplied[0][2]) * 1000
        if late_ms > limits.page_silent_ms_max:
            raise PageTooSlow
        return late_ms < limits.page_unapplied_ms_max

    def take(self) -> list[Message]:
        """What is to be sent now."""
        messages: list[Message] = []
        while self._waiting:
            messages.append(self._message(self._waiting.popleft()))
        self._bytes = self._texts = 0
        size = sum(map(len, messages))
        self.sent_bytes += size
        self.counts.bytes_sent += size
        self.counts.frames_sent += len(messages)
        return messages

    @property
    def wants_keys(self) -> bool:
        """Whether it takes frames again and lacks what was left out."""
        wanted = self.needs_key and not self.asked_keys and not self.paused
        return wanted and not self._waiting and not self._unapplied

    def _message(self, out: Out) -> Message:
        if out.kind is None:
            return self._text(json.loads(out.body))
        self.seq += 1
        self._unapplied.append((self.epoch, self.seq, time.monotonic()))
        flags = KEY if out.is_key else 0
        header = Header(self.number, self.seq, out.t_us, self.epoch, flags)
        return encode_header(header, FrameType(out.kind)) + out.body

    def _text(self, told: dict[str, Any]) -> str:
        told["stream"] = self.number
        if told["op"] == "status":
            told |= {"conflated": self.conflated, "sent_bytes": self.sent_bytes}
        elif told["op"] == "opened":
            told["epoch"] = self.epoch
        return json.dumps(told, separators=(",", ":"))
