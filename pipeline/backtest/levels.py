"""Levels of a profile by how many false alarms a day each may cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import structs

from pipeline.backtest.fitting import fit_map, lowest_within, mapped, rising_thresholds
from pipeline.backtest.pooling import at_minutes, pooled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.backtest.pooling import Moments
    from pipeline.signals.profile import Profile

NAMES: Final = ("watch", "alert", "critical", "extreme")
FLOOR_SHARE: Final = 0.1
"""How many of a level's false alarms its floor may cost."""
_LEAST: Final = 0.01
_ROUNDED: Final = 5e-5
"""How much more a raw score may be than it is sent as: a threshold has to hold for what it is."""


def with_levels(profile: Profile, raw: Sequence[Moments], most_a_day: tuple[float, ...]) -> Profile:
    """Return a profile with a map from raw scores to probabilities, and the levels that follow."""
    _, positive = pooled([each.labels for each in raw])
    calibration = fit_map(at_minutes(raw), positive)
    probability = [each._replace(values=mapped(each.values + _ROUNDED, calibration)) for each in raw]
    found = rising_thresholds([lowest_within(probability, most) for most in most_a_day])
    levels = structs.replace(profile.score.levels, **dict(zip(NAMES, found, strict=True)))
    quiet = profile.score.quiet_probability
    if profile.score.habits is None:
        quiet = min(quiet, levels.watch)
    score = structs.replace(profile.score, calibration=calibration, levels=levels, quiet_probability=quiet)
    return structs.replace(profile, score=score)


def with_floors(
    profile: Profile,
    velocity: Sequence[Moments],
    acceleration: Sequence[Moments],
    most_a_day: tuple[float, ...],
) -> Profile:
    """Return a profile whose floors are velocities and accelerations that its own feed reaches as rarely."""

    def rare(told: Sequence[Moments], most: tuple[float, ...]) -> list[float]:
        found = [lowest_within(told, FLOOR_SHARE * each) for each in most]
        return rising_thresholds([max(each, _LEAST) for each in found], _LEAST, float("inf"))

    velocities, accelerations = rare(velocity, most_a_day), rare(acceleration, most_a_day[2:])
    floors = dict(zip((f"{name}_velocity" for name in NAMES), velocities, strict=True))
    floors |= dict(zip((f"{name}_acceleration" for name in NAMES[2:]), accelerations, strict=True))
    levels = structs.replace(profile.score.levels, **floors)
    return structs.replace(profile, score=structs.replace(profile.score, levels=levels))
