"""Counts of values by size, cheap enough for every signal."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class Distribution:
    """How many values lay at or below each of some bounds, and their sum: a Prometheus histogram's parts.

    Parameters
    ----------
    bounds
        In rising order; values above the last are counted too.

    Attributes
    ----------
    counts
        Of each bound the values that are not above it, but above the one before; one more for the rest.
    total
        The sum of the values.

    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def quantile(self, share: float) -> float | None:
        """Return the bound that so large a share of the values is not above, None without values.

        Of what lies above the last bound only that is known, so the last bound is returned.
        """
        wanted = share * sum(self.counts)
        if not wanted:
            return None
        seen = 0
        for bound, count in zip(self.bounds, self.counts, strict=False):
            seen += count
            if seen >= wanted:
                return bound
        return self.bounds[-1]
