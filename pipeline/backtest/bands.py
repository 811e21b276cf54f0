"""Regimes of volatility by how much of a feed's own time each takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from msgspec import structs

from pipeline.backtest.fitting import rising_thresholds

if TYPE_CHECKING:
    from pipeline.backtest.labels import Floats
    from pipeline.signals.profile import Profile

PERCENTILES: Final = (25.0, 50.0, 90.0, 99.0, 99.9)
"""Of 5-minute volatilities, where LOW, NORMAL, ELEVATED, HIGH and EXTREME begin: the last three from
one minute in 10, in 100 and in 1,000 on, for they multiply the risk of a cascade, and cascades are rare."""
_LEAST: Final = 1e-4
"""Percent: of the lowest band, and between two, where a feed stands still."""


def with_bands(profile: Profile, volatilities: Floats) -> Profile:
    """Return a profile whose regimes begin at `PERCENTILES` of 5-minute volatilities (percent)."""
    if not len(volatilities):
        return profile
    found = np.percentile(volatilities, PERCENTILES).tolist()
    bands = rising_thresholds([max(each, _LEAST) for each in found], _LEAST, float("inf"))
    judgement = profile.volatility.judgement
    ladder = structs.replace(judgement.ladder, bands=tuple(bands))
    judgement = structs.replace(judgement, ladder=ladder)
    return structs.replace(profile, volatility=structs.replace(profile.volatility, judgement=judgement))
