"""Fits of a profile's numbers to labelled minutes: score to probability, thresholds, weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.optimize import isotonic_regression, minimize

from pipeline.backtest.alerts import alerts, judge
from pipeline.backtest.pooling import false_alarms_a_day
from pipeline.signals.calibration import CalibrationConstants

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pipeline.backtest.labels import Floats
    from pipeline.backtest.pooling import Moments

_LEAST_MINUTES: Final = 30
"""Of the highest point of a map: fewer say too little."""
_RATIO: Final = 1.4
"""How many times as many minutes are at a point and above it as above the next."""
_LAST_RISE: Final = 0.01
"""Of the probability above the middle of the highest step, where nothing tells how much it is."""
_CANDIDATES: Final = 400
_RIDGE: Final = 1.0
"""What squared coefficients cost."""
_STEP: Final = 1e-4  # probabilities are sent with so many digits


def fit_map(raw: Floats, positive: NDArray[np.bool_]) -> CalibrationConstants:
    """Return a monotone map from raw scores to how often a cascade followed (isotonic regression).

    Points lie the denser the higher the score. No points where all scores are one.
    """
    counts = _LEAST_MINUTES * _RATIO ** np.arange(np.log(max(len(raw) / _LEAST_MINUTES, 1)) / np.log(_RATIO))
    edges = np.unique(np.quantile(raw, np.clip(1 - counts / len(raw), 0, 1)))
    place = np.searchsorted(edges, raw, side="right")
    minutes = np.bincount(place)
    known = minutes > 0
    means = np.bincount(place, raw)[known] / minutes[known]
    rates = np.bincount(place, positive)[known] / minutes[known]
    rising = np.clip(isotonic_regression(rates, weights=minutes[known]).x, 0, 1)
    scores, chances = _middles(means, rising, minutes[known], float(raw.max()))
    points = dict(zip(scores.round(4).tolist(), chances.round(5).tolist(), strict=True))
    if len(points) < 2:  # noqa: PLR2004 - a map has two points or none
        return CalibrationConstants()
    return CalibrationConstants(raw=tuple(points), probability=tuple(points.values()))


def _middles(
    raw: Floats, rising: Floats, minutes: NDArray[np.int64], highest: float
) -> tuple[Floats, Floats]:
    """Return a point for each step, at its middle, and from the last one on points that are a little higher.

    So scores rank as they did: levels have to tell moments apart that a map with steps makes equal (centred
    isotonic regression, Oron and Flournoy 2017).
    """
    steps = np.concatenate([[0], np.cumsum(np.diff(rising) > 0)])
    middles = np.bincount(steps, minutes * raw) / np.bincount(steps, minutes)
    chances = rising[np.unique(steps, return_index=True)[1]]
    above = np.append(raw[raw > middles[-1]], highest)
    rise = _LAST_RISE * np.arange(1, len(above) + 1) / len(above)
    return np.append(middles, above), np.append(chances, np.minimum(chances[-1] + rise, 1.0))


def mapped(raw: Floats, constants: CalibrationConstants) -> Floats:
    """Return the probabilities of raw scores."""
    if not constants.raw:
        return np.clip(raw, 0.0, 1.0)
    found: Floats = np.interp(raw, constants.raw, constants.probability)
    return found


def lowest_within(told: Sequence[Moments], most_a_day: float) -> float:
    """Return the lowest threshold, to be exceeded, that costs no more false alarms a day and symbol."""
    values, labels = np.concatenate([each.values for each in told]), [each.labels for each in told]
    found = float(values.max(initial=0.0))
    for threshold in np.unique(np.quantile(values, 1 - np.geomspace(1e-6, 0.5, _CANDIDATES), method="lower"))[
        ::-1
    ]:
        judged = [judge(alerts(each.times_ms, each.values > threshold), each.labels) for each in told]
        if false_alarms_a_day(judged, labels) > most_a_day:
            break
        found = float(threshold)
    return found


def rising_thresholds(found: list[float], step: float = _STEP, most: float = 1.0) -> list[float]:
    """Return thresholds of which each is more than the one before, moved up where they are not."""
    risen: list[float] = []
    for threshold in found:
        risen.append(max(threshold, risen[-1] + step) if risen else threshold)
    excess = max(0.0, risen[-1] - most)
    # rounded up: what equals a threshold is not to exceed it
    return [float(np.ceil(max(each - excess, 0.0) * 1e6 - 1e-3) / 1e6) for each in risen]


def fit_weights(parts: Floats, positive: NDArray[np.bool_]) -> Floats:
    """Return weights of components, none negative, their sum 1: ridge logistic regression.

    Parameters
    ----------
    parts
        A line for each minute, a column for each component.
    positive
        Whether a cascade followed.

    """
    sign = np.where(positive, 1.0, -1.0)

    def loss(unknown: Floats) -> tuple[float, Floats]:
        margin = sign * (parts @ unknown[:-1] + unknown[-1])
        pull = -sign * np.exp(-np.logaddexp(0.0, margin))
        slope = np.append(pull @ parts + 2 * _RIDGE * unknown[:-1], pull.sum())
        return float(np.logaddexp(0.0, -margin).sum() + _RIDGE * unknown[:-1] @ unknown[:-1]), slope

    count = parts.shape[1]
    bounds = [(0.0, None)] * count + [(None, None)]
    found = minimize(loss, np.append(np.ones(count), -4.0), jac=True, bounds=bounds, method="L-BFGS-B").x
    weights: Floats = found[:-1]
    return weights / weights.sum() if weights.sum() > 0 else np.full(count, 1 / count)
