"""Weights judged on days that come after those they were fitted to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from pipeline.backtest.evaluation import Gain, Series, gain
from pipeline.backtest.fitting import fit_map, fit_weights, mapped
from pipeline.backtest.labels import DAY, HORIZON, Labels

if TYPE_CHECKING:
    from pipeline.backtest.labels import Floats, Times

EMBARGO: Final = 2 * HORIZON
"""Before each block nothing is learnt for so long: what followed those minutes lies in the block."""


class Forward(NamedTuple):
    """What the blocks were told, by weights fitted before each and by the given ones; what is judged.

    `weights` are those fitted to all days.
    """

    fitted: Series
    given: Series
    labels: Labels
    weights: Floats


def walk_forward(parts: Floats, given: Floats, labels: Labels, folds: int) -> Forward:
    """Return what would have been told, block after block, by what was known before each.

    Parameters
    ----------
    parts
        A line for each minute of the labels, a column for each component: times its weight, and summed up,
        the raw score.
    given
        The weights to compare with; their scores are mapped to probabilities by the same days.
    labels
        What there was to foretell.
    folds
        How many blocks of whole days; one more, at the beginning, is only learnt from.

    Raises
    ------
    ValueError
        There are too few days, or none of those before the first block had a cascade.

    """
    begins = _begins(labels.minutes, folds)
    told: list[list[Floats]] = []
    for begin, end in zip(begins, [*begins[1:], int(labels.minutes[-1]) + 1], strict=True):
        known = labels.minutes < begin - EMBARGO
        if not labels.positive[known].any():
            raise ValueError("no cascade in the days before the first block: give more data, or fewer folds")
        block = (labels.minutes >= begin) & (labels.minutes < end)
        fitted = fit_weights(parts[known], labels.positive[known])
        told.append(
            [
                mapped(parts[block] @ each, fit_map(parts[known] @ each, labels.positive[known]))
                for each in (fitted, given)
            ]
        )
    later = since(labels, begins[0])
    ours, theirs = (np.concatenate(found) for found in zip(*told, strict=True))
    levels = np.zeros(len(later.minutes), np.int64)
    return Forward(
        Series(later.minutes, ours, levels),
        Series(later.minutes, theirs, levels),
        later,
        fit_weights(parts, labels.positive),
    )


def gain_of(forward: Forward) -> Gain:
    """Return what fitted weights are worth more than the given ones, on days they had not seen."""
    return gain(forward.fitted, forward.given, forward.labels)


def since(labels: Labels, begin: int) -> Labels:
    """Return what there was to foretell from a moment (ms) on."""
    episodes, minutes = labels.onsets >= begin, labels.minutes >= begin
    return Labels(
        labels.qualifying[labels.qualifying >= begin],
        labels.onsets[episodes],
        labels.ends[episodes],
        labels.minutes[minutes],
        labels.positive[minutes],
        labels.early[minutes],
        labels.early_known[minutes],
    )


def _begins(minutes: Times, folds: int) -> list[int]:
    """Return where blocks of whole days begin, of about as many judged days each."""
    days = np.unique(minutes // DAY)
    if len(days) <= folds:
        raise ValueError(f"{len(days)} days are too few for {folds} folds")
    places = (np.arange(1, folds + 1) * len(days)) // (folds + 1)
    return [int(day * DAY) for day in days[places]]
