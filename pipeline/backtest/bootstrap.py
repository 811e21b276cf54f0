"""Intervals by drawing days: minutes of a day belong together (block bootstrap, Künsch 1989)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from pipeline.backtest.labels import DAY, Floats, Times

if TYPE_CHECKING:
    from collections.abc import Callable

SEED: Final = 7
DRAWS: Final = 400
_LOW, _HIGH = 5, 95

Interval = tuple[float, float] | None


class Days(NamedTuple):
    """Some minutes (ms), of which day by number each is, and how often each day is in each draw."""

    minutes: Times
    of_minute: Times
    draws: list[Floats]

    @property
    def once(self) -> Floats:
        """Each day once: no draw, but what happened."""
        return np.ones_like(self.draws[0])

    def of(self, times_ms: Times) -> Times:
        """Return the day of each time: that of the newest of the minutes, for its own may have none."""
        found: Times = self.of_minute[np.searchsorted(self.minutes, times_ms, side="right") - 1]
        return found

    def count_by_day(self, times_ms: Times) -> Floats:
        """Return how many of some times are in each day."""
        return np.bincount(self.of(times_ms), minlength=len(self.once)).astype(float)

    def weights(self, draw: Floats) -> Floats:
        """Return how often each minute is in a draw."""
        return draw[self.of_minute]


def draw_days(minutes: Times) -> Days:
    """Draw as many days as there are, with replacement, again and again."""
    days, of_minute = np.unique(minutes // DAY, return_inverse=True)
    random = np.random.default_rng(SEED)
    drawn = [
        np.bincount(random.integers(0, len(days), len(days)), minlength=len(days)).astype(float)
        for _ in range(DRAWS)
    ]
    return Days(minutes, of_minute, drawn)


def interval(values: list[float]) -> Interval:
    """Return the 5th and the 95th percentile of what is known; None when nothing is."""
    known = np.array(values, float)
    known = known[np.isfinite(known)]
    return (float(np.percentile(known, _LOW)), float(np.percentile(known, _HIGH))) if len(known) else None


def estimate(days: Days, statistic: Callable[[Floats], float]) -> tuple[float, Interval]:
    """Return a statistic of weighted days, and its 90% interval."""
    return statistic(days.once), interval([statistic(draw) for draw in days.draws])
