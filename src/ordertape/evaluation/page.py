"""docs/detectors.md: the prose of ``page.md`` around the figures of a score sheet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from importlib import resources
from string import Template
from typing import Any, Final

from ordertape.evaluation.aims import AIMS
from ordertape.evaluation.plan import BACKGROUNDS
from ordertape.evaluation.real import RealFindings
from ordertape.evaluation.running import OURS, Judged
from ordertape.evaluation.scores import Score, Share
from ordertape.evaluation.sheet import Sheet, shown, shown_share
from ordertape.evaluation.surfaces import SURFACES, cells
from ordertape.evaluation.truth import KINDS
from ordertape.evaluation.walking import known_parameters

__all__ = ["page_of"]

_NAMED: Final = 4
"""Orders of a finding that the page names."""


def page_of(sheet: Sheet, real: Sequence[RealFindings], command: str) -> str:
    """The whole page."""
    clean = [one for one in sheet.judged if one.plan.kind is None]
    seeds = sorted({one.plan.seed for one in sheet.judged})
    words = {
        "parts": _parts(sheet),
        "parameters": ", ".join(
            f"`{name}` {value:g}" for name, value in known_parameters().items()
        ),
        "backgrounds": _backgrounds(),
        "seeds": ", ".join(map(str, seeds)),
        "clean_hours": f"{sum(one.plan.seconds for one in clean) / 3600:g}",
        "clean_events": f"{sum(one.events for one in clean):,}",
        "episodes": _episodes(sheet),
        "events": f"{sum(one.events for one in sheet.judged):,}",
        "scores": _scores(sheet, OURS, aims=True),
        "others": _others(sheet),
        "alarms": _alarms(sheet),
        "baselines": _baselines(sheet),
        "stability": _stability(sheet),
        "surfaces": _surfaces(sheet),
        "real": "\n\n".join(map(_real, real)) or "No recordings were at hand.",
        "command": command,
    }
    text = resources.files("ordertape.evaluation").joinpath("page.md").read_text("utf-8")
    return Template(text).substitute(words)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    names = list(head)
    lines = [names, ["---"] * len(names), *map(list, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _backgrounds() -> str:
    return "; ".join(
        f"`{regime}` "
        + ", ".join(f"{one.rate}/s with {one.live_orders:,} orders" for one in backgrounds)
        for regime, backgrounds in BACKGROUNDS.items()
    )


def _parts(sheet: Sheet) -> str:
    parts: dict[str, tuple[list[str], list[str]]] = {}
    for one in sheet.judged:
        parts.update(one.parts)
    rows = [
        [kind, *(", ".join(names) or "–" for names in parts[kind])]
        for kind in KINDS
        if kind in parts
    ]
    return _table(["kind", "for it", "against it"], rows)


def _episodes(sheet: Sheet) -> str:
    counts = [
        (kind, score.hits + score.missed)
        for kind in sheet.kinds
        if (score := sheet.score(OURS, kind)).hits + score.missed
    ]
    return ", ".join(f"{count:,} of {kind}" for kind, count in counts) or "No episodes"


def _row(score: Score) -> list[str]:
    return [
        *(shown_share(score.precision), shown_share(score.recall), shown(score.f1, 3)),
        *(shown(score.area, 3), shown(score.alarms_per_hour)),
        f"{shown(score.delay(0.5), 0)}, {shown(score.delay(0.99), 0)}",
    ]


_COLUMNS: Final = ("precision", "recall", "F1", "area", "alarms/h", "delay p50, p99 (ms)")


def _scores(sheet: Sheet, finder: str, *, aims: bool) -> str:
    rows = []
    for kind in sheet.kinds:
        score = sheet.score(finder, kind)
        if finder == OURS or score.hits or score.false or score.alarms:
            aim = AIMS[kind]
            held = [aim.text(), ", ".join(aim.missed(score)) or "–"]
            rows.append([kind, *_row(score), *(held if aims else [])])
    return _table(["kind", *_COLUMNS, *(["aim", "missed"] if aims else [])], rows)


def _baselines(sheet: Sheet) -> str:
    parts = [
        f"**{finder}**\n\n{_scores(sheet, finder, aims=False)}"
        for finder in sheet.finders
        if finder != OURS
    ]
    return "\n\n".join(parts) or "They were not judged."


def _others(sheet: Sheet) -> str:
    rows = []
    for kind in sheet.kinds:
        tapes = [one for one in sheet.judged if one.plan.kind == kind]
        score = sheet.score(OURS, kind, tapes)
        count = score.hits + score.missed
        if not count:
            continue
        told = Counter[str]()
        for one in tapes:
            told.update(one.others)
        told[kind] = score.hits
        rows.append([kind, *(f"{told[other] / count:.2f}" for other in KINDS)])
    return _table(["episodes of", *KINDS], rows)


def _alarms(sheet: Sheet) -> str:
    rows = []
    for kind in sheet.kinds:
        about = Counter[str]()
        for one in sheet.judged:
            if one.plan.kind is None:
                about.update(w.about or "the background" for w in one.wrong if w.kind == kind)
        if about:
            told = ", ".join(f"{name.replace('_', ' ')} {n}" for name, n in about.most_common())
            rows.append([kind, told])
    return _table(["kind", "alarms"], rows) if rows else "There were none."


def _stability(sheet: Sheet) -> str:
    """Regimes beside each other, and the range over the seeds."""
    seeds = sorted({one.plan.seed for one in sheet.judged})
    rows = []
    for kind in sheet.kinds:
        if not any(one.plan.kind == kind for one in sheet.judged):
            continue
        row = [kind]
        for regime in BACKGROUNDS:
            score = sheet.score(OURS, kind, _of(sheet, kind, regime=regime))
            row.append(f"{shown(score.precision.value)} / {shown(score.recall.value)}")
            alarms = sheet.score(OURS, kind, _of(sheet, None, regime=regime))
            row.append(shown(alarms.alarms_per_hour))
        for what in ("precision", "recall"):
            values = [
                value
                for seed in seeds
                if (value := _share(sheet, kind, seed, what).value) is not None
            ]
            row.append(f"{min(values):.2f}–{max(values):.2f}" if values else "–")
        rows.append(row)
    regimes = [
        name for regime in BACKGROUNDS for name in (f"{regime}: precision / recall", "alarms/h")
    ]
    head = ["kind", *regimes, "precision over seeds", "recall over seeds"]
    return f"{_table(head, rows)}\n\nEach background, precision / recall:\n\n{_each(sheet)}"


def _each(sheet: Sheet) -> str:
    rows = []
    for background in (one for some in BACKGROUNDS.values() for one in some):
        row = [background.name]
        for kind in sheet.kinds:
            here = [
                one
                for one in sheet.judged
                if one.plan.kind == kind and one.plan.background == background
            ]
            score = sheet.score(OURS, kind, here)
            row.append(f"{shown(score.precision.value)} / {shown(score.recall.value)}")
        rows.append(row)
    return _table(["background", *sheet.kinds], rows)


def _of(sheet: Sheet, kind: str | None, *, regime: str) -> list[Judged]:
    return [
        one
        for one in sheet.judged
        if one.plan.kind == kind and one.plan.background.preset == regime
    ]


def _share(sheet: Sheet, kind: str, seed: int, what: str) -> Share:
    tapes = [one for one in sheet.judged if one.plan.kind == kind and one.plan.seed == seed]
    score = sheet.score(OURS, kind, tapes)
    return score.precision if what == "precision" else score.recall


def _surfaces(sheet: Sheet) -> str:
    parts = []
    for surface in SURFACES:
        found = cells(surface, sheet.judged)
        if not found:
            continue
        head = [axis.name for axis in surface.rows]
        first, *others = surface.columns.bins
        head += [f"{surface.columns.name} {first}", *others]
        rows = [[*names, *map(_cell, shares)] for names, shares in found]
        parts.append(f"**{surface.kind}, {surface.title}**\n\n{_table(head, rows)}")
    return "\n\n".join(parts)


def _cell(share: Share) -> str:
    return "–" if share.value is None else f"{share.value:.2f} ({share.hits}/{share.count})"


# Real tapes ---------------------------------------------------------------------------------------


def _real(real: RealFindings) -> str:
    parts = [
        f"### {real.name}",
        f"{real.events:,} events, {real.hours:.2f} hours.",
        _table(
            ["", *KINDS],
            [
                ["findings", *(f"{real.counts.get(kind, 0):,}" for kind in KINDS)],
                ["an hour", *(shown(real.per_hour(kind), 1) for kind in KINDS)],
            ],
        ),
    ]
    if real.strongest:
        parts += ["The strongest:", _strongest(real)]
    if real.crossed is not None:
        parts += [
            "Orders by what obAnalytics calls them (rows) and by what they were found to be:",
            _crossed(real),
        ]
    return "\n\n".join(parts)


def _strongest(real: RealFindings) -> str:
    rows = []
    for finding in real.strongest:
        detail = finding.detail or {}
        parts = sorted(detail["evidence"].items(), key=lambda part: -part[1])
        against = {name: part for name, part in detail["against"].items() if part >= 0.05}
        rows.append(
            [
                finding.kind,
                f"{finding.score:.2f}",
                ("bid", "ask")[finding.side],
                f"{(finding.began - real.first) / 1e9:,.1f}",
                f"{(finding.ended - finding.began) / 1e9:.2f}",
                _prices(detail),
                _named(detail),
                ", ".join(f"{name} {part:.2f}" for name, part in parts if part >= 0.05),
                ", ".join(f"{name} {part:.2f}" for name, part in against.items()) or "–",
            ]
        )
    head = ["kind", "score", "side", "at, s", "for, s", "price", "orders", "for it", "against it"]
    return _table(head, rows)


def _named(detail: dict[str, Any]) -> str:
    """Some of its orders; the tape may name no takers."""
    ids = [f"`{name}`" for name in detail["order_ids"][:_NAMED]]
    more = detail["orders"] - len(ids)
    if not ids:
        return f"{more} that have no name"
    return ", ".join(ids) + (f" and {more} more" if more > 0 else "")


def _prices(detail: dict[str, Any]) -> str:
    scale = detail["price_scale"]
    low, high = (
        f"{detail[name] / 10**scale:.{min(scale, 2)}f}" for name in ("price_low", "price_high")
    )
    return low if low == high else f"{low}–{high}"


def _crossed(real: RealFindings) -> str:
    crossed = real.crossed
    if crossed is None:
        return ""
    named = sorted({kind for _, kind in crossed.counts}, key=lambda kind: (kind == "none", kind))
    rows = [
        [type_, *(f"{crossed.counts[type_, kind]:,}" for kind in named)] for type_ in crossed.types
    ]
    return _table(["obAnalytics", *named], rows)
