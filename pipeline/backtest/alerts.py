"""What an operator would have seen: alerts with a pause after each, hits, false alarms, lead times.

An alert is a hit from 15 minutes before to 5 minutes after an onset, neutral until 15 minutes after the
episode's last bar, and else a false alarm. An onset is the close of a bar, so whoever checks the price at
that close hits with a lead of 0: early is what came a minute before or more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from pipeline.backtest.labels import HORIZON, MINUTE, Floats, Labels, Times, among

if TYPE_CHECKING:
    from numpy.typing import NDArray

PAUSE: Final = 30 * MINUTE
_LATE: Final = 5 * MINUTE
EARLY_MIN: Final = 1.0
"""Minutes before an onset from which a hit is early."""


class Judged(NamedTuple):
    """What became of alerts.

    Attributes
    ----------
    leads_min
        Of each episode, how many minutes its first hit came before its onset; NaN where it was missed.
    hits_ms, false_ms
        When hits and false alarms were.

    """

    leads_min: Floats
    hits_ms: Times
    false_ms: Times

    @property
    def caught(self) -> NDArray[np.bool_]:
        """Which episodes had a hit."""
        return ~np.isnan(self.leads_min)

    @property
    def early(self) -> NDArray[np.bool_]:
        """Which episodes had an early one."""
        return np.where(self.caught, self.leads_min, -np.inf) >= EARLY_MIN


def alerts(times_ms: Times, reached: NDArray[np.bool_]) -> Times:
    """Return when alerts fire: where a threshold is reached and none fired within half an hour."""
    candidates, fired, place = times_ms[reached], [], 0
    while place < len(candidates):
        fired.append(candidates[place])
        place = int(np.searchsorted(candidates, candidates[place] + PAUSE))
    return np.array(fired, np.int64)


def judge(fired_ms: Times, labels: Labels) -> Judged:
    """Return what became of alerts; those fired while a feed was down are neither hits nor false."""
    hit = np.zeros(len(fired_ms), bool)
    neutral = ~among(fired_ms // MINUTE * MINUTE, labels.minutes)
    leads = np.full(len(labels.onsets), np.nan)
    for place, (onset, end) in enumerate(zip(labels.onsets, labels.ends, strict=True)):
        neutral |= (fired_ms > onset + _LATE) & (fired_ms <= end + HORIZON)
        found = (fired_ms >= onset - HORIZON) & (fired_ms <= onset + _LATE)
        hit |= found
        if found.any():
            leads[place] = (onset - fired_ms[found].min()) / MINUTE
    return Judged(leads, fired_ms[hit], fired_ms[~hit & ~neutral])
