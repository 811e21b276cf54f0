"""Values by the time from which each holds: what was known at a moment of event time."""

from __future__ import annotations

from bisect import bisect_right
from typing import Final, Generic, TypeVar

T = TypeVar("T")

FOREVER: Final = 1 << 62
"""A time after all others, in microseconds."""


class AsOf(Generic[T]):
    """Values by the time (microseconds) from which each holds.

    Parameters
    ----------
    memory
        Microseconds before the newest value for which older ones are kept.
    limit
        The most values that are kept, so that a snapshot stays small.

    """

    __slots__ = ("_limit", "_memory", "times", "values")

    def __init__(self, memory: int, limit: int) -> None:
        self._memory = memory
        self._limit = limit
        self.times: list[int] = []
        self.values: list[T] = []

    @property
    def newest(self) -> int:
        """The time of the newest value, 0 when there is none."""
        return self.times[-1] if self.times else 0

    def add(self, time: int, value: T, horizon: int) -> None:
        """Add a value that is at least as new as all others; of the same time, the last one counts.

        Parameters
        ----------
        time, value
            From when (microseconds) what holds.
        horizon
            A time that no later question will be older than. Of the values up to it only the newest can
            still be an answer, so the older ones are forgotten.

        """
        if self.times and self.times[-1] == time:
            self.values[-1] = value
            return
        self.times.append(time)
        self.values.append(value)
        self._forget(max(horizon, time - self._memory))

    def find(self, time: int) -> int:
        """Return the index of the newest value not after a time, -1 when there is none."""
        return bisect_right(self.times, time) - 1

    def end(self, index: int) -> int:
        """Return the time from which the value at an index is no longer the newest."""
        following = index + 1
        return self.times[following] if following < len(self.times) else FOREVER

    def _forget(self, horizon: int) -> None:
        answer = self.find(horizon)
        forgotten = max(answer, len(self.times) - self._limit)
        if forgotten > 0:
            del self.times[:forgotten], self.values[:forgotten]
