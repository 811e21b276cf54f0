"""Levels of a profile by how many false alarms a day each may cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import structs

from pipeline.backtest.fitting import fit_map, lowest_within, mapped, rising_thresholds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.backtest.labels import Floats, Labels, Times
    from pipeline.signals.profile import Profile

NAMES: Final = ("watch", "alert", "critical", "extreme")
FLOOR_SHARE: Final = 0.1
"""How many of a level's false alarms its floor may cost."""
_LEAST: Final = 0.01


def with_levels(  # noqa: PLR0913, PLR0917
    profile: Profile,
    times_ms: Times,
    raw: Floats,
    labels: Labels,
    told: tuple[Floats, NDArray[Any]],
    most_a_day: tuple[float, ...],
) -> Profile:
    """Return a profile with a map from raw scores to probabilities, and the levels that follow.

    `told` are the raw scores at minutes, and whether a cascade followed.
    """
    calibration = fit_map(*told)
    probability = mapped(raw, calibration)
    found = rising_thresholds([lowest_within(times_ms, probability, labels, most) for most in most_a_day])
    levels = structs.replace(profile.score.levels, **dict(zip(NAMES, found, strict=True)))
    quiet = profile.score.quiet_probability
    if profile.score.habits is None:
        quiet = min(quiet, levels.watch)
    score = structs.replace(profile.score, calibration=calibration, levels=levels, quiet_probability=quiet)
    return structs.replace(profile, score=score)


def with_floors(  # noqa: PLR0913, PLR0917
    profile: Profile, times_ms: Times, velocity: Floats, acceleration: Floats, labels: Labels,
    most_a_day: tuple[float, ...],
) -> Profile:  # fmt: skip
    """Return a profile whose floors are velocities and accelerations that its own feed reaches as rarely."""

    def rare(values: Floats, most: tuple[float, ...]) -> list[float]:
        found = [lowest_within(times_ms, values, labels, FLOOR_SHARE * each) for each in most]
        return rising_thresholds([max(each, _LEAST) for each in found], _LEAST, float("inf"))

    velocities, accelerations = rare(velocity, most_a_day), rare(acceleration, most_a_day[2:])
    floors = dict(zip((f"{name}_velocity" for name in NAMES), velocities, strict=True))
    floors |= dict(zip((f"{name}_acceleration" for name in NAMES[2:]), accelerations, strict=True))
    levels = structs.replace(profile.score.levels, **floors)
    return structs.replace(profile, score=structs.replace(profile.score, levels=levels))
