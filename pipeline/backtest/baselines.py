"""What a signal has to beat: rules that anybody could write down, on the same records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from msgspec import structs

from pipeline.backtest.evaluation import Series
from pipeline.backtest.labels import MINUTE, EventRule, Recorded, Times, bar_length, deviations
from pipeline.signals.levels import level_of_probability
from pipeline.signals.profile import SEED, Profile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.backtest.labels import Floats

TRAINING_SHARE: Final = 0.5
"""The first part of the time, in which norms are measured."""
_FULL: Final = 0.999


def calibrated_norms(
    markets: Sequence[Recorded], base: Profile = SEED, share: float = TRAINING_SHARE
) -> Profile:
    """Return a profile whose norms are what the feed itself shows: 99.9% quantiles of its first part.

    Those of several symbols are of all their moments together: a profile has one norm for all. It has a name
    that no file's profile can have.
    """
    velocity, acceleration, usd = np.concatenate([_rates(each, share) for each in markets], axis=1)

    def full(values: Floats, least: float) -> float:
        return max(float(np.quantile(values, _FULL)), least)

    score = structs.replace(
        base.score,
        full_velocity=full(velocity, 0.1),
        full_acceleration=full(acceleration, 0.01),
        full_volume_usd=full(usd, 1.0),
    )
    return structs.replace(base, name=f"{base.name}+norms", score=score)


def _rates(recorded: Recorded, share: float) -> Floats:
    """Return velocity, acceleration and US dollars a second at each liquidation of the first part."""
    times = recorded.liquidated_ms
    count_10, count_2 = _within(times, times, 10_000), _within(times, times, 2_000)
    sums = np.concatenate([[0.0], np.cumsum(recorded.usd)])
    usd = sums[1:] - sums[np.searchsorted(times, times - 10_000, side="right")]
    found = np.array([count_10 / 10, (count_2 / 2 - count_10 / 10) / 4, usd / 10])
    return found[:, times <= times[0] + share * (times[-1] - times[0])]


def usd_of_a_minute(recorded: Recorded, minutes: Times) -> Series:
    """Return the US dollars liquidated in 60 s, as a share of the 99.9% quantile of the first half."""
    times = np.unique(np.concatenate([recorded.liquidated_ms, minutes]))
    sums = np.concatenate([[0.0], np.cumsum(recorded.usd)])
    upto, since = (np.searchsorted(recorded.liquidated_ms, each, "right") for each in (times, times - MINUTE))
    usd = sums[upto] - sums[since]
    end = times[0] + TRAINING_SHARE * (times[-1] - times[0])
    return _series(times, usd / max(float(np.quantile(usd[times <= end], _FULL)), 1.0))


def last_closed_move(recorded: Recorded, rule: EventRule) -> Series:
    """Return the last closed move of 15 minutes in deviations, as a share of twice what the rule asks."""
    step = bar_length(recorded)
    grid, move, sigma = deviations(recorded, step)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.nan_to_num(np.abs(move) / sigma / (2 * rule.sigmas), nan=0.0, posinf=0.0)
    every = np.arange(0, step, MINUTE)
    times = (grid[:, None] + step + every).ravel()
    return _series(times, np.repeat(share, len(every)))


def _within(times: Times, upto: Times, length_ms: int) -> Floats:
    """Return how many of some times lie in the milliseconds up to others."""
    last, first = (np.searchsorted(times, each, side="right") for each in (upto, upto - length_ms))
    return (last - first).astype(float)


def _series(times: Times, probability: Floats) -> Series:
    clipped = np.clip(probability, 0.0, 1.0)
    levels = [level_of_probability(each, SEED.score.levels) for each in clipped]
    return Series(times, clipped, np.array(levels, np.int64))
