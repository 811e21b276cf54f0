import msgspec
import pytest

from pipeline.signals.levels import (
    ALERT,
    CRITICAL,
    EXTREME,
    NONE,
    WATCH,
    LevelConstants,
    floor_level,
    level_and_reason,
    level_of_probability,
)

SEED_LEVELS = LevelConstants()


@pytest.mark.parametrize(
    ("probability", "level"),
    [
        (0.0, NONE),
        (0.3, NONE),
        (0.3001, WATCH),
        (0.5, WATCH),
        (0.5001, ALERT),
        (0.7, ALERT),
        (0.7001, CRITICAL),
        (0.9, CRITICAL),
        (0.9001, EXTREME),
        (1.0, EXTREME),
    ],
)
def test_a_level_begins_strictly_above_its_threshold(probability, level):
    assert level_of_probability(probability, SEED_LEVELS) == level


@pytest.mark.parametrize(
    ("velocity", "acceleration", "level"),
    [
        (10.0, 100.0, NONE),
        (10.1, 0.0, WATCH),
        (20.0, 100.0, WATCH),
        (20.1, 0.0, ALERT),
        (50.0, 100.0, ALERT),
        (50.1, 20.0, ALERT),
        (50.1, 20.1, CRITICAL),
        (100.0, 100.0, CRITICAL),
        (100.1, 20.0, ALERT),
        (100.1, 40.0, CRITICAL),
        (100.1, 40.1, EXTREME),
    ],
)
def test_floors_begin_strictly_above_both_thresholds(velocity, acceleration, level):
    assert floor_level(velocity, acceleration, 1.0, SEED_LEVELS) == level


@pytest.mark.parametrize("acceleration", [-0.1, -20.1, -40.1, -1_000.0])
def test_falling_velocity_never_raises_a_level(acceleration):
    # The system this replaces took the absolute value: a cascade that died down was its EXTREME.
    assert floor_level(1_000.0, acceleration, 1.0, SEED_LEVELS) == floor_level(1_000.0, 0.0, 1.0, SEED_LEVELS)
    assert floor_level(5.0, acceleration, 1.0, SEED_LEVELS) == NONE


@pytest.mark.parametrize("multiplier", [0.5, 0.7, 1.0, 1.3, 1.8, 2.5])
@pytest.mark.parametrize(("base", "below"), [(10.0, NONE), (20.0, WATCH), (50.0, ALERT), (100.0, CRITICAL)])
def test_the_regime_scales_velocity_thresholds(multiplier, base, below):
    threshold = base * multiplier
    assert floor_level(threshold, 41.0, multiplier, SEED_LEVELS) == below
    assert floor_level(threshold * 1.001, 41.0, multiplier, SEED_LEVELS) == below + 1


@pytest.mark.parametrize("multiplier", [0.5, 2.5])
def test_the_regime_leaves_acceleration_thresholds_alone(multiplier):
    assert floor_level(300.0, 20.0, multiplier, SEED_LEVELS) == ALERT
    assert floor_level(300.0, 40.0, multiplier, SEED_LEVELS) == CRITICAL
    assert floor_level(300.0, 40.1, multiplier, SEED_LEVELS) == EXTREME


def test_the_reason_is_the_floor_only_where_it_raised_the_level():
    assert level_and_reason(NONE, WATCH) == (WATCH, "floor")
    assert level_and_reason(WATCH, WATCH) == (WATCH, "probability")
    assert level_and_reason(CRITICAL, WATCH) == (CRITICAL, "probability")
    assert level_and_reason(NONE, NONE) == (NONE, "probability")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"watch": 0.6}, "alert: expected more than watch"),
        ({"extreme": 0.7}, "extreme: expected more than critical"),
        ({"alert_velocity": 10}, "alert_velocity: expected more than watch_velocity"),
        ({"critical_velocity": 200}, "extreme_velocity: expected more than critical_velocity"),
        ({"extreme_acceleration": 5}, "extreme_acceleration: expected more than critical_acceleration"),
        ({"watch": -0.1}, r"Expected `float` >= 0.0 - at `\$.watch`"),
        ({"watch_velocity": 0}, r"Expected `float` > 0.0 - at `\$.watch_velocity`"),
        ({"wach": 0.2}, "unknown field `wach`"),
    ],
)
def test_impossible_thresholds_are_refused_by_name(change, reason):
    with pytest.raises(msgspec.ValidationError, match=reason):
        msgspec.convert(change, LevelConstants)
