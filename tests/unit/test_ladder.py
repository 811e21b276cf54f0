import msgspec
import pytest

from pipeline.features.ladder import REGIMES, Ladder, LadderConstants


@pytest.mark.parametrize(
    ("volatility", "regime"),
    [
        (0, "DORMANT"),
        (0.499, "DORMANT"),
        (0.5, "LOW"),
        (0.999, "LOW"),
        (1, "NORMAL"),
        (1.999, "NORMAL"),
        (2, "ELEVATED"),
        (2.999, "ELEVATED"),
        (3, "HIGH"),
        (4.999, "HIGH"),
        (5, "EXTREME"),
        (1e9, "EXTREME"),
    ],
)
def test_bands(volatility, regime):
    assert REGIMES[Ladder(LadderConstants()).climb(0, volatility)] == regime


def test_a_rise_counts_at_once_and_a_fall_after_30_seconds_below():
    ladder = Ladder(LadderConstants())
    assert ladder.climb(100, 0.1) == 0
    assert ladder.climb(101, 6) == 5
    assert [ladder.climb(102 + late, 1.5) for late in (0, 10, 29)] == [5, 5, 5]
    assert ladder.climb(132, 1.5) == 2


def test_whoever_comes_back_in_between_begins_the_30_seconds_anew():
    ladder = Ladder(LadderConstants())
    ladder.climb(0, 6)
    ladder.climb(1, 1)
    assert ladder.climb(20, 5) == 5
    assert ladder.climb(31, 1) == 5
    assert ladder.climb(60, 1) == 5
    assert ladder.climb(61, 1) == 2


def test_leaving_forgets_the_level():
    ladder = Ladder(LadderConstants())
    ladder.climb(0, 6)
    assert REGIMES[ladder.leave()] == "NORMAL"
    assert ladder.climb(1, 0.1) == 0


def test_bands_that_do_not_ascend_are_refused_by_name():
    with pytest.raises(msgspec.ValidationError, match="bands"):
        msgspec.convert({"bands": [1, 2, 2, 3, 4]}, LadderConstants)
