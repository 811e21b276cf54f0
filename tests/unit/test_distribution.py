import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import codec
from pipeline.features.distribution import RecentDistribution, RecentMean, WindowMean

VALUES = st.lists(st.floats(0, 1e6), min_size=1, max_size=60)


def test_a_value_that_one_minute_of_a_hundred_reached_has_a_rarity_of_two():
    found = RecentDistribution(0.01, 20, 1e9)
    for _ in range(99_000):
        found.add(1.0)
    for _ in range(1_000):
        found.add(100.0)
    assert found.rarity(50.0) == pytest.approx(2.0, abs=0.001)
    assert found.rarity(100.0) == pytest.approx(2.0 + math.log10(2), abs=0.001)
    assert found.rarity(0.0) == 0.0


def test_of_few_minutes_nothing_is_rare():
    found = RecentDistribution(0.01, 20, 1e9)
    assert found.rarity(1e9) == 0.0
    assert found.rarity(0.0) == 0.0
    for minutes in range(1, 50):
        found.add(0.0)
        assert found.rarity(1e9) == pytest.approx(math.log10(2 * minutes + 1))


@given(VALUES, st.floats(0, 1e6), st.floats(2, 1e4))
def test_the_rarity_is_that_of_a_weighted_count(values, asked, memory):
    """Against a slow count: each sample weighs e^(-age / memory) of what a sample weighs now."""
    found = RecentDistribution(0.01, 30, memory)
    for value in values:
        found.add(value)
    weights = [math.exp(-(len(values) - place) / memory) for place in range(len(values))]
    above = sum(
        weight for weight, value in zip(weights, values, strict=True) if place_of(value) > place_of(asked)
    )
    equal = sum(
        weight for weight, value in zip(weights, values, strict=True) if place_of(value) == place_of(asked)
    )
    expected = math.log10((sum(weights) + 0.5) / (above + equal / 2 + 0.5))
    assert found.rarity(asked) == pytest.approx(expected, abs=1e-6)


def place_of(value):
    """Return which quarter of an octave above 0.01 a value lies in, 0 below it, as a slow count has it."""
    edges = [0.01 * 2 ** (step / 4) for step in range(4 * 30)]
    return sum(value >= edge * (1 - 1e-12) for edge in edges)


@given(VALUES, VALUES)
def test_what_is_larger_is_not_less_rare(values, asked):
    found = RecentDistribution(0.01, 20, 1_000)
    for value in values:
        found.add(value)
    assert all(
        found.rarity(low) <= found.rarity(high) + 1e-9 for low, high in pairwise(sorted({*asked, 0.0, 1e9}))
    )


@given(st.integers(1, 500), st.floats(0, 100))
def test_minutes_at_once_are_as_good_as_one_by_one(minutes, value):
    one, other = RecentDistribution(0.01, 20, 100), RecentDistribution(0.01, 20, 100)
    for found in (one, other):
        found.add(3.0)
    one.add(value, minutes)
    for _ in range(minutes):
        other.add(value)
    assert one.rarity(2.0) == pytest.approx(other.rarity(2.0))


def test_a_long_life_does_not_overflow():
    found, late = RecentDistribution(0.01, 20, 2), RecentDistribution(0.01, 20, 2)
    for minute in range(5_000):
        found.add(float(minute % 7))
    for minute in range(4_900, 5_000):  # the rest is forgotten
        late.add(float(minute % 7))
    assert [found.rarity(value) for value in range(7)] == pytest.approx([late.rarity(v) for v in range(7)])


def test_it_goes_on_where_it_was_stored():
    one, other = RecentDistribution(0.01, 20, 50), RecentDistribution(0.01, 20, 50)
    for value in (0.5, 3.0, 70.0):
        one.add(value)
    other.thaw(codec.unpacker(list)(codec.pack(one.freeze())))
    for found in (one, other):
        found.add(9.0)
    assert one.rarity(8.0) == other.rarity(8.0)
    assert one.freeze() == other.freeze()


def test_a_recent_mean_begins_as_the_plain_one_and_forgets():
    mean = RecentMean(10)
    for sample in (1.0, 2.0, 6.0):
        mean.add(sample)
    assert mean.value == pytest.approx(3.0)
    for _ in range(100):
        mean.add(5.0)
    assert mean.value == pytest.approx(5.0, abs=1e-3)
    mean.add(7.0, 1_000)
    assert mean.value == 7.0
    again = RecentMean(10)
    again.thaw(mean.freeze())
    assert again.freeze() == mean.freeze()


def test_a_mean_of_a_window_forgets_all_at_once():
    mean = WindowMean(360)
    assert mean.value == 0.0
    samples = [float(place % 97) for place in range(1_000)]
    for place, sample in enumerate(samples, start=1):
        mean.add(sample)
        begin = max(place // 180 - 2, 0) * 180
        assert mean.value == pytest.approx(sum(samples[begin:place]) / (place - begin))


@pytest.mark.parametrize("length", [100, 180, 1_000])
def test_a_mean_of_a_window_goes_on_where_it_was_stored(length):
    one, other = WindowMean(360), WindowMean(360)
    for place in range(length):
        one.add(0.1 * place)
    other.thaw(codec.unpacker(list)(codec.pack(one.freeze())))
    assert other.value == one.value
    for mean in (one, other):
        for place in range(200):
            mean.add(0.7 * place)
    assert one.freeze() == other.freeze()


@pytest.mark.parametrize("length", [100, 500])
def test_a_mean_of_a_window_takes_over_one_that_forgot_exponentially(length):
    before, mean = RecentMean(360), WindowMean(360)
    for place in range(length):
        before.add(float(place))
    mean.thaw(before.freeze())
    assert mean.value == pytest.approx(before.value)
    for _ in range(540):
        mean.add(3.0)
    assert mean.value == 3.0
