"""Joins as of event time: of what is known, the newest that is not after a symbol's clock."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from msgspec import UNSET, Struct, UnsetType

if TYPE_CHECKING:
    from pipeline.features.positioning import PositioningReading
    from pipeline.messages import Context, FeedGap
    from pipeline.signals.feeds import Feeds
    from pipeline.signals.weights import Weights, WeightSet

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


class Joined(Struct, gc=False):
    """What surrounds a symbol at one moment; None where nothing is known, or only what is too old.

    Attributes
    ----------
    context, context_time
        The market's context; the Unix time of the newest one, also of one that is too old to be used.
    oi_change, funding_rate
        Fractions: in one minute, and per 8 hours.
    weights, weights_version
        The weights in force; version 0 are those of the profile.
    feeds
        The venues that were silent; absent when there were none.
    until
        The clock (microseconds) from which this is no longer so, if nothing new is heard meanwhile.

    """

    weights: Weights
    weights_version: int = 0
    context: Context | None = None
    context_time: float | None = None
    oi_change: float | None = None
    funding_rate: float | None = None
    feeds: list[FeedGap] | UnsetType = UNSET
    until: int = FOREVER


class Joiner(Struct, frozen=True):
    """Join a symbol's clock with what was known by then.

    `own` are the weights of the profile; the others are lifetimes in microseconds.
    """

    own: Weights
    context_lifetime: int
    open_interest_lifetime: int
    funding_lifetime: int

    def join(
        self,
        clock: int,
        contexts: AsOf[Context],
        readings: AsOf[PositioningReading],
        weight_sets: AsOf[WeightSet],
        feeds: Feeds,
    ) -> Joined:
        """Return what was known at a clock (microseconds) and had not outlived its lifetime."""
        joined = Joined(self.own)
        self._join_context(joined, clock, contexts)
        self._join_reading(joined, clock, readings)
        index = weight_sets.find(clock)
        joined.until = min(joined.until, weight_sets.end(index))
        if index >= 0:
            chosen = weight_sets.values[index]
            joined.weights_version = chosen.version
            joined.weights = self.own if chosen.values is None else chosen.values
        joined.feeds, turn = feeds.at(clock)
        joined.until = min(joined.until, turn)
        return joined

    def _join_context(self, joined: Joined, clock: int, contexts: AsOf[Context]) -> None:
        index = contexts.find(clock)
        joined.until = min(joined.until, contexts.end(index))
        if index < 0:
            return
        context = contexts.values[index]
        joined.context_time = context.timestamp
        if _is_alive(joined, contexts.times[index], self.context_lifetime, clock):
            joined.context = context

    def _join_reading(self, joined: Joined, clock: int, readings: AsOf[PositioningReading]) -> None:
        index = readings.find(clock)
        joined.until = min(joined.until, readings.end(index))
        if index < 0:
            return
        reading = readings.values[index]
        if _is_alive(joined, reading.open_interest_time, self.open_interest_lifetime, clock):
            joined.oi_change = reading.change_1m
        if _is_alive(joined, reading.funding_time, self.funding_lifetime, clock):
            joined.funding_rate = reading.rate


def _is_alive(joined: Joined, measured: int | None, lifetime: int, clock: int) -> bool:
    """Tell whether what was measured at a time is still alive; if so the join holds no longer than it."""
    if measured is None or clock - measured > lifetime:
        return False
    joined.until = min(joined.until, measured + lifetime + 1)
    return True
