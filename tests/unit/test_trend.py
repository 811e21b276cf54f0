import msgspec
import pytest

from pipeline.features.closes import Direction
from pipeline.signals.trend import TrendConstants, judge_trend

UP, DOWN, EVEN = (2.0, 1.0), (1.0, 2.0), (1.0, 1.0)


@pytest.mark.parametrize(
    ("momentum", "averages", "trend"),
    [
        (0.051, UP, "STRONG_UP"),
        (0.05, UP, "UP"),
        (0.021, UP, "UP"),
        (0.02, UP, "RANGING"),
        (0.0, UP, "RANGING"),
        (-0.06, UP, "RANGING"),
        (0.06, DOWN, "RANGING"),
        (0.06, EVEN, "RANGING"),
        (-0.06, EVEN, "RANGING"),
        (-0.02, DOWN, "RANGING"),
        (-0.021, DOWN, "DOWN"),
        (-0.05, DOWN, "DOWN"),
        (-0.051, DOWN, "STRONG_DOWN"),
    ],
)
def test_trend_of_momentum_with_the_averages_crossed_the_same_way(momentum, averages, trend):
    assert judge_trend(Direction(momentum, *averages), TrendConstants()) == trend


def test_without_20_closes_the_market_is_ranging():
    assert judge_trend(None, TrendConstants()) == "RANGING"


def test_a_strong_trend_weaker_than_a_trend_is_refused():
    with pytest.raises(msgspec.ValidationError, match="strong"):
        msgspec.convert({"strong": 0.01}, TrendConstants)
