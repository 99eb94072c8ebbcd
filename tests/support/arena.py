"""Where roles are killed: one venue and one template for many tries, a new tape now and then."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from contextlib import ExitStack
from functools import cache
from pathlib import Path

from ordertape.roles.status import StreamReport, read_report
from ordertape.tape.folder import MarketFolder
from ordertape.tape.verify import verify
from support.forked import Forked, Template
from support.processes import wait_for
from support.truth import EXCHANGE, PRODUCT, Truth, tape_against

__all__ = ["SEGMENT_BYTES", "Arena", "the_arena"]

SEGMENT_BYTES = 96 * 2**10
"""A journal that rolls about once in two seconds."""
TRIES_A_TAPE = 8
LATE_NS_MAX = 5_000_000_000
"""A venue whose time stood still with a busy machine would find our signatures too new."""


class Arena:
    """Each try goes on with the tape that the one before left, up to a number of them."""

    def __init__(self, folder: Path, truth: Truth, template: Template) -> None:
        self.folder, self.truth, self.template = folder, truth.__enter__(), template
        self._tapes = self._tries = 0
        self.data = folder / "data-0"

    def next_try(self) -> Path:
        self.template.end()  # what a try that failed left running
        self._tries += 1
        if self.truth.late_ns > LATE_NS_MAX:
            self.truth.__exit__()
            self.truth = Truth().__enter__()
            self.fresh()
        if self._tries > TRIES_A_TAPE or not self.data.exists():
            self.fresh()
        return self.data

    def fresh(self) -> None:
        """A tape that has nothing on it."""
        shutil.rmtree(self.data, ignore_errors=True)
        self._tapes, self._tries = self._tapes + 1, 1
        self.data = self.folder / f"data-{self._tapes}"
        self.truth.forget()

    def keep(self) -> Path:
        """Leaves the tape where it lies, for whoever looks at what went wrong."""
        kept = Path(tempfile.mkdtemp(prefix="ordertape-wrong-"))
        shutil.move(self.data, kept / "data")
        return kept

    @property
    def market(self) -> MarketFolder:
        return MarketFolder(self.data, EXCHANGE, PRODUCT)

    def collector_arguments(self, *more: str) -> list[str]:
        arguments = [EXCHANGE, PRODUCT, "--data", str(self.data), "--simulated", *more]
        return [*arguments, "--report-ms", "10", "--segment-bytes", str(SEGMENT_BYTES)]

    def collector_environment(self) -> dict[str, str]:
        logs = {"ORDERTAPE_LOGS": str(self.folder / "logs"), "L3_SNAPSHOT_INTERVAL": "10"}
        return {**self.truth.environment, **logs}

    def collector(self, *more: str, **environment: str) -> Forked:
        return self.template.start(
            "ordertape.roles.collector",
            self.collector_arguments(*more),
            {**self.collector_environment(), **environment},
        )

    def archiver(self, *more: str, **environment: str) -> Forked:
        arguments = [str(self.data), EXCHANGE, PRODUCT, *more]
        return self.template.start("support.archiving", arguments, environment)

    def report_of(self, process: Forked) -> StreamReport | None:
        """What this very collector reports."""
        report = read_report(self.market.root)
        return report if report is not None and report.pid == process.pid else None

    def wait_live(self, process: Forked, events: int = 1) -> StreamReport:
        found: list[StreamReport] = []

        def there() -> bool:
            assert process.status is None, process.ending()
            report = self.report_of(process)
            if report is not None and report.state == "LIVE" and report.events >= events:
                found.append(report)
            return bool(found)

        wait_for(there, f"{self.market.market} LIVE with {events} events")
        return found[-1]

    def judge(self, durable: int = 0) -> list[str]:
        """What does not hold of the tape, now that nobody writes it."""
        if not self.market.exists:
            return [] if durable == 0 else [f"{durable} was durable, there is no tape"]
        with self.market.writing(), self.market.archiving():
            pass  # the locks of the dead are free
        report = verify(self.data, EXCHANGE, PRODUCT)
        wrong = [] if report.equal else [f"verify: {report}"]
        if report.missing_events:
            wrong.append(f"verify: {report.missing_events} events are missing")
        wrong += tape_against(self.truth, self.data, durable=durable)
        if wrong:
            wrong.append(f"the tape is kept in {self.keep()}")
        return wrong


@cache
def the_arena() -> Arena:
    """The one of this process; it goes with the process."""
    opened = ExitStack()
    atexit.register(opened.close)
    folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="ordertape-arena-")))
    template = opened.enter_context(Template(folder / "errors"))
    arena = Arena(folder, Truth(), template)
    opened.callback(lambda: arena.truth.__exit__())
    return arena
