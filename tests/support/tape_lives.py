"""Lives out of a tape as plain as can be: one dict an order, one pass over rows as the edges show
them, whole books by ``NaiveBook``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from ordertape import EventBatch
from ordertape.events import EventKind, Flag, Reason
from ordertape.tape.marks import Mark
from support.naive_book import NaiveBook

__all__ = ["TapeLives", "rows_of_tables"]


class TapeLives:
    """``ended`` and ``alive``: rows in the names of ``ordertape.lifecycles.tables.COLUMNS``."""

    def __init__(self, items: Iterable[EventBatch | Mark], *, hold_ns: int) -> None:
        self.hold_ns = hold_ns
        self.book = NaiveBook()
        self.lives: dict[str, dict[str, Any]] = {}
        self.held: list[dict[str, Any]] = []
        self.ended: list[dict[str, Any]] = []
        self.era = 0
        self.gap_from: int | None = None
        self.last: tuple[int, int] = (0, 0)
        self.trusted = True
        for item in items:
            if isinstance(item, Mark):
                if item.kind == "gap":
                    open_ = item.fields["to_ns"] is None
                    self.gap_from = item.fields["from_ns"] if open_ else None
                continue
            for at in range(len(item)):
                self.take(item[at])
        self.ended.sort(key=lambda row: (row["told_seq"], row["opened_seq"], row["order_id"]))
        rank: dict[int, int] = {}
        for row in self.ended:
            row["nth"] = rank.get(row["told_seq"], 0)
            rank[row["told_seq"]] = row["nth"] + 1

    @property
    def alive(self) -> list[dict[str, Any]]:
        told = [*self.lives.values(), *self.held]
        return sorted(told, key=lambda row: (row["opened_seq"], row["order_id"]))

    def take(self, row: dict[str, Any]) -> None:
        seq, ts, kind, flags = row["seq"], row["ts_recv"], row["kind"], row["flags"]
        if seq > self.last[0] + 1:
            self.trusted = False
            self.cut(*self.last, told=(seq, ts))
        self.trusted = self.trusted or kind == EventKind.CLEAR
        self.last = (seq, ts)
        if not self.trusted:
            return
        while self.held and self.held[0]["ended"] + self.hold_ns <= ts:
            self.tell(self.held.pop(0), seq, ts)
        if flags & Flag.LATE:
            self.explain(row)
            return
        number = row["order_id"]
        effect = self.book.step(kind, row["side"], number, row["price"], row["size"], flags)[1]
        touch = {"bid": effect.best_bid, "ask": effect.best_ask}
        if kind == EventKind.CLEAR:
            known = ts if self.gap_from is None else min(ts, self.gap_from)
            self.cut(seq, known, told=(seq, ts))
            self.gap_from = None
            self.era += 1
        elif kind == EventKind.OPEN:
            self.open(row, touch, effect.orders_ahead)
        elif number in self.lives and kind != EventKind.TRADE:
            self.go_on(self.lives[number], row, touch, effect.orders_ahead)

    def open(self, row: dict[str, Any], touch: dict[str, Any], ahead: int | None) -> None:
        if (life := self.lives.get(row["order_id"])) is not None:  # it came back into sight
            place = {name: row[name] for name in ("side", "price", "size")}
            life |= {"flags": (life["flags"] | 4) & ~8, "ahead": ahead, **place, **touch}
            return
        flags = 0
        for bit, meaning in ((Flag.SNAPSHOT, 1), (Flag.PLACE_ASSUMED, 2), (Flag.REENTRY, 4 | 1)):
            flags |= meaning if row["flags"] & bit else 0
        self.lives[row["order_id"]] = {
            "told_seq": None, "nth": None, "told": None,
            "order_id": row["order_id"], "side": row["side"], "ending": 0, "reason": 0,
            "flags": flags,
            "opened": row["ts_recv"], "ended": None,
            "opened_seq": row["seq"], "ended_seq": None, "era": self.era,
            "price_first": row["price"], "price": row["price"],
            "size_first": row["size"], "size": row["size"],
            "filled": 0, "fills": 0, "amendments": 0,
            "inferred": int(bool(row["flags"] & Flag.INFERRED)),
            "bid_first": touch["bid"], "ask_first": touch["ask"], **touch,
            "ahead_first": ahead, "ahead": ahead,
        }  # fmt: skip

    def go_on(
        self, life: dict[str, Any], row: dict[str, Any], touch: dict[str, Any], ahead: int | None
    ) -> None:
        kind = row["kind"]
        life |= touch
        if kind == EventKind.EVICT:
            life |= {"flags": life["flags"] | 8, "ended": row["ts_recv"], "ended_seq": row["seq"]}
            return
        life["ahead"] = ahead if ahead is not None else life["ahead"]
        life["inferred"] += bool(row["flags"] & Flag.INFERRED)
        if kind == EventKind.CHANGE:
            if row["reason"] == Reason.TRADED_AS_TAKER:
                life["fills"] += 1
                life["filled"] += life["size"] - row["size"]
            else:
                life["amendments"] += 1
            life |= {"price": row["price"], "size": row["size"]}
        elif kind == EventKind.MATCH:
            life["fills"] += 1
            life["filled"] += row["size"]
            life["size"] -= row["size"]
            if life["size"] == 0:
                self.end(life, row, Reason.FILLED)
        elif kind == EventKind.DONE:
            self.end(life, row, row["reason"])

    def explain(self, row: dict[str, Any]) -> None:
        held = [life for life in self.held if life["order_id"] == row["order_id"]]
        for life in [self.lives[row["order_id"]]] if row["order_id"] in self.lives else held[-1:]:
            if life["ending"]:
                life["size"] = max(0, life["size"] - row["size"])
                life["reason"] = Reason.FILLED if life["size"] == 0 else life["reason"]
            else:
                life["amendments"] = max(0, life["amendments"] - 1)
            life["filled"] += row["size"]
            life["fills"] += 1
            life["inferred"] += 1

    def end(self, life: dict[str, Any], row: dict[str, Any], reason: int) -> None:
        del self.lives[life["order_id"]]
        life |= {"ended": row["ts_recv"], "ended_seq": row["seq"], "ending": 1, "reason": reason}
        if reason == Reason.UNKNOWN:
            self.held.append(life)
        else:
            self.tell(life, row["seq"], row["ts_recv"])

    def cut(self, seq: int, ts: int, *, told: tuple[int, int]) -> None:
        for life in self.held:
            self.tell(life, *told)
        self.held = []
        for life in self.lives.values():
            if life["flags"] & 8:
                life["ending"] = 3
            else:
                life |= {"ending": 2, "ended": max(ts, life["opened"]), "ended_seq": seq}
            self.tell(life, *told)
        self.lives = {}

    def tell(self, life: dict[str, Any], seq: int, ts: int) -> None:
        self.ended.append({**life, "told_seq": seq, "told": ts})


def rows_of_tables(tables: Iterable[pa.Table]) -> list[dict[str, Any]]:
    """The stored columns of every row."""
    rows: list[dict[str, Any]] = []
    for table in tables:
        names = [name for name in table.column_names if not name.startswith("distance")]
        rows += table.select(names).to_pylist()
    return rows
