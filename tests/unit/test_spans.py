import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.features.spans import RealisedVolatility, Ring

T0 = 1_700_000_100


def test_ring_sums_its_span_and_forgets_the_rest():
    ring = Ring(60)
    for second in range(1, 101):
        ring.add(T0 + second - 1, T0 + second, float(second))
    assert ring.total(T0 + 100) == sum(range(41, 101))
    assert ring.total(T0 + 130) == sum(range(71, 101))
    assert ring.total(T0 + 160) == 0


def test_the_oldest_bucket_counts_for_the_share_within_the_span():
    ring = Ring(300)
    ring.add(T0, T0 + 1, 10.0)
    assert [ring.total(T0 + 300 + late) for late in range(6)] == pytest.approx([10, 8, 6, 4, 2, 0])


def test_a_value_is_spread_evenly_over_its_seconds():
    ring = Ring(300)
    ring.add(T0, T0 + 300, 300.0)
    assert ring.total(T0 + 300) == pytest.approx(300)
    assert ring.total(T0 + 400) == pytest.approx(200)
    assert ring.total(T0 + 500) == pytest.approx(100)


def test_a_value_that_reaches_back_beyond_the_span_counts_for_its_part():
    ring = Ring(60)
    ring.add(T0, T0 + 300, 300.0)
    assert ring.total(T0 + 300) == pytest.approx(60)


ADDED = st.tuples(st.integers(0, 400), st.integers(1, 700), st.sampled_from([0.0, 1e-6, 1.0, 7.5]))


@given(st.sampled_from([60, 300, 900]), st.lists(ADDED, min_size=1, max_size=12), st.integers(0, 500))
def test_a_ring_is_a_slow_sum_over_its_seconds(span, added, wait):
    """Values come one after the other, after a pause or without one, each over some seconds."""
    ring, seconds, end, width = Ring(span), {}, T0, span // 60
    for pause, length, value in added:
        start, end = end + pause, end + pause + length
        ring.add(start, end, value)
        seconds.update(dict.fromkeys(range(start + 1, end + 1), value / length))
        now = end + wait
        head = (now - 1) // width * width
        within = (head + width - now) / width
        newest = sum(value for second, value in seconds.items() if second > head - 59 * width)
        oldest = sum(value for second, value in seconds.items() if 0 < second - head + 60 * width <= width)
        asked = Ring(span)  # another one, as asking moves a ring on
        asked.thaw(ring.freeze())
        assert asked.total(now) == pytest.approx(newest + within * oldest)


def test_a_value_not_yet_added_counts_as_if_it_were():
    ring = Ring(60)
    ring.add(T0, T0 + 1, 1.0)
    assert ring.total_with(T0 + 31, T0 + 1, 5.0) == 6
    assert ring.total_with(T0 + 301, T0 + 1, 300.0) == 60


def test_a_jump_of_decades_costs_no_more_than_one_of_an_hour():
    ring = Ring(3_600)
    ring.add(T0, T0 + 1, 1.0)
    far = T0 + 2_000_000_000
    ring.add(T0 + 1, far, 2_000_000_000.0)
    assert ring.total(far) == pytest.approx(3_600)


def test_sums_never_drift_below_zero_after_huge_values():
    ring = Ring(60)
    ring.add(T0, T0 + 1, 1e18)
    for second in range(2, 200):
        ring.add(T0 + second - 1, T0 + second, 1e-12)
    assert ring.total(T0 + 199) == pytest.approx(60e-12, rel=1e-12)


def test_prices_every_second_give_the_volatility_of_their_log_returns():
    """Prices each second left the 5-minute volatility of the system before at 0 for ever."""
    rng = np.random.default_rng(5)
    prices = 60_000 * np.exp(np.cumsum(rng.normal(0, 4e-4, 4_000)))
    squares = np.diff(np.log(prices)) ** 2
    realised = RealisedVolatility()
    for second, value in enumerate(prices):
        realised.move(T0 + second, float(value), T0)
        if second in (60, 300, 900, 3_600, 3_660):
            seen = squares[:second]
            expected = [100 * math.sqrt(seen[-span:].sum()) for span in (60, 300, 900, 3_600)]
            assert realised.volatilities() == pytest.approx(expected, rel=1e-6)


def test_volatility_is_a_move_over_the_span_not_annualised():
    realised = RealisedVolatility()
    realised.move(T0, 100.0, T0)
    realised.move(T0 + 1, 101.0, T0)
    assert realised.volatilities() == pytest.approx([100 * math.log(1.01)] * 4)


def test_the_last_price_of_a_second_is_its_sample():
    realised = RealisedVolatility()
    for second, value in ((0, 100.0), (1, 150.0), (1, 101.0), (2, 101.0)):
        realised.move(T0 + second, value, T0)
    assert realised.volatilities()[0] == pytest.approx(100 * math.log(1.01))


def test_no_return_reaches_from_one_run_of_prices_into_the_next():
    realised = RealisedVolatility()
    for second, value, start in ((0, 100.0, 0), (1, 101.0, 0), (100, 150.0, 100), (101, 150.0, 100)):
        realised.move(T0 + second, value, T0 + start)
    assert realised.volatilities()[1] == pytest.approx(100 * math.log(1.01))


def test_the_last_second_of_a_run_counts_as_any_other():
    """A fall in the last second before a feed was silent was forgotten."""
    realised = RealisedVolatility()
    for second, value, start in ((0, 100.0, 0), (1, 99.0, 0), (1, 95.0, 0), (100, 95.0, 100)):
        realised.move(T0 + second, value, T0 + start)
    size = 100 * math.log(100 / 95)
    assert realised.volatilities() == pytest.approx([0, size, size, size])


def test_a_new_run_within_the_open_second_begins_it_anew():
    realised = RealisedVolatility()
    realised.move(T0, 100.0, T0)
    assert realised.move(T0 + 1, 101.0, T0)
    assert realised.move(T0 + 1, 130.0, T0 + 1)
    assert not realised.move(T0 + 1, 131.0, T0 + 1)
    realised.move(T0 + 2, 131.0, T0 + 1)
    assert realised.volatilities() == (0, 0, 0, 0)


def test_a_bar_counts_one_fifth_of_its_square_for_the_last_minute():
    realised = RealisedVolatility()
    for bar, value in enumerate((100.0, 101.0, 100.0, 101.0)):
        realised.move(T0 + 300 * bar, value, T0)
    size = 100 * math.log(1.01)
    expected = [size / math.sqrt(5), size, size * math.sqrt(3), size * math.sqrt(3)]
    assert realised.volatilities() == pytest.approx(expected)
