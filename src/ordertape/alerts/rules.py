"""What people ask to be told of: one rule is one condition on one market."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from ordertape import limits
from ordertape.numbers import plain

__all__ = ["Kind", "Pattern", "Rule", "RuleWish"]

Kind: TypeAlias = Literal[
    "large_order",
    "large_pulled",
    "pulled_at_touch",
    "spread",
    "imbalance",
    "silence",
    "gap",
    "finding",
]
Pattern: TypeAlias = Literal[
    "spoof-like",
    "layering",
    "quote stuffing",
    "native iceberg",
    "synthetic iceberg",
    "momentum ignition",
]
"""As FINDING_KINDS."""
LARGE = ("size", "notional", "quantile")
"""Ways to say what is large; a rule has one of them."""
OF_ORDERS = ("large_order", "large_pulled", "pulled_at_touch")
_MAY: dict[str, tuple[str, ...]] = {
    "large_order": LARGE,
    "large_pulled": LARGE,
    "pulled_at_touch": (*LARGE, "distance_bps"),
    "spread": ("spread_bps", "seconds"),
    "imbalance": ("imbalance", "levels", "seconds"),
    "silence": ("seconds",),
    "gap": (),
    "finding": ("pattern", "score"),
}
_MUST = {"spread": "spread_bps", "imbalance": "imbalance", "silence": "seconds"}
_QUANTILE, _DISTANCE_BPS, _LEVELS = Decimal("0.995"), Decimal(5), 10
_COOLDOWN_SECONDS = 60

Bounded = Annotated[Decimal, Field(max_digits=36, decimal_places=18, allow_inf_nan=False)]
"""Written out it is short, whatever its exponent."""
Positive = Annotated[Bounded, Field(gt=0, lt=10**18)]
Name = Annotated[str, Field(min_length=1, max_length=limits.name_text_max)]


class RuleWish(BaseModel):
    """A rule as it is asked for; what does not belong to its kind is refused.

    ``seconds``: of ``silence`` how long; of ``spread`` and ``imbalance`` how long it has to hold.
    ``cooldown_seconds``: least time between two alerts of the rule.
    """

    model_config = ConfigDict(extra="forbid")

    kind: Kind
    exchange: Name
    symbol: Name
    size: Positive | None = Field(None, description="large: of this size or more")
    notional: Positive | None = Field(None, description="large: of this size times price or more")
    quantile: Bounded | None = Field(
        None, gt=0, lt=1, description="large: among the largest of what rests, 0.995 where not said"
    )
    distance_bps: Bounded | None = Field(
        None, ge=0, le=10_000, description="pulled_at_touch: at most so far from the best price, 5"
    )
    spread_bps: Positive | None = Field(None, description="spread: this or wider")
    imbalance: Bounded | None = Field(
        None, gt=0, le=1, description="imbalance: |bids − asks| / (bids + asks), this or more"
    )
    levels: int | None = Field(None, ge=1, le=200, description="imbalance: best prices a side, 10")
    seconds: int | None = Field(None, ge=0, le=86_400)
    pattern: Pattern | None = Field(None, description="finding: of this kind alone")
    score: Bounded | None = Field(
        None, ge=0, le=1, description="finding: of this score or more, 0 where not said"
    )
    cooldown_seconds: int | None = Field(
        None, ge=0, le=86_400, description="0 for orders and findings, 60 for everything else"
    )
    per_minute: int = Field(limits.alerts_per_minute_default, ge=1, le=limits.alerts_per_minute_max)
    webhook: str | None = Field(
        None, pattern="^[a-z0-9_-]{1,32}$", description="a name of ORDERTAPE_WEBHOOKS"
    )

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        may = _MAY[self.kind]
        own = {name for names in _MAY.values() for name in names}
        if foreign := [name for name in sorted(own) if name not in may and self._has(name)]:
            raise PydanticCustomError("rule", f"a rule {self.kind} has no {foreign[0]}")
        must = _MUST.get(self.kind)
        if must is not None and not self._has(must):
            raise PydanticCustomError("rule", f"a rule {self.kind} needs {must}")
        if self.kind == "silence" and not self.seconds:
            raise PydanticCustomError("rule", "a rule silence needs seconds of 1 or more")
        if len([name for name in LARGE if self._has(name)]) > 1:
            raise PydanticCustomError("rule", f"a rule {self.kind} has one of {', '.join(LARGE)}")
        return self

    def _has(self, name: str) -> bool:
        return getattr(self, name) is not None

    def spec(self) -> dict[str, Any]:
        """Everything that it means, its defaults with it, as JSON can hold it."""
        found = self.model_dump(exclude={"exchange", "symbol", "kind"}, exclude_none=True)
        if self.kind in OF_ORDERS and not any(name in found for name in LARGE):
            found["quantile"] = _QUANTILE
        if self.kind == "pulled_at_touch":
            found.setdefault("distance_bps", _DISTANCE_BPS)
        if self.kind == "imbalance":
            found.setdefault("levels", _LEVELS)
        if self.kind in ("spread", "imbalance"):
            found.setdefault("seconds", 0)
        each = self.kind in (*OF_ORDERS, "finding")
        found.setdefault("cooldown_seconds", 0 if each else _COOLDOWN_SECONDS)
        return {
            name: plain(value) if isinstance(value, Decimal) else value
            for name, value in sorted(found.items())
        }


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that is watched.  ``spec``: as ``RuleWish.spec`` makes it, numbers as texts."""

    number: int
    exchange: str
    symbol: str
    kind: Kind
    spec: dict[str, Any]
    created_at: str

    @property
    def market(self) -> tuple[str, str]:
        return self.exchange, self.symbol

    def number_of(self, name: str) -> Decimal | None:
        value = self.spec.get(name)
        return None if value is None else Decimal(value)

    def as_json(self) -> dict[str, Any]:
        """As REST shows it: numbers are numbers."""
        numbers = (*LARGE, "distance_bps", "spread_bps", "imbalance", "score")
        shown = {
            name: Decimal(value) if name in numbers else value for name, value in self.spec.items()
        }
        head = {"id": self.number, "kind": self.kind, "exchange": self.exchange}
        return {**head, "symbol": self.symbol, **shown, "created_at": self.created_at}
