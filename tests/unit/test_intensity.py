import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.features.intensity import Intensity

SECOND = 1_000_000
EVENTS = st.lists(
    st.tuples(st.floats(0, 600), st.booleans(), st.floats(1, 1e6)), min_size=1, max_size=40
).map(sorted)


@given(EVENTS, st.floats(0, 3_600))
def test_sums_are_those_of_every_liquidation_with_its_age(events, after):
    found = Intensity(600, 300, 60, 3_600)
    for time, long, value in events:
        found.fade(round(time * SECOND))
        found.add(long=long, value_usd=value)
    end = events[-1][0] + after
    found.fade(round(end * SECOND))

    def summed(memory, weigh=lambda _: 1.0, sides=(True, False)):
        return sum(
            weigh(value) * math.exp(-(end - time) / memory) for time, long, value in events if long in sides
        )

    assert found.count == pytest.approx(max(summed(600, sides=(side,)) for side in (True, False)), rel=1e-4)
    values = [summed(300, lambda value: value, (side,)) for side in (True, False)]
    assert found.value_usd == pytest.approx(max(values), rel=1e-4)
    assert found.burst == pytest.approx(summed(60) / (summed(3_600) + 1), rel=1e-4, abs=1e-12)


def test_a_lone_liquidation_has_half_the_company_of_many():
    found, company = Intensity(600, 300, 60, 3_600), []
    for _ in range(30):
        found.add(long=True, value_usd=1.0)
        company.append(found.company)
    assert company[0] == 0.5
    assert company == sorted(company)
    assert company[-1] == pytest.approx(1.0, abs=1e-5)
    found.fade(7_200 * SECOND)
    assert found.company == 0.5


def test_time_never_goes_back():
    found = Intensity(600, 300, 60, 3_600)
    found.fade(100 * SECOND)
    found.add(long=True, value_usd=5.0)
    found.fade(40 * SECOND)
    assert (found.count, found.value_usd) == (1.0, 5.0)
    again = Intensity(600, 300, 60, 3_600)
    again.thaw(found.freeze())
    again.fade(700 * SECOND)
    assert again.count == pytest.approx(math.exp(-1))
