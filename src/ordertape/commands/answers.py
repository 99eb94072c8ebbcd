"""What ``ordertape book`` answers: the fields of ``GET /snapshot``."""

from __future__ import annotations

from ordertape.broadcast.answer import rebuilt_picture, snapshot_text
from ordertape.broadcast.frames import age_of
from ordertape.roles.status import read_report
from ordertape.tape.folder import MarketFolder
from ordertape.tape.history import history_of
from ordertape.tape.reader import TapeReader

__all__ = ["book_answer"]


def book_answer(folder: MarketFolder, at_ns: int | None, depth: int) -> str:
    """The book rebuilt at a moment, or as it stands (``at_ns`` None), as JSON text.

    ``depth``: orders a side, 0 all.  ``age_ms``: since the venue's last frame, which a running
    collector knows; in the past, since the last event.
    """
    history = history_of(TapeReader(folder.data, folder.exchange, folder.symbol))
    picture = rebuilt_picture(folder, history, at_ns)
    report = read_report(folder.root)
    simulated = history.simulated or (report is not None and report.simulated)
    if report is not None and report.fresh:
        state, age_ms = report.state, report.age_ms()
    else:
        # Nobody collects: what the last mark says is no longer so.
        state = "FAILED" if picture.where.state == "FAILED" else "STOPPED"
        age_ms = age_of(picture.ts_recv)
    known = {"state": state, "era": picture.where.era, "age_ms": age_ms, "simulated": simulated}
    return snapshot_text(picture, history, depth, at_ns, known)
