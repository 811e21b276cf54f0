"""Joins as of event time: of what is known, the newest that is not after a symbol's clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET, Struct, UnsetType

from pipeline.signals.as_of import FOREVER

if TYPE_CHECKING:
    from pipeline.features.measurements import PositioningReading
    from pipeline.messages import Context, FeedGap
    from pipeline.signals.as_of import AsOf
    from pipeline.signals.feeds import Feeds
    from pipeline.signals.weights import Weights, WeightSet


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
