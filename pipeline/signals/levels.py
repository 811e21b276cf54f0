"""Levels of a signal: by probability, and by floors that a fast market sets."""

from itertools import pairwise
from typing import Annotated, Final, Literal, TypeAlias

from msgspec import Meta, Struct

from pipeline.messages import Positive

Fraction: TypeAlias = Annotated[float, Meta(ge=0, le=1)]
Reason: TypeAlias = Literal["probability", "floor"]

NONE: Final = 0
WATCH: Final = 1
ALERT: Final = 2
CRITICAL: Final = 3
EXTREME: Final = 4


class LevelConstants(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Thresholds of the levels, each to be exceeded: what equals a threshold is below it.

    Velocities are liquidations a second, before the regime's multiplier; accelerations liquidations a
    second squared. Thresholds have to rise with the level.
    """

    watch: Fraction = 0.3
    alert: Fraction = 0.5
    critical: Fraction = 0.7
    extreme: Fraction = 0.9
    watch_velocity: Positive = 10.0
    alert_velocity: Positive = 20.0
    critical_velocity: Positive = 50.0
    critical_acceleration: Positive = 20.0
    extreme_velocity: Positive = 100.0
    extreme_acceleration: Positive = 40.0

    def __post_init__(self) -> None:
        _require_rise(self, "watch", "alert", "critical", "extreme")
        _require_rise(self, "watch_velocity", "alert_velocity", "critical_velocity", "extreme_velocity")
        _require_rise(self, "critical_acceleration", "extreme_acceleration")


def _require_rise(constants: LevelConstants, *names: str) -> None:
    for lower, higher in pairwise(names):
        if not getattr(constants, lower) < getattr(constants, higher):
            raise ValueError(f"{higher}: expected more than {lower} ({getattr(constants, lower):g})")


def level_of_probability(probability: float, constants: LevelConstants) -> int:
    """Return the level, 0 NONE to 4 EXTREME, whose threshold the probability exceeds."""
    if probability <= constants.watch:
        return NONE
    if probability <= constants.alert:
        return WATCH
    if probability <= constants.critical:
        return ALERT
    return CRITICAL if probability <= constants.extreme else EXTREME


def floor_level(
    velocity: float, acceleration: float, velocity_multiplier: float, constants: LevelConstants
) -> int:
    """Return the level that velocity and acceleration alone demand.

    The regime's multiplier raises or lowers the velocity thresholds, not those of the acceleration. A
    falling velocity has a negative acceleration and never exceeds one.
    """
    if velocity <= constants.watch_velocity * velocity_multiplier:
        return NONE
    if velocity <= constants.alert_velocity * velocity_multiplier:
        return WATCH
    if acceleration <= constants.critical_acceleration:
        return ALERT
    if velocity <= constants.critical_velocity * velocity_multiplier:
        return ALERT
    extreme = velocity > constants.extreme_velocity * velocity_multiplier
    return EXTREME if extreme and acceleration > constants.extreme_acceleration else CRITICAL


def level_and_reason(by_probability: int, floor: int) -> tuple[int, Reason]:
    """Return the higher of two levels; the reason is the floor only where it is the floor that raised it."""
    return (floor, "floor") if floor > by_probability else (by_probability, "probability")
