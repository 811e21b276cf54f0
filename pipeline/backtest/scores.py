"""How good probabilities are, minute by minute: ranking, calibration, skill. Weights count minutes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from msgspec import Struct

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.backtest.labels import Floats, Times

EDGES: Final = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0001)


class Bin(Struct):
    """Minutes whose probability began at `begin`: how many, their mean probability, how often it came so."""

    begin: float
    minutes: int
    probability: float
    frequency: float


def known_at(times_ms: Times, values: Floats, minutes: Times, hold_s: float) -> Floats:
    """Return the newest of some values at each minute, 0 where it is older than `hold_s`.

    `values` has one for each time: a number, or a line of them.
    """
    if not len(times_ms):
        return np.zeros((len(minutes), *values.shape[1:]))
    last = np.maximum(np.searchsorted(times_ms, minutes, side="right") - 1, 0)
    age = minutes - times_ms[last]
    known = (age >= 0) & (age <= hold_s * 1_000)
    found: Floats = np.where(known.reshape(-1, *[1] * (values.ndim - 1)), values[last], 0.0)
    return found


class Ranking(NamedTuple):
    """Minutes from the most probable on; `ends` are the last of each equal probability."""

    order: NDArray[np.intp]
    ends: NDArray[np.intp]
    probability: Floats


def rank(probability: Floats) -> Ranking:
    """Return minutes from the most probable on."""
    order = np.argsort(-probability, kind="stable")
    ordered = probability[order]
    ends = np.concatenate([np.nonzero(np.diff(ordered))[0], [len(ordered) - 1]])
    return Ranking(order, ends, ordered[ends])


def precision_recall(ranked: Ranking, positive: NDArray[np.bool_], weights: Floats) -> tuple[Floats, Floats]:
    """Return precision and recall of each threshold, from the highest on."""
    ordered = weights[ranked.order]
    hits = np.cumsum(ordered * positive[ranked.order])[ranked.ends]
    called = np.cumsum(ordered)[ranked.ends]
    if not hits[-1]:
        return np.full(len(hits), np.nan), np.full(len(hits), np.nan)
    return hits / np.maximum(called, 1e-12), hits / hits[-1]


def average_precision(ranked: Ranking, positive: NDArray[np.bool_], weights: Floats) -> float:
    """Return the area under precision over recall, as steps; NaN without a positive minute."""
    precision, recall = precision_recall(ranked, positive, weights)
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def brier(probability: Floats, positive: NDArray[np.bool_], weights: Floats) -> tuple[float, float]:
    """Return the mean squared error, and its skill against always telling the base rate (1 is perfect).

    The skill is NaN where the base rate is 0 or 1: it is never wrong then.
    """
    base = float(np.average(positive, weights=weights))
    error = float(np.average((np.clip(probability, 0, 1) - positive) ** 2, weights=weights))
    uncertainty = base * (1 - base)
    return error, 1 - error / uncertainty if uncertainty else float("nan")


def reliability(probability: Floats, positive: NDArray[np.bool_]) -> list[Bin]:
    """Return how often it came so, by what was told."""
    bins = np.digitize(probability, EDGES) - 1
    return [
        Bin(
            EDGES[place],
            int(inside.sum()),
            float(probability[inside].mean()),
            float(positive[inside].mean()),
        )
        for place in range(len(EDGES) - 1)
        if (inside := bins == place).any()
    ]


def calibration_error(bins: list[Bin]) -> float:
    """Return the expected calibration error: the mean distance of what was told from what came."""
    minutes = sum(each.minutes for each in bins)
    return sum(each.minutes * abs(each.probability - each.frequency) for each in bins) / minutes
