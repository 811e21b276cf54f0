import math

import msgspec
import numpy as np
import pytest

from pipeline.features.risk import (
    RiskConstants,
    dispersion,
    dispersion_term,
    percentile_term,
    risk_multiplier,
    surge_term,
    z_term,
)

SEED = RiskConstants()
EVEN = tuple(math.sqrt(span) / 10 for span in (60, 300, 900, 3_600))


@pytest.mark.parametrize(("level", "factor"), list(enumerate([1, 1.2, 1.5, 2, 3, 5])))
def test_factor_of_each_regime(level, factor):
    assert risk_multiplier(level, EVEN, 0.0, None, None, SEED) == pytest.approx(factor)


@pytest.mark.parametrize(
    ("minute", "five", "factor"),
    [(1, math.sqrt(5), 1), (0.5, math.sqrt(5), 1), (1.5, math.sqrt(5), 1.5), (9, 9, 2), (0, 0, 1)],
)
def test_surge(minute, five, factor):
    assert surge_term(minute, five, SEED) == pytest.approx(factor)


@pytest.mark.parametrize(
    ("percentile", "factor"), [(None, 1), (0, 1), (90, 1), (90.1, 1.2), (95, 1.2), (95.1, 1.5), (100, 1.5)]
)
def test_percentile(percentile, factor):
    assert percentile_term(percentile, SEED) == factor


@pytest.mark.parametrize(
    ("z_score", "factor"), [(None, 1), (0, 1), (2, 1), (2.1, 1.5), (3, 1.5), (3.1, 2), (-2.1, 1.5), (-4, 2)]
)
def test_z_score(z_score, factor):
    assert z_term(z_score, SEED) == factor


def test_dispersion_compares_the_spans_by_the_second():
    volatilities = (1.0, 2.0, 1.5, 8.0)
    rates = np.array(volatilities) / np.sqrt([60, 300, 900, 3_600])
    assert dispersion(volatilities) == pytest.approx(rates.std() / rates.mean())
    assert dispersion(EVEN) == pytest.approx(0, abs=1e-12)
    assert dispersion((0.0, 0.0, 0.0, 0.0)) == 0


@pytest.mark.parametrize(("spread", "factor"), [(0, 1), (0.5, 1), (0.51, 1.3)])
def test_dispersion_factor(spread, factor):
    assert dispersion_term(spread, SEED) == factor


def test_terms_multiply_up_to_the_limit():
    volatilities = (1.5 * EVEN[0], *EVEN[1:])
    uneven = dispersion(volatilities)
    assert risk_multiplier(3, volatilities, uneven, 91, 2.5, SEED) == pytest.approx(2 * 1.5 * 1.2 * 1.5)
    assert risk_multiplier(5, volatilities, uneven, 99, 9, SEED) == 10


def test_noise_of_rounding_is_no_surge():
    volatilities = (EVEN[0] * (1 + 7.3e-10), *EVEN[1:])
    assert risk_multiplier(1, volatilities, dispersion(volatilities), None, None, SEED) == 1.2


@pytest.mark.parametrize(
    "wrong", [{"rare_percentile": 95}, {"unusual_z": 3}, {"by_regime": [1, 1, 1]}, {"limit": 0}]
)
def test_constants_that_cannot_be_are_refused_by_name(wrong):
    with pytest.raises(msgspec.ValidationError, match=next(iter(wrong))):
        msgspec.convert(wrong, RiskConstants)
