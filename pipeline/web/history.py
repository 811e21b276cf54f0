"""What is kept of a symbol for charts: fine for minutes, coarser for hours, nothing for ever.

A time slot keeps the moment of its highest probability, so that thinning hides no peak.
"""

from __future__ import annotations

from collections import deque
from itertools import chain, takewhile
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

SLOTS: Final = ((1, 600), (15, 480), (300, 288))
"""Seconds of a slot and how many of them are kept: 10 minutes, 2 hours, 24 hours."""


class Moment(NamedTuple):
    """A symbol at one moment.

    Attributes
    ----------
    time
        Unix seconds, by the symbol's clock.
    price
        The last one known; None without prices.
    probability, level
        As of its signal; the level is 0 to 4.
    velocity, acceleration, volume_usd
        Liquidations/s, their change in liquidations/s², and USD/s, over 10 s.
    velocity_60s, velocity_300s
        Liquidations/s over longer windows, as last told; None before that.
    long_usd, short_usd
        Liquidated in 5 minutes by side, as last told; None before that.
    contributions
        What each component contributes: their sum is the probability.

    """

    time: float
    price: float | None
    probability: float
    level: int
    velocity: float
    acceleration: float
    volume_usd: float
    velocity_60s: float | None
    velocity_300s: float | None
    long_usd: float | None
    short_usd: float | None
    contributions: tuple[float, ...]


class _Tier:
    """The newest slots of one length; the last one is still open."""

    __slots__ = ("_length", "moments")

    def __init__(self, length: int, most: int) -> None:
        self._length = length
        self.moments: deque[Moment] = deque(maxlen=most)

    def add(self, moment: Moment) -> None:
        """Add a moment no older than the last one."""
        moments = self.moments
        if moments and moments[-1].time // self._length == moment.time // self._length:
            if moment.probability >= moments[-1].probability:
                moments[-1] = moment
        else:
            moments.append(moment)


class History:
    """The past of one symbol, in slots of three lengths."""

    __slots__ = ("_tiers",)

    def __init__(self, moments: Iterable[Moment] = ()) -> None:
        self._tiers = [_Tier(*slots) for slots in SLOTS]
        for moment in moments:
            self.add(moment)

    def add(self, moment: Moment) -> None:
        """Add a moment no older than the last one."""
        for tier in self._tiers:
            tier.add(moment)

    def before(self, time: float) -> Moment | None:
        """Return the newest moment not after a time of the last minutes (Unix seconds), None without one."""
        return next((moment for moment in reversed(self._tiers[0].moments) if moment.time <= time), None)

    def trend(self, time: float) -> list[float]:
        """Return probabilities from a time on (Unix seconds), of each 15 s the highest, oldest first."""
        newest = takewhile(lambda moment: moment.time >= time, reversed(self._tiers[1].moments))
        return [moment.probability for moment in newest][::-1]

    def since(self, time: float) -> list[Moment]:
        """Return what is known from a time on (Unix seconds), oldest first, as finely as it is kept."""
        parts: list[list[Moment]] = []
        until = float("inf")
        for tier in self._tiers:
            part = [moment for moment in tier.moments if time <= moment.time < until]
            parts.append(part)
            until = min(until, tier.moments[0].time if tier.moments else until)
        return list(chain.from_iterable(reversed(parts)))
