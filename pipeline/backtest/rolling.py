"""Statistics over the newest values of a series, place by place; NaN counts as missing."""

from __future__ import annotations

from bisect import bisect_left, insort

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def filled(values: Floats, limit: int) -> Floats:
    """Return the values with those that miss replaced by the one before, at most so many in a row."""
    places = np.arange(len(values))
    known = np.maximum.accumulate(np.where(np.isnan(values), -1, places))
    near = (known >= 0) & (places - known <= limit)
    return np.where(near, values[np.maximum(known, 0)], np.nan)


def delayed(values: Floats, steps: int) -> Floats:
    """Return the values so many steps later."""
    return np.concatenate([np.full(min(steps, len(values)), np.nan), values[: max(0, len(values) - steps)]])


def rolling_sum(values: Floats, window: int) -> Floats:
    """Return the sum of the newest `window` values; NaN where any of them is missing."""
    known = ~np.isnan(values)
    sums = _windowed(np.where(known, values, 0.0), window)
    return np.where(_windowed(known.astype(float), window) == window, sums, np.nan)


def rolling_deviation(values: Floats, window: int, least: int) -> Floats:
    """Return the sample standard deviation of the newest values; NaN where fewer than `least` are known."""
    known = ~np.isnan(values)
    centred = np.where(known, values - np.nanmean(values), 0.0) if known.any() else np.zeros(len(values))
    count = _windowed(known.astype(float), window)
    total, squares = _windowed(centred, window), _windowed(centred * centred, window)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = (squares - total * total / count) / (count - 1)
    return np.where(count >= max(2, least), np.sqrt(np.maximum(variance, 0.0)), np.nan)


def rolling_quantile(values: Floats, window: int, least: int, share: float) -> Floats:
    """Return a quantile (linear between values) of the newest; NaN where fewer than `least` are known."""
    found = np.full(len(values), np.nan)
    ordered: list[float] = []
    for place, value in enumerate(values):
        if place >= window and not np.isnan(old := values[place - window]):
            del ordered[bisect_left(ordered, old)]
        if not np.isnan(value):
            insort(ordered, value)
        if ordered and len(ordered) >= least:
            rank = share * (len(ordered) - 1)
            low = int(rank)
            high = min(low + 1, len(ordered) - 1)
            found[place] = ordered[low] + (rank - low) * (ordered[high] - ordered[low])
    return found


def highest_ahead(values: Floats, steps: int) -> Floats:
    """Return the highest known of each value and those up to so many steps after it."""
    padded = np.concatenate([np.where(np.isnan(values), -np.inf, values), np.full(steps, -np.inf)])
    highest = np.lib.stride_tricks.sliding_window_view(padded, steps + 1).max(axis=1)
    return np.where(np.isneginf(highest), np.nan, highest)


def _windowed(values: Floats, window: int) -> Floats:
    sums = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.arange(1, len(values) + 1)
    found: Floats = sums[ends] - sums[np.maximum(ends - window, 0)]
    return found
