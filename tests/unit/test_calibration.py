from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.signals.calibration import CalibrationConstants, calibrated

POINTS = st.lists(
    st.tuples(st.floats(-5, 5), st.floats(0, 1)), min_size=2, max_size=20, unique_by=lambda point: point[0]
)


def constants(points):
    raw = sorted(score for score, _ in points)
    return CalibrationConstants(raw=tuple(raw), probability=tuple(sorted(value for _, value in points)))


@given(POINTS, st.floats(-9, 9))
def test_it_is_linear_between_the_points_and_level_beyond(points, raw):
    found = constants(points)
    assert calibrated(raw, found) == pytest.approx(np.interp(raw, found.raw, found.probability), abs=1e-9)


@given(POINTS, st.lists(st.floats(-9, 9), min_size=2))
def test_it_never_falls(points, scores):
    found = constants(points)
    probabilities = [calibrated(raw, found) for raw in sorted(scores)]
    assert all(low <= high + 1e-12 for low, high in pairwise(probabilities))


@pytest.mark.parametrize(
    ("raw", "probability", "why"),
    [
        ((0.0, 1.0), (0.5,), "as many probabilities as raw scores"),
        ((0.0,), (0.5,), "and two or none"),
        ((1.0, 1.0), (0.1, 0.2), "ascending scores"),
        ((0.0, 1.0), (0.3, 0.2), "do not fall"),
    ],
)
def test_what_is_no_monotone_map_is_refused(raw, probability, why):
    with pytest.raises(ValueError, match=why):
        CalibrationConstants(raw=raw, probability=probability)
