"""What is known of all WebSocket clients together, and of all pages."""

from __future__ import annotations

from dataclasses import dataclass, field

from ordertape.measures import Delays, DelaysTold

__all__ = ["ClientCounts", "ClientFigures", "PageCounts"]


@dataclass(frozen=True, slots=True)
class ClientFigures:
    """Of now: ``clients`` and ``waiting_bytes``; since the server's start: the others."""

    clients: int
    """Connections that are open."""
    waiting_bytes: int
    """In all mailboxes; what many clients wait for is held once and counted for each."""
    largest_mailbox_bytes: int
    """The most that ever waited for one client."""
    closed_too_slow: int
    """Clients whose mailbox ran over, or for whom a book waited too long."""
    conflated_frames: int
    """Statistics, statuses and books that a newer one replaced while they waited."""
    dropped_frames: int
    """That waited for clients who were closed so; whatever was not made yet counts as one."""
    frames_sent: int
    bytes_sent: int
    """Handed to connections, frames with their heads."""
    waited: DelaysTold
    """Of frames that waited, how long; those that went straight to a connection are not in it."""


@dataclass(slots=True)
class ClientCounts:
    """The same, counted on by every mailbox; belongs to the event loop."""

    clients: int = 0
    waiting_bytes: int = 0
    largest_mailbox_bytes: int = 0
    closed_too_slow: int = 0
    conflated_frames: int = 0
    dropped_frames: int = 0
    frames_sent: int = 0
    bytes_sent: int = 0
    waited: Delays = field(default_factory=Delays)

    def figures(self) -> ClientFigures:
        return ClientFigures(
            self.clients,
            self.waiting_bytes,
            self.largest_mailbox_bytes,
            self.closed_too_slow,
            self.conflated_frames,
            self.dropped_frames,
            self.frames_sent,
            self.bytes_sent,
            self.waited.told(),
        )


@dataclass(slots=True)
class PageCounts:
    """Of the WebSockets of pages; belongs to the event loop."""

    pages: int = 0
    """Connections that are open."""
    closed_too_slow: int = 0
    """Pages that applied no frames for too long."""
    left_out_frames: int = 0
    """Frames and texts that were dropped where a page was slow; a whole picture follows."""
    frames_sent: int = 0
    bytes_sent: int = 0
