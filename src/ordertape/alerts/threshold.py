"""What counts as large: a size, a size times price, or a place among what rests."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeAlias

import numpy as np

from ordertape.page.followed import FollowedBook

__all__ = ["Threshold"]

Integers: TypeAlias = "np.ndarray[tuple[int], np.dtype[np.int64]]"
_NEARLY = 0.999_999
"""Of a product as floating point, before the few that reach it are looked at exactly."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """One of the three.  ``quantile``: of the sizes of orders that rest when it is measured."""

    size: Decimal | None = None
    notional: Decimal | None = None
    quantile: Decimal | None = None

    @classmethod
    def of(cls, spec: dict[str, Any]) -> Threshold:
        """Of a rule's ``spec``."""
        names = ("size", "notional", "quantile")
        return cls(**{name: Decimal(spec[name]) for name in names if name in spec})

    def measured(self, followed: FollowedBook) -> Threshold:
        """The same as a size or notional: a quantile is the size that it is now.  Where nothing
        rests, nothing is large."""
        if self.quantile is None:
            return self
        sizes = np.asarray(followed.lives.alive().column("size"))
        units = int(np.quantile(sizes, float(self.quantile))) if len(sizes) else 2**63
        return Threshold(size=Decimal(max(1, units)).scaleb(-(followed.book.size_scale or 0)))

    def large(self, prices: Integers, sizes: Integers, scales: tuple[int, int]) -> list[int]:
        """Which of the orders are large, of a measured threshold: ``scales`` of their prices and
        sizes, digits after the point."""
        if self.size is not None:
            least = math.ceil(self.size.scaleb(scales[1]))
            return [] if least >= 2**63 else np.flatnonzero(sizes >= least).tolist()
        assert self.notional is not None, "a quantile is measured first"
        least = math.ceil(self.notional.scaleb(sum(scales)))
        # Products of int64 overflow: floats find those that are near, whole numbers decide.
        near = np.flatnonzero(prices.astype(float) * sizes >= least * _NEARLY)
        return [nth for nth in near.tolist() if int(prices[nth]) * int(sizes[nth]) >= least]
