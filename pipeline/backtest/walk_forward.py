"""Weights judged on days that come after those they were fitted to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from pipeline.backtest.evaluation import Gain, gain_at_minutes
from pipeline.backtest.fitting import fit_map, fit_weights, mapped
from pipeline.backtest.labels import DAY, HORIZON

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.backtest.labels import Floats, Times

EMBARGO: Final = 2 * HORIZON
"""Before each block nothing is learnt for so long: what followed those minutes lies in the block."""


class Forward(NamedTuple):
    """What the blocks' minutes were told, by weights fitted before each and by the given ones.

    `positive` tells of each minute whether a cascade followed; `weights` are those fitted to all days.
    """

    minutes: Times
    positive: NDArray[np.bool_]
    fitted: Floats
    given: Floats
    weights: Floats


def walk_forward(
    parts: Floats, given: Floats, minutes: Times, positive: NDArray[np.bool_], folds: int
) -> Forward:
    """Return what would have been told, block after block, by what was known before each.

    Parameters
    ----------
    parts
        A line for each minute, a column for each component: times its weight, and summed up, the raw score.
    given
        The weights to compare with; their scores are mapped to probabilities by the same days.
    minutes, positive
        When (ms; of several symbols, in any order), and whether a cascade followed.
    folds
        How many blocks of whole days; one more, at the beginning, is only learnt from.

    Raises
    ------
    ValueError
        There are too few days, or none of those before the first block had a cascade.

    """
    begins = _begins(minutes, folds)
    order: list[NDArray[np.intp]] = []
    told: list[list[Floats]] = []
    for begin, end in zip(begins, [*begins[1:], int(minutes.max()) + 1], strict=True):
        known = minutes < begin - EMBARGO
        if not positive[known].any():
            raise ValueError("no cascade in the days before the first block: give more data, or fewer folds")
        block = np.nonzero((minutes >= begin) & (minutes < end))[0]
        weights = (fit_weights(parts[known], positive[known]), given)
        order.append(block)
        told.append(
            [mapped(parts[block] @ each, fit_map(parts[known] @ each, positive[known])) for each in weights]
        )
    later = np.concatenate(order)
    ours, theirs = (np.concatenate(found) for found in zip(*told, strict=True))
    return Forward(minutes[later], positive[later], ours, theirs, fit_weights(parts, positive))


def gain_of(forward: Forward) -> Gain:
    """Return what fitted weights are worth more than the given ones, on days they had not seen."""
    return gain_at_minutes(forward.fitted, forward.given, forward.minutes, forward.positive)


def _begins(minutes: Times, folds: int) -> list[int]:
    """Return where blocks of whole days begin, of about as many judged days each."""
    days = np.unique(minutes // DAY)
    if len(days) <= folds:
        raise ValueError(f"{len(days)} days are too few for {folds} folds")
    places = (np.arange(1, folds + 1) * len(days)) // (folds + 1)
    return [int(day * DAY) for day in days[places]]
