"""Every error ordertape raises.

    OrdertapeError
    ├── NumberRefused       a venue's number is malformed or fits no int64 scale
    ├── IdRefused           an id that no codec and no dictionary can hold
    ├── BookCorrupt         two structures of the book disagree: a defect of ours
    ├── BadFile             a source file is malformed; nothing of it was imported
    ├── NotFound            nothing is kept under that name or number
    │   └── UnknownMarket   no tape, venue or product under that name
    │       └── NameRefused no venue is called so, or no market of the venue can be
    ├── MarketBusy          another process writes this market
    ├── RoleBusy            another process has this role in the data folder
    ├── PortTaken           the server can't have the port that it is to listen on
    ├── ImportRefused       the source is older than the tape's end, or the market is collected
    ├── TapeError
    │   ├── NoRoom          the disk is full: nothing more can be recorded until there is room
    │   ├── TapeCorrupt     damage inside the synced part of a tape
    │   └── SyncFailed      fdatasync failed: what was written may be lost
    ├── VenueError          the venue refused or broke its own protocol
    │   └── VenueRefused    it will refuse again: a retry can't help
    ├── TransitionRefused   a stream's state does not allow what was asked
    ├── CollectFailed       no market is left that a collector could go on with
    ├── ChildFailed         a child process did not start or ended on its own
    ├── AccessRefused       a server of ours wants an API key, or one that may do more
    ├── ServerGone          a server of ours that was followed does not answer any more
    ├── DatabaseError       the database refused what was asked
    │   ├── DatabaseUnavailable  it can't be reached, went away or is starting up
    │   ├── SchemaRefused   tables are missing, not ours, or of another version
    │   ├── TapeDiffers     the rows of a market are those of another tape
    │   └── SaveRefused     rows from elsewhere that don't fit, or their market is collected
    ├── ResourcesLacking    the account's limits (ulimit) are too low to begin
    └── SettingRefused      an environment variable or option has a value that can't be used

``retryable`` says whether trying the same thing again, unchanged, can help.
"""

from __future__ import annotations

__all__ = [
    "AccessRefused",
    "BadFile",
    "BookCorrupt",
    "ChildFailed",
    "CollectFailed",
    "DatabaseError",
    "DatabaseUnavailable",
    "IdRefused",
    "ImportRefused",
    "MarketBusy",
    "NameRefused",
    "NoRoom",
    "NotFound",
    "NumberRefused",
    "OrdertapeError",
    "PortTaken",
    "ResourcesLacking",
    "SaveRefused",
    "SchemaRefused",
    "ServerGone",
    "SettingRefused",
    "SyncFailed",
    "TapeCorrupt",
    "TapeDiffers",
    "TapeError",
    "TransitionRefused",
    "UnknownMarket",
    "VenueError",
    "VenueRefused",
]


class OrdertapeError(Exception):
    """Base of all; its text is one sentence for people."""

    retryable = False


class NumberRefused(OrdertapeError, ValueError):
    """``field``, ``text`` and ``reason`` of a number; ``market`` is added by who knows it."""

    def __init__(self, field: str, text: str, reason: str, market: str | None = None) -> None:
        super().__init__(field, text, reason, market)
        self.field, self.text, self.reason, self.market = field, text, reason, market

    def __str__(self) -> str:
        where = f"{self.market}: " if self.market else ""
        return f"{where}{self.field} {self.text!r} {self.reason}"


class IdRefused(OrdertapeError, ValueError):
    """An id can't be stored reversibly."""


class BookCorrupt(OrdertapeError):
    """The book's structures disagree with each other."""


class BadFile(OrdertapeError):
    """``path``, the line (from 1) or byte where it breaks, and what was expected and found."""

    def __init__(self, path: object, where: str, problem: str) -> None:
        super().__init__(path, where, problem)
        self.path, self.where, self.problem = path, where, problem

    def __str__(self) -> str:
        return f"{self.path}, {self.where}: {self.problem}"


class NotFound(OrdertapeError, LookupError):
    """Nothing is kept under that name or number: a rule, a bookmark, a market."""


class UnknownMarket(NotFound):
    """Nothing is known of a market under that name."""


class NameRefused(UnknownMarket):
    """A name that is wrong whatever was recorded or listed: of no venue, or in no symbol's form."""


class MarketBusy(OrdertapeError):
    """Another process holds the market's lock."""

    retryable = True


class RoleBusy(OrdertapeError):
    """Another process is this data folder's server, keeper or collector of that venue."""

    retryable = True


class PortTaken(OrdertapeError):
    """Another program listens there, or the account may not."""

    retryable = True


class ImportRefused(OrdertapeError):
    """The source doesn't fit this tape."""


class TapeError(OrdertapeError):
    """A journal or archive can't do what was asked."""


class NoRoom(TapeError):
    """The disk of a tape is full; what is written stays."""

    retryable = True


class TapeCorrupt(TapeError):
    """Damage before the last sync: the tape can't be what was written."""


class SyncFailed(TapeError):
    """fdatasync failed; after that nothing about the file can be trusted."""


class VenueError(OrdertapeError):
    """A venue's answer that ends a connection."""

    retryable = True


class VenueRefused(VenueError):
    """An answer that would come again: unknown pair, missing credentials."""

    retryable = False


class CollectFailed(OrdertapeError):
    """Every market of a collector has failed."""


class ChildFailed(OrdertapeError):
    """A child process did not start, or ended without being asked."""


class AccessRefused(OrdertapeError):
    """No API key, one that does not stand, or one whose scope is too small."""


class ServerGone(OrdertapeError):
    """The server does not listen, or stayed away for longer than a reader waits."""

    retryable = True


class DatabaseError(OrdertapeError):
    """PostgreSQL refused; the text names where and why."""


class DatabaseUnavailable(DatabaseError):
    """No connection, or a connection that ended: what was under way may be tried again."""

    retryable = True


class SchemaRefused(DatabaseError):
    """The schema isn't what this version works with, or holds tables that aren't ours."""


class TapeDiffers(DatabaseError):
    """The database goes on from other events than those of this tape."""


class SaveRefused(DatabaseError):
    """What was to be saved does not fit the market's rows."""


class TransitionRefused(OrdertapeError):
    """A stream was asked for a step that its state does not allow; the text names both."""


class ResourcesLacking(OrdertapeError):
    """The account may use less memory or fewer open files than are needed."""


class SettingRefused(OrdertapeError, ValueError):
    """A setting has a value that can't be used."""
