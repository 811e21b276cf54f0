"""Where a value stands among those of the last day: percentile and z-score."""

import math
from bisect import bisect_left, bisect_right, insort
from collections import deque
from typing import Any, Final

INTERVAL_S: Final = 300
"""Seconds between the values that are kept: one at each whole five minutes."""
LENGTH: Final = 288
"""Values that are kept: those of 24 hours."""
_EQUAL: Final = 1e-6  # a deviation below this share of the mean is rounding


class Ranking:
    """The newest 288 values taken at whole five minutes, as something to measure a value against.

    A value is ranked before it is kept, so nothing is compared with itself.

    Parameters
    ----------
    least
        How many values it takes before anything can be said.

    """

    __slots__ = ("_least", "_moments", "_ordered", "_slot", "_values")

    def __init__(self, least: int) -> None:
        self._least = least
        self._slot = 0
        self._values: deque[float] = deque(maxlen=LENGTH)
        self._ordered: list[float] = []
        self._moments: tuple[float, float] | None = None  # mean and deviation, once somebody asked

    def due(self, second: int) -> bool:
        """Tell whether this second is the first to be asked about of its five minutes."""
        slot = second // INTERVAL_S
        if slot == self._slot:
            return False
        self._slot = slot
        return True

    def keep(self, value: float) -> None:
        """Keep a value, and forget the oldest beyond 288."""
        if len(self._values) == LENGTH:
            del self._ordered[bisect_left(self._ordered, self._values[0])]
        self._values.append(value)
        insort(self._ordered, value)
        self._moments = None

    def _describe(self) -> tuple[float, float]:
        count = len(self._ordered)
        mean = math.fsum(self._ordered) / count
        return mean, math.dist(self._ordered, [mean] * count) / math.sqrt(count)

    def percentile(self, value: float) -> float | None:
        """Return the percentile rank of a value, 0 to 100: equal values count half; None without history."""
        count = len(self._ordered)
        if count < self._least:
            return None
        return 50.0 * (bisect_left(self._ordered, value) + bisect_right(self._ordered, value)) / count

    def z_score(self, value: float) -> float | None:
        """Return (value - mean) / population standard deviation; None without history or deviation."""
        if len(self._ordered) < self._least:
            return None
        if self._moments is None:
            self._moments = self._describe()
        mean, deviation = self._moments
        return None if deviation <= _EQUAL * abs(mean) else (value - mean) / deviation

    def freeze(self) -> list[Any]:
        """Return everything that `thaw` needs."""
        return [self._slot, list(self._values)]

    def thaw(self, frozen: list[Any]) -> None:
        """Take over what `freeze` returned."""
        self._slot, values = frozen
        self._values.extend(values)
        self._ordered = sorted(self._values)
