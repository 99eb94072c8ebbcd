"""Sizes as one byte each, on a scale of octaves: what a picture needs, and no more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["Codes", "Sizes", "codes_for"]

CODE_MAX = 254
"""255 says that nothing is known."""
OFFSET, STEPS_PER_OCTAVE = 80.0, 12.0
"""Steps of 6 %: from a hundredth of the usual size to 20,000 times as much."""
Sizes: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Codes:
    """``unit``: the size, in size units, whose code is ``offset``."""

    unit: int
    offset: float = OFFSET
    steps_per_octave: float = STEPS_PER_OCTAVE

    def of(self, sizes: Sizes) -> npt.NDArray[np.uint8]:
        """0 where nothing rests, else 1 to 254.  A float decides a colour, never a number."""
        something = sizes > 0
        octaves = np.log2(np.where(something, sizes, self.unit) / self.unit)
        coded = np.rint(self.offset + self.steps_per_octave * octaves)
        return np.where(something, np.clip(coded, 1, CODE_MAX), 0).astype(np.uint8)


def codes_for(sizes: Sizes) -> Codes:
    """Codes around the usual size of what rests, a power of two, so that tiles made from nearly
    the same book are on the same scale."""
    resting = sizes[sizes > 0]
    usual = int(np.median(resting)) if len(resting) else 1
    return Codes(1 << max(0, usual.bit_length() - 1))
