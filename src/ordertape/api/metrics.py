"""``/metrics``: what the server and its roles measured, as Prometheus reads it.

``METRICS`` names all of them once; a page is written from one reading of everything.  What a
collector or the keeper measured is theirs: a counter begins anew when that process does, as
Prometheus expects of counters, but for gaps, of which a restart makes one; and a stream whose
collector does not answer is not told.
"""

from __future__ import annotations

import platform
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.registry import Collector

from ordertape.broadcast.figures import ClientFigures, PageCounts
from ordertape.database.told import Copied
from ordertape.measures import (
    BOUNDS_SECONDS,
    DelaysTold,
    MeasuredStream,
    ProcessMeasures,
    StreamMeasures,
)
from ordertape.models import StreamInfo
from ordertape.stream.state import StreamState
from ordertape.times import NS_PER_SECOND

__all__ = ["METRICS", "Kept", "Metric", "Reading", "registry_of"]

Family: TypeAlias = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily
_MARKET: Final = ("exchange", "symbol")


class Metric(NamedTuple):
    """``kind``: ``counter``, ``gauge`` or ``histogram``; a counter's name ends with ``_total``."""

    kind: str
    labels: tuple[str, ...]
    help: str


METRICS: Final[dict[str, Metric]] = {
    # The server and its roles
    "ordertape_build_info": Metric("gauge", ("version", "python"), "what runs here; always 1"),
    "ordertape_ready": Metric("gauge", (), "1 where /readyz answers 200"),
    "ordertape_disk_free_bytes": Metric("gauge", (), "free where the data folder lies"),
    "ordertape_role_resident_bytes": Metric("gauge", ("role",), "memory of a role's process"),
    "ordertape_role_cpu_seconds_total": Metric("counter", ("role",), "processor time of a role"),
    "ordertape_role_open_files": Metric("gauge", ("role",), "files that a role holds open"),
    "ordertape_role_started_timestamp_seconds": Metric(
        "gauge", ("role",), "when a role's process started, whoever started it"
    ),
    "ordertape_role_starts_total": Metric(
        "counter", ("role",), "how often this server started a role"
    ),
    # A stream
    "ordertape_stream_state": Metric(
        "gauge", (*_MARKET, "state"), "1 for the state that the stream is in, 0 for the others"
    ),
    "ordertape_stream_simulated": Metric("gauge", _MARKET, "1 where the venue is a simulated one"),
    "ordertape_stream_age_seconds": Metric("gauge", _MARKET, "since the venue's last frame"),
    "ordertape_stream_era": Metric("gauge", _MARKET, "the era of the book"),
    "ordertape_events_total": Metric("counter", _MARKET, "events recorded"),
    "ordertape_frames_total": Metric("counter", _MARKET, "frames received"),
    "ordertape_frame_bytes_total": Metric("counter", _MARKET, "bytes of those frames"),
    "ordertape_unreadable_frames_total": Metric("counter", _MARKET, "frames not understood"),
    "ordertape_connects_total": Metric(
        "counter", _MARKET, "connections to the venue, the first too"
    ),
    "ordertape_resyncs_total": Metric("counter", _MARKET, "books given up and asked for again"),
    "ordertape_gaps_total": Metric(
        "counter", (*_MARKET, "reason"), "gaps that began, over restarts"
    ),
    "ordertape_checksums_total": Metric(
        "counter", (*_MARKET, "result"), "checksums compared: equal, different"
    ),
    "ordertape_audits_total": Metric(
        "counter",
        (*_MARKET, "result"),
        "comparisons with the venue's book over REST: equal, different, failed",
    ),
    "ordertape_snapshots_total": Metric("counter", _MARKET, "whole books written"),
    "ordertape_book_orders": Metric("gauge", (*_MARKET, "side"), "orders in the book: bid, ask"),
    # Delays
    "ordertape_venue_delay_seconds": Metric(
        "histogram", _MARKET, "from the venue's clock to our receipt, of a batch's last event"
    ),
    "ordertape_venue_ahead_total": Metric(
        "counter", _MARKET, "those that the venue's clock puts behind our receipt: counted as 0"
    ),
    "ordertape_venue_clock_offset_seconds": Metric(
        "gauge",
        _MARKET,
        "the least of those of the last two minutes, below 0 too: clocks and the shortest way",
    ),
    "ordertape_durable_delay_seconds": Metric(
        "histogram", _MARKET, "from receipt to durable in the journal, of a batch's last event"
    ),
    "ordertape_database_delay_seconds": Metric(
        "histogram", _MARKET, "from receipt to committed in PostgreSQL, of every event"
    ),
    "ordertape_client_delay_seconds": Metric(
        "histogram",
        _MARKET,
        "from receipt to the connections of all WebSocket clients, of a frame's newest event; "
        "`batch_ms` is in it, what waits in a mailbox is not",
    ),
    "ordertape_mailbox_delay_seconds": Metric(
        "histogram", (), "how long frames waited in mailboxes, of those that did not go straight on"
    ),
    # What waits
    "ordertape_unsynced_events": Metric("gauge", _MARKET, "recorded and not durable yet"),
    "ordertape_unarchived_events": Metric(
        "gauge", _MARKET, "in the journal and in no closed file of the archive yet"
    ),
    "ordertape_journal_bytes": Metric(
        "gauge", _MARKET, "the journal on disk, ahead of its end too"
    ),
    "ordertape_database_behind_events": Metric(
        "gauge", _MARKET, "recorded and not in PostgreSQL yet"
    ),
    "ordertape_database_following": Metric(
        "gauge", (), "1 where PostgreSQL takes events, 0 where it, or its keeper, is waited for"
    ),
    # Clients
    "ordertape_clients": Metric("gauge", (), "WebSocket clients of books and events"),
    "ordertape_mailbox_bytes": Metric("gauge", (), "what waits for all of them"),
    "ordertape_mailbox_bytes_largest": Metric(
        "gauge", (), "the most that ever waited for one of them"
    ),
    "ordertape_clients_too_slow_total": Metric(
        "counter", (), "clients closed: their mailbox was full, or a book waited for them too long"
    ),
    "ordertape_frames_conflated_total": Metric(
        "counter", (), "frames of state that a newer one replaced before they were sent"
    ),
    "ordertape_frames_dropped_total": Metric(
        "counter", (), "frames that waited for clients who were closed as too slow"
    ),
    "ordertape_frames_sent_total": Metric("counter", (), "frames handed to WebSockets"),
    "ordertape_bytes_sent_total": Metric("counter", (), "bytes of those frames"),
    # Pages
    "ordertape_pages": Metric("gauge", (), "web pages that are open"),
    "ordertape_pages_too_slow_total": Metric(
        "counter", (), "pages closed because they applied nothing for too long"
    ),
    "ordertape_page_frames_left_out_total": Metric(
        "counter", (), "frames and texts dropped because a page was slow; a whole picture follows"
    ),
    "ordertape_page_frames_sent_total": Metric("counter", (), "frames handed to pages"),
    "ordertape_page_bytes_sent_total": Metric("counter", (), "bytes of those frames"),
}
"""Every metric there is."""


class Kept(NamedTuple):
    """What of a market's tape waits for the archive."""

    journal_bytes: int
    archived_seq: int


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at everything, all of it as of the same moment or nearly so."""

    ready: bool
    disk_free_bytes: int
    infos: Sequence[StreamInfo]
    streams: Sequence[MeasuredStream]
    processes: Sequence[ProcessMeasures]
    starts: Mapping[str, int]
    kept: Mapping[tuple[str, str], Kept]
    following: bool | None
    """Whether the database takes events; None where nothing persists."""
    copied: Copied | None
    clients: ClientFigures
    pages: PageCounts
    client_delays: Mapping[tuple[str, str], DelaysTold] = field(default_factory=dict)
    at_ns: int = field(default_factory=time.time_ns)


def disk_free(folder: Path) -> int:
    """Bytes that are free where a folder lies."""
    return shutil.disk_usage(folder).free


def registry_of(reading: Reading) -> CollectorRegistry:
    """A registry that tells this reading alone."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Page(reading))
    return registry


class _Page(Collector):
    """A reading as families of metrics; a family without a sample is left out."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._families: dict[str, Family] = {}

    def collect(self) -> Iterator[Family]:
        self._families = {}
        self._roles()
        for info in self._reading.infos:
            self._state(info)
        for stream in self._reading.streams:
            self._stream(stream)
        self._database()
        self._clients()
        yield from self._families.values()

    # Samples --------------------------------------------------------------------------------------

    def _add(self, name: str, value: float, *labels: str) -> None:
        family = self._family(name)
        assert not isinstance(family, HistogramMetricFamily)
        family.add_metric(labels, value)

    def _add_delays(self, name: str, delays: DelaysTold, *labels: str) -> None:
        family = self._family(name)
        assert isinstance(family, HistogramMetricFamily)
        total, buckets = 0, []
        for bound, count in zip((*BOUNDS_SECONDS, "+Inf"), delays.counts, strict=True):
            total += count
            buckets.append((str(bound), float(total)))
        family.add_metric(labels, buckets, delays.sum_ns / NS_PER_SECOND)

    def _family(self, name: str) -> Family:
        if name not in self._families:
            metric = METRICS[name]
            kinds: dict[str, Any] = {
                "counter": CounterMetricFamily,
                "gauge": GaugeMetricFamily,
                "histogram": HistogramMetricFamily,
            }
            self._families[name] = kinds[metric.kind](
                name.removesuffix("_total"), metric.help, labels=metric.labels
            )
        return self._families[name]

    # Parts ----------------------------------------------------------------------------------------

    def _roles(self) -> None:
        reading = self._reading
        self._add("ordertape_build_info", 1, version("ordertape"), platform.python_version())
        self._add("ordertape_ready", reading.ready)
        self._add("ordertape_disk_free_bytes", reading.disk_free_bytes)
        for process in reading.processes:
            self._add("ordertape_role_resident_bytes", process.resident_bytes, process.role)
            self._add("ordertape_role_cpu_seconds_total", process.cpu_seconds, process.role)
            self._add("ordertape_role_open_files", process.open_files, process.role)
            self._add("ordertape_role_started_timestamp_seconds", process.started_at, process.role)
        for role, starts in reading.starts.items():
            self._add("ordertape_role_starts_total", starts, role)

    def _state(self, info: StreamInfo) -> None:
        market = info.exchange, info.symbol
        for state in StreamState:
            self._add("ordertape_stream_state", info.state == state.value, *market, state.value)
        self._add("ordertape_stream_simulated", info.simulated, *market)
        self._add("ordertape_stream_era", info.era, *market)
        if info.is_active and info.last_frame_at is not None:
            age = max(0, self._reading.at_ns - info.last_frame_at) / NS_PER_SECOND
            self._add("ordertape_stream_age_seconds", age, *market)

    def _stream(self, stream: MeasuredStream) -> None:
        market, found = (stream.exchange, stream.symbol), stream.measures
        self._add("ordertape_events_total", stream.events, *market)
        for name, value in (
            ("frames_total", found.frames),
            ("frame_bytes_total", found.frame_bytes),
            ("unreadable_frames_total", found.unreadable),
            ("connects_total", found.connects),
            ("resyncs_total", found.resyncs),
            ("snapshots_total", found.snapshots),
        ):
            self._add(f"ordertape_{name}", value, *market)
        self._add("ordertape_book_orders", found.bid_orders, *market, "bid")
        self._add("ordertape_book_orders", found.ask_orders, *market, "ask")
        self._proofs(market, found)
        self._delays(market, found)
        if stream.persist:
            self._add("ordertape_unsynced_events", stream.sequence - stream.durable, *market)
        if stream.persist and (kept := self._reading.kept.get(market)) is not None:
            behind = max(0, stream.sequence - kept.archived_seq)
            self._add("ordertape_unarchived_events", behind, *market)
            self._add("ordertape_journal_bytes", kept.journal_bytes, *market)

    def _proofs(self, market: tuple[str, str], found: StreamMeasures) -> None:
        for reason, count in found.gaps.items():
            self._add("ordertape_gaps_total", count, *market, reason)
        different = found.checksums - found.checksums_equal
        self._add("ordertape_checksums_total", found.checksums_equal, *market, "equal")
        self._add("ordertape_checksums_total", different, *market, "different")
        different = found.audits - found.audits_equal
        self._add("ordertape_audits_total", found.audits_equal, *market, "equal")
        self._add("ordertape_audits_total", different, *market, "different")
        self._add("ordertape_audits_total", found.audits_failed, *market, "failed")

    def _delays(self, market: tuple[str, str], found: StreamMeasures) -> None:
        if found.venue.counts:
            self._add_delays("ordertape_venue_delay_seconds", found.venue, *market)
            self._add("ordertape_venue_ahead_total", found.venue.negative, *market)
        if found.durable.counts:
            self._add_delays("ordertape_durable_delay_seconds", found.durable, *market)
        if found.venue_offset_ns is not None:
            offset = found.venue_offset_ns / NS_PER_SECOND
            self._add("ordertape_venue_clock_offset_seconds", offset, *market)

    def _database(self) -> None:
        following, copied = self._reading.following, self._reading.copied
        if following is not None:
            self._add("ordertape_database_following", following)
        there = (
            {(market.exchange, market.symbol): market for market in copied.markets}
            if copied
            else {}
        )
        for market in there.values():
            names = market.exchange, market.symbol
            self._add_delays("ordertape_database_delay_seconds", market.delays, *names)
        if following is None and copied is None:
            return
        for stream in self._reading.streams:
            if stream.persist:
                found = there.get((stream.exchange, stream.symbol))
                behind = max(0, stream.sequence - (found.seq if found is not None else 0))
                self._add(
                    "ordertape_database_behind_events", behind, stream.exchange, stream.symbol
                )

    def _clients(self) -> None:
        for name, attribute in _CLIENT_FIGURES:
            self._add(name, getattr(self._reading.clients, attribute))
        for name, attribute in _PAGE_FIGURES:
            self._add(name, getattr(self._reading.pages, attribute))
        for market, delays in self._reading.client_delays.items():
            self._add_delays("ordertape_client_delay_seconds", delays, *market)
        self._add_delays("ordertape_mailbox_delay_seconds", self._reading.clients.waited)


_CLIENT_FIGURES: Final = (
    ("ordertape_clients", "clients"),
    ("ordertape_mailbox_bytes", "waiting_bytes"),
    ("ordertape_mailbox_bytes_largest", "largest_mailbox_bytes"),
    ("ordertape_clients_too_slow_total", "closed_too_slow"),
    ("ordertape_frames_conflated_total", "conflated_frames"),
    ("ordertape_frames_dropped_total", "dropped_frames"),
    ("ordertape_frames_sent_total", "frames_sent"),
    ("ordertape_bytes_sent_total", "bytes_sent"),
)
_PAGE_FIGURES: Final = (
    ("ordertape_pages", "pages"),
    ("ordertape_pages_too_slow_total", "closed_too_slow"),
    ("ordertape_page_frames_left_out_total", "left_out_frames"),
    ("ordertape_page_frames_sent_total", "frames_sent"),
    ("ordertape_page_bytes_sent_total", "bytes_sent"),
)
