import pytest

from pipeline.features.turnover import Turnover

T0 = 1_700_000_100


def steadily(_):
    return 100.0


def turnover(step, length, volume=steadily):
    """Turnover after a price each `step` seconds; `volume` is in USD a second."""
    found = Turnover(12)
    for second in range(0, length + 1, step):
        found.add(volume(second) * step, None)
        reading = found.read(T0 + second)
    return reading


@pytest.mark.parametrize("step", [1, 60, 300, 900])
@pytest.mark.parametrize("hours", [1, 2, 6.5, 30])
def test_steady_trading_has_a_ratio_of_one_from_the_start(step, hours):
    if step == 1 and hours > 2:
        hours = 3
    assert turnover(step, round(hours * 3_600)).ratio == pytest.approx(1)


@pytest.mark.parametrize("step", [60, 300])
def test_ratio_is_the_last_hour_against_the_average_hour_of_a_day(step):
    hours = 24

    def fading(second):
        return 10.0 if second > (hours - 1) * 3_600 else 100.0

    assert turnover(step, hours * 3_600, fading).ratio == pytest.approx(10 / ((23 * 100 + 10) / 24), rel=1e-3)


def test_liquidity_is_not_compared_with_its_own_sample():
    """The system before ranked a volume among samples that it was one of, so it was never unusual."""
    reading = turnover(300, 24 * 3_600, lambda second: 1.0 if second > 23 * 3_600 else 100.0)
    assert reading.ratio < 0.02
    assert reading.percentile == 0


def test_an_hour_without_feed_is_not_taken_for_quiet_trading():
    found = Turnover(12)
    for second in [*range(0, 7_200, 300), *range(36_000, 45_000, 300)]:
        found.add(300.0, None)
        reading = found.read(T0 + second)
    assert reading.ratio == pytest.approx(1)


def test_nothing_traded_has_no_ratio():
    assert turnover(300, 7_200, lambda _: 0.0).ratio is None
    assert Turnover(12).read(T0).ratio is None


def test_volumes_are_counted_price_by_price():
    found = Turnover(12)
    for volume in (1.0, None, 0.0, 5.0):
        found.add(volume, None)
    assert found.read(T0).volumes == 3


def test_spread_is_the_mean_of_ten_minutes():
    found = Turnover(12)
    assert found.read(T0).spread_bps is None
    for second, spread in ((0, 100.0), (300, 10.0), (300, 20.0), (600, 30.0)):
        found.add(None, spread)
        reading = found.read(T0 + second)
    assert reading.spread_bps == pytest.approx(20)
    assert found.read(T0 + 1_200).spread_bps is None


def test_percentile_of_volume_needs_an_hour_and_12_values():
    readings = []
    found = Turnover(12)
    for bar in range(40):
        found.add(100.0, None)
        readings.append(found.read(T0 + 300 * bar).percentile)
    assert readings[:24] == [None] * 24
    assert readings[24:] == [50.0] * 16
