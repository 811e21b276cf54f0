"""Counts by size, against numpy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.runtime.distribution import Distribution

BOUNDS = (1.0, 2.0, 5.0)


@given(st.lists(st.floats(0, 10)))
def test_each_value_is_counted_at_the_first_bound_that_it_is_not_above(values):
    distribution = Distribution(BOUNDS)
    for value in values:
        distribution.add(value)
    places = np.searchsorted(BOUNDS, values, side="left")
    assert distribution.counts == np.bincount(places, minlength=4).tolist()
    assert distribution.total == pytest.approx(sum(values))


def test_a_quantile_is_the_bound_that_enough_values_are_not_above():
    distribution = Distribution(BOUNDS)
    assert distribution.quantile(0.5) is None
    for value in (0.5, 1.5, 1.6, 7.0):
        distribution.add(value)
    assert [distribution.quantile(share) for share in (0.25, 0.5, 0.75, 0.99)] == [1.0, 2.0, 2.0, 5.0]
