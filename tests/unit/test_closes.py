import pytest

from pipeline.features.closes import Closes

T0 = 1_700_000_100


def closes(prices, step=60):
    found = Closes()
    for index, value in enumerate(prices):
        found.add(T0 + step * index, float(value))
    return found


def test_there_is_no_direction_before_20_closes():
    assert closes(range(1, 20)).direction() is None
    assert closes(range(1, 21)).direction() is not None


def test_momentum_and_averages_of_closes():
    momentum, fast, slow = closes(range(100, 130)).direction()
    assert momentum == pytest.approx(129 / 119 - 1)
    assert fast == pytest.approx(sum(range(120, 130)) / 10)
    assert slow == pytest.approx(sum(range(110, 130)) / 20)


def test_the_last_price_of_a_minute_is_its_close():
    found = Closes()
    for minute in range(25):
        for second, value in ((0, 1.0), (30, 9.0), (59, 100.0 + minute)):
            found.add(T0 + 60 * minute + second, value)
    assert found.direction().momentum == pytest.approx(124 / 114 - 1)


def test_minutes_without_a_price_keep_the_close_before():
    momentum, fast, slow = closes([100, 100, 100, 100, 110, 121], step=300).direction()
    assert momentum == pytest.approx(0.21)
    assert fast == pytest.approx((4 * 100 + 5 * 110 + 121) / 10)
    assert slow == pytest.approx((14 * 100 + 5 * 110 + 121) / 20)


def test_after_20_minutes_without_a_price_all_is_forgotten():
    found = closes(range(100, 130))
    found.add(T0 + 60 * 29 + 60 * 20, 200.0)
    assert found.direction().momentum == pytest.approx(200 / 129 - 1)
    found.add(T0 + 60 * 49 + 60 * 21, 200.0)
    assert found.direction() is None
