"""The alerts of a server: rules, the markets that are watched for them, and who is told.

Rules and listeners belong to the event loop.  A thread of its own reads and writes the store, which
may be away for as long as it likes: what fired meanwhile waits.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import structlog

from ordertape import limits
from ordertape.alerts.fired import Alert, Gate
from ordertape.alerts.rules import Rule
from ordertape.alerts.store import AlertQuery, AlertStore
from ordertape.alerts.watch import RuleWatch
from ordertape.alerts.webhooks import Webhooks
from ordertape.errors import DatabaseError, DatabaseUnavailable, OrdertapeError
from ordertape.findings.finding import Finding
from ordertape.numbers import plain
from ordertape.page.live import LiveMarket
from ordertape.page.markets import PageMarkets
from ordertape.times import NS_PER_SECOND

__all__ = ["Alerts"]

Listener: TypeAlias = Callable[[Alert], None]
Find: TypeAlias = Callable[[str, str], Path]
"""The data folder of a market.  Raises UnknownMarket."""


class Alerts:
    """``begin`` and everything else is called in the event loop, but for ``store``."""

    def __init__(
        self, store: AlertStore, markets: PageMarkets, find: Find, webhooks: Webhooks
    ) -> None:
        self.store, self.webhooks = store, webhooks
        self._markets, self._find = markets, find
        self._loop = asyncio.get_running_loop()
        self._rules: dict[int, Rule] = {}
        self._changes = 0
        """How often a rule was added or removed here: what was read of the store before is old."""
        self._unknown: set[tuple[str, str]] = set()
        """Markets with rules that have no tape, and of which that was said."""
        self._watched: dict[tuple[str, str], tuple[LiveMarket, RuleWatch]] = {}
        self._gates: dict[int, Gate] = {}
        """Of the rules for findings."""
        self._known: OrderedDict[str, None] = OrderedDict()
        self._listeners: set[Listener] = set()
        self._waiting: deque[Alert] = deque(maxlen=limits.alerts_waiting_max)
        self._lock = threading.Lock()
        self._due = threading.Event()
        self._stop = threading.Event()
        self._complaint = ""
        self._away_since = 0.0
        """When it did not answer for the first time, 0: it does."""
        self._dropped = 0
        self._log = structlog.stdlib.get_logger("ordertape.alerts")
        self._thread = threading.Thread(target=self._keep, name="alerts", daemon=True)

    def begin(self) -> None:
        self.webhooks.begin()
        self._thread.start()

    async def close(self) -> None:
        """What fired is written first, where the store takes it."""
        for market, watch in self._watched.values():
            self._markets.unwatch(market, watch)
        self._watched.clear()
        await self.webhooks.close()
        self._stop.set()
        self._due.set()
        await asyncio.to_thread(self._thread.join)
        self.store.close()

    # Rules ----------------------------------------------------------------------------------------

    def added(self, rule: Rule) -> None:
        """Watches for a rule that the store took."""
        self._changes += 1
        self._rules[rule.number] = rule
        self._watch_for(rule.market)

    def removed(self, number: int) -> None:
        """Watches for it no more."""
        self._changes += 1
        rule = self._rules.pop(number, None)
        self._gates.pop(number, None)
        if rule is not None:
            self._watch_for(rule.market)

    def _loaded(self, rules: list[Rule], changes: int) -> None:
        """The store's rules as they are: also where an answer of its was lost."""
        if changes != self._changes:
            return
        before, self._rules = self._rules, {rule.number: rule for rule in rules}
        both = before | self._rules
        changed = {both[number].market for number in before.keys() ^ self._rules.keys()}
        waiting = {rule.market for rule in rules if rule.market not in self._watched}
        for market in changed | waiting:
            self._watch_for(market)

    def _told_before(self, known: list[str]) -> None:
        self._known.update(dict.fromkeys(known))

    def _watch_for(self, name: tuple[str, str]) -> None:
        """Holds a market against the rules it has now."""
        rules = [
            rule for rule in self._rules.values() if rule.market == name and rule.kind != "finding"
        ]
        watched = self._watched.get(name)
        if not rules:
            if watched is not None:
                del self._watched[name]
                self._markets.unwatch(*watched)
            return
        if watched is None:
            watch = RuleWatch(self._fired)
            try:
                market = self._markets.watch(self._find(*name), *name, watch)
            except OrdertapeError as error:
                if name not in self._unknown:
                    self._unknown.add(name)
                    self._log.warning("L3_alert_market_unknown", reason=str(error))
                return
            self._unknown.discard(name)
            watched = self._watched[name] = market, watch
        market, watch = watched
        market.call(lambda: watch.become(rules))

    # Findings -------------------------------------------------------------------------------------

    def found(self, exchange: str, symbol: str, finding: Finding) -> None:
        """Holds a finding against the rules for them; a later phase of it fires no more."""
        for rule in self._rules.values():
            if rule.kind != "finding" or rule.market != (exchange, symbol):
                continue
            if rule.spec.get("pattern", finding.kind) != finding.kind:
                continue
            if finding.score < (rule.number_of("score") or 0):
                continue
            gate = self._gates.setdefault(rule.number, Gate(rule))
            left_out = gate.passes(finding.id, finding.told)
            if left_out is not None:
                self._tell(_alert_of(rule, finding, left_out))

    # What fires -----------------------------------------------------------------------------------

    def listen(self, listener: Listener) -> None:
        """It is told every alert from now on."""
        self._listeners.add(listener)

    def leave(self, listener: Listener) -> None:
        self._listeners.discard(listener)

    def _fired(self, alert: Alert) -> None:
        """In a market's thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._tell, alert)

    def _tell(self, alert: Alert) -> None:
        rule = self._rules.get(alert.rule)
        if rule is None or alert.id in self._known:
            return
        self._known[alert.id] = None
        if len(self._known) > limits.alert_subjects_kept:
            self._known.popitem(last=False)
        for listener in self._listeners:
            listener(alert)
        if (name := rule.spec.get("webhook")) is not None:
            self.webhooks.put(name, alert)
        with self._lock:
            self._dropped += len(self._waiting) == limits.alerts_waiting_max
            self._waiting.append(alert)
        self._due.set()

    # The store's thread ---------------------------------------------------------------------------

    def _keep(self) -> None:
        while not self._stop.is_set() and not (self._load_told() and self._load_rules()):
            self._stop.wait(limits.alerts_retry_ms / 1000)
        load_at = time.monotonic() + limits.alerts_reload_ms / 1000
        while True:
            self._due.wait(max(0.0, load_at - time.monotonic()))
            self._due.clear()
            while not self._save() and not self._stop.is_set():
                self._stop.wait(limits.alerts_retry_ms / 1000)
            if self._stop.is_set():
                self._save()
                return
            if time.monotonic() >= load_at:
                self._load_rules()
                load_at = time.monotonic() + limits.alerts_reload_ms / 1000

    def _load_told(self) -> bool:
        query = AlertQuery(limit=limits.alert_subjects_kept)
        try:
            known = [alert.id for alert in reversed(self.store.alerts(query))]
        except DatabaseError as error:
            self._complain(error)
            return False
        self._loop.call_soon_threadsafe(self._told_before, known)
        return True

    def _load_rules(self) -> bool:
        changes = self._changes
        try:
            rules = self.store.rules()
        except DatabaseError as error:
            self._complain(error)
            return False
        self._works()
        self._loop.call_soon_threadsafe(self._loaded, rules, changes)
        return True

    def _save(self) -> bool:
        """Everything that waits; False where the store does not take it now."""
        with self._lock:
            batch = list(self._waiting)
            self._waiting.clear()
        if not batch:
            return True
        try:
            self._save_all(batch)
        except DatabaseUnavailable as error:
            with self._lock:
                room = limits.alerts_waiting_max - len(self._waiting)
                self._dropped += max(0, len(batch) - room)
                self._waiting.extendleft(reversed(batch[-room:] if room else []))
            self._complain(error)
            return False
        self._works()
        return True

    def _save_all(self, batch: list[Alert]) -> None:
        """Each but those that the database refuses for what they say: they were told, and are
        counted.  What was saved may be saved again.  Raises DatabaseUnavailable."""
        try:
            self.store.save(batch)
        except DatabaseUnavailable:
            raise
        except DatabaseError as error:
            if len(batch) == 1:
                self._dropped += 1
                self._complain(error)
                return
            half = len(batch) // 2
            self._save_all(batch[:half])
            self._save_all(batch[half:])

    def _complain(self, error: DatabaseError) -> None:
        """Once for each reason; not of a database that has yet to begin, as at every start."""
        now = time.monotonic()
        self._away_since = self._away_since or now
        patient = now - self._away_since < limits.alerts_patience_ms / 1000
        if str(error) != self._complaint and not (
            patient and isinstance(error, DatabaseUnavailable)
        ):
            self._complaint = str(error)
            self._log.warning("L3_alerts_without_database", reason=self._complaint)

    def _works(self) -> None:
        self._away_since = 0.0
        if self._complaint:
            self._complaint = ""
            self._log.info("L3_alerts_with_database", dropped=self._dropped)


def _alert_of(rule: Rule, finding: Finding, left_out: int) -> Alert:
    side = finding.side.name.lower()
    prices = plain(finding.price_low)
    if finding.price_high != finding.price_low:
        prices += f" to {plain(finding.price_high)}"
    lasted = (finding.ended - finding.began) / NS_PER_SECOND
    text = (
        f"{finding.kind}: {side} of {plain(finding.size)} at {prices}, {lasted:.1f} s, "
        f"score {finding.score:.2f}"
    )
    order_id = finding.order_ids[0] if finding.order_ids else None
    return Alert(
        *(rule.number, rule.kind, rule.exchange, rule.symbol, finding.told, finding.id, text),
        *(finding.price_low, finding.size, side, order_id, left_out),
    )
