"""What a stream has proved about its book, and what it could not."""

from __future__ import annotations

from ordertape import limits
from ordertape.numbers import counted
from ordertape.venues.session import Audit, Checksum, Proofs

__all__ = ["Integrity"]


class Integrity:
    """Sequence and checksums of one stream since its start.

    A book is *proven* while the venue's numbering is checked and its last checksum was equal;
    where the venue gives no checksum, its last audit: the comparison with the book over REST.
    """

    def __init__(self) -> None:
        self.proofs = Proofs(sequence=False, checksum=False, venue_time=False)
        self.begun = self.connected = False
        """Whether there was a book to prove, and a connection, since the start."""
        self.compared = 0
        self.equal = 0
        self.last: Checksum | None = None
        self.last_equal_ns: int | None = None
        self.misses = 0
        """Checksums in a row that differed."""
        self.crossed = 0
        """Commits in a row that left the book crossed."""
        self.audits = self.audits_equal = self.audits_failed = 0
        self.last_audit_ns: int | None = None
        """When the last audit found this book equal."""
        self.audit_detail = ""
        """Of the last audit that found a difference, or came to nothing."""

    def new_book(self, proofs: Proofs) -> None:
        """A snapshot: what was counted about the book before says nothing of this one."""
        self.proofs, self.begun = proofs, True
        self.last = self.last_equal_ns = self.last_audit_ns = None
        self.misses = self.crossed = 0

    def compare(self, checksum: Checksum, now: int) -> bool:
        """Whether the venue's checksum is ours."""
        self.last = checksum
        self.compared += 1
        if checksum.sent == checksum.ours:
            self.equal += 1
            self.misses = 0
            self.last_equal_ns = now
            return True
        self.misses += 1
        return False

    def note_audit(self, audit: Audit, now: int) -> None:
        """What a comparison with the venue's own book came to."""
        self.audit_detail = audit.detail
        if audit.equal is None:
            self.audits_failed += 1
            return
        self.audits += 1
        if audit.equal:
            self.audits_equal += 1
            self.last_audit_ns = now

    @property
    def misses_exhausted(self) -> bool:
        return self.misses > limits.checksum_misses_max

    def note_commit(self, crossed: bool, commits_max: int) -> bool:
        """Whether the book was crossed over more commits in a row than it may be."""
        self.crossed = self.crossed + 1 if crossed else 0
        return self.crossed > commits_max

    @property
    def proven(self) -> bool:
        proof = self.last_equal_ns if self.proofs.checksum else self.last_audit_ns
        return self.proofs.sequence and proof is not None and self.misses == 0

    @property
    def summary(self) -> str:
        """One sentence for people."""
        if not self.begun:
            return "no book yet" if self.connected else "not connected yet"
        if self.misses:
            verb = "differs" if self.misses == 1 else "differ"
            return f"in doubt: {counted(self.misses, 'checksum')} in a row {verb}"
        audits = f"{self.audits_equal} of {self.audits} audits equal"
        if self.proven:
            shown = [f"{self.equal} of {self.compared} checksums equal"] if self.compared else []
            shown += [audits] if self.audits else []
            return f"proven: sequence checked, {', '.join(shown)}"
        if self.proofs.sequence and self.proofs.checksum and self.last is None:
            return "proof pending: no checksum yet"
        lacking = []
        if not self.proofs.sequence:
            lacking.append("the venue gives no sequence")
        if not self.proofs.checksum:
            lacking.append("the venue gives no checksum")
            lacking.append(
                f"no audit of this book yet ({audits})" if self.audits else "no audit yet"
            )
        elif self.last_equal_ns is None:
            lacking.append("no checksum yet")
        return f"unproven: {', '.join(lacking)}"

    def as_dict(self) -> dict[str, int | str | bool | None]:
        return {
            "proven": self.proven,
            "summary": self.summary,
            "sequence_checked": self.proofs.sequence,
            "checksums_given": self.proofs.checksum,
            "checksums_compared": self.compared,
            "checksums_equal": self.equal,
            "last_checksum": self.last.sent if self.last else None,
            "last_equal_ns": self.last_equal_ns,
            "audits": self.audits,
            "audits_equal": self.audits_equal,
            "audits_failed": self.audits_failed,
            "last_audit_ns": self.last_audit_ns,
            "audit_detail": self.audit_detail,
        }
