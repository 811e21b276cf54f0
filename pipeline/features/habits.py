"""What is usual for a symbol, and how unusual the moment is: every quantity against its own recent past.

Nothing here has a scale: a market that calms down, another symbol, another venue's feed are each measured by
themselves, so thresholds carry over.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

from msgspec import Meta, Struct

from pipeline.features.distribution import RecentDistribution, RecentMean
from pipeline.features.intensity import Intensity
from pipeline.features.moves import MoveConstants, Moves

if TYPE_CHECKING:
    from pipeline.features.measurements import PositioningReading
    from pipeline.messages import Liquidation

MINUTE: Final = 60_000_000
"""Microseconds."""
_LONGEST: Final = 7 * 1_440
_SMALLEST_USD: Final = 1.0
_RAREST: Final = 4.0
"""A rarity of this, one minute in 10,000 (about a week's), scores 1."""
_MOST_DEVIATIONS: Final = 4.0
_EQUAL: Final = 1e-6  # a deviation below this share of the mean is rounding

Seconds = Annotated[float, Meta(ge=1, le=86_400)]


class HabitConstants(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Memories of what is compared with a symbol's own past.

    Attributes
    ----------
    memory_s, value_memory_s, burst_s, past_s
        Of the fading sums of liquidations: counts, US dollars, and the moment against what went before.
    habit_days
        Of what is usual.
    moves
        What is a large move.

    """

    memory_s: Seconds = 600.0
    value_memory_s: Seconds = 300.0
    burst_s: Seconds = 60.0
    past_s: Seconds = 3_600.0
    habit_days: Annotated[float, Meta(ge=1, le=60)] = 7.0
    moves: MoveConstants = MoveConstants()


class Unusual(NamedTuple):
    """How unusual each component is, 0 (usual) to 1, in the order of `messages.COMPONENTS`; None: not known.

    Attributes
    ----------
    velocity, volume
        Rarity of the fading count, and of the fading US dollars, of the side that has more. The dollars of a
        lone liquidation score half: one that is large is not many.
    acceleration
        Rarity of the share of the past hour's liquidations that are the last minute's.
    oi_change
        Rarity of the drop of open interest.
    funding
        Standard deviations of the funding rate from its mean.
    volatility
        Nearness of a large move; not known without an hour of prices.

    """

    velocity: float | None
    acceleration: float | None
    volume: float | None
    oi_change: float | None
    funding: float | None
    volatility: float | None


class Habits:
    """One symbol's habits: fading sums, moves, and the distributions that they are compared with.

    Attributes
    ----------
    priced_to
        The time (microseconds) of the newest price.

    """

    __slots__ = (
        "_bursts",
        "_constants",
        "_counts",
        "_drop",
        "_drops",
        "_funding",
        "_heard",
        "_intensity",
        "_minute",
        "_moves",
        "_rate",
        "_square",
        "_values",
        "priced_to",
    )

    def __init__(self, constants: HabitConstants) -> None:
        memory = constants.habit_days * 1_440
        self._intensity = Intensity(
            constants.memory_s, constants.value_memory_s, constants.burst_s, constants.past_s
        )
        self._constants = constants.moves
        self._moves = Moves(constants.moves)
        self._counts = RecentDistribution(0.01, 24, memory)
        self._values = RecentDistribution(_SMALLEST_USD, 32, memory)
        self._bursts = RecentDistribution(0.001, 10, memory)
        self._drops = RecentDistribution(1e-5, 14, memory)
        self._funding, self._square = RecentMean(memory), RecentMean(memory)
        self._drop: float | None = None
        self._rate: float | None = None
        self._heard = False  # whether there was ever a liquidation: without, there is no feed to compare
        self._minute = 0
        self.priced_to = 0

    def advance(self, time: int) -> None:
        """Let time (microseconds) pass; each whole minute leaves its mark on what is usual."""
        minute = time // MINUTE
        if minute > self._minute:
            if self._minute:
                self._remember(minute)
            self._minute = minute
            self._moves.pass_minutes(minute)
        self._intensity.fade(time)

    def _remember(self, minute: int) -> None:
        passed = min(minute - self._minute, _LONGEST)
        following = minute - passed
        while passed and self._intensity.value_usd > _SMALLEST_USD:
            following += 1
            self._intensity.fade(following * MINUTE)
            self._sample(1)
            passed -= 1
        if passed:
            self._sample(passed)

    def _sample(self, minutes: int) -> None:
        if self._heard:
            intensity = self._intensity
            self._counts.add(intensity.count, minutes)
            self._values.add(intensity.value_usd, minutes)
            self._bursts.add(intensity.burst, minutes)
        if self._drop is not None:
            self._drops.add(self._drop, minutes)
        if self._rate is not None:
            self._funding.add(self._rate, minutes)
            self._square.add(self._rate * self._rate, minutes)

    def liquidated(self, time: int, found: Liquidation) -> None:
        """Take a liquidation of a time that has come."""
        self.advance(time)
        self._heard = True
        self._intensity.add(long=found.side == "long", value_usd=found.value_usd or 0.0)

    def priced(self, time: int, price: float, *, anew: bool = False) -> bool:
        """Take a price, and tell whether it was: one that is not newer than the newest changes nothing.

        With `anew` all prices before it were wrong, and are forgotten.
        """
        if time <= self.priced_to:
            return False
        self.priced_to = time
        self.advance(time)
        if anew:
            self._moves = Moves(self._constants)
            self._moves.pass_minutes(self._minute)
        self._moves.add(time // MINUTE, price)
        return True

    def positioned(self, reading: PositioningReading) -> None:
        """Take open interest and funding."""
        change = reading.change_1m
        self._drop = None if change is None else max(0.0, -change)
        self._rate = reading.rate

    def measure(self, oi_change: float | None, funding_rate: float | None) -> Unusual:
        """Return how unusual the moment is."""
        velocity = acceleration = volume = None
        if self._heard:
            intensity = self._intensity
            velocity = _score(self._counts.rarity(intensity.count))
            acceleration = _score(self._bursts.rarity(intensity.burst))
            volume = _score(intensity.company * self._values.rarity(intensity.value_usd))
        return Unusual(
            velocity,
            acceleration,
            volume,
            None if oi_change is None else _score(self._drops.rarity(-oi_change)),
            None if funding_rate is None else self._unusual_rate(funding_rate),
            self._moves.nearness(),
        )

    def _unusual_rate(self, rate: float) -> float:
        mean = self._funding.value
        deviation = math.sqrt(max(0.0, self._square.value - mean * mean))
        if deviation <= _EQUAL * abs(mean):
            return 0.0
        return min(1.0, abs(rate - mean) / deviation / _MOST_DEVIATIONS)

    def freeze(self) -> list[Any]:
        """Return everything that `thaw` needs."""
        return [
            [part.freeze() for part in self._parts()],
            self._drop,
            self._rate,
            self._minute,
            self.priced_to,
            self._heard,
        ]

    def thaw(self, frozen: list[Any]) -> None:
        """Take over what `freeze` returned."""
        parts, self._drop, self._rate, self._minute, self.priced_to, *heard = frozen
        self._heard = all(heard)  # as it counted in states that do not tell
        for part, stored in zip(self._parts(), parts, strict=True):
            part.thaw(stored)

    def _parts(self) -> tuple[Any, ...]:
        return (
            self._intensity,
            self._moves,
            self._counts,
            self._values,
            self._bursts,
            self._drops,
            self._funding,
            self._square,
        )


def _score(rarity: float) -> float:
    return rarity / _RAREST if rarity < _RAREST else 1.0
