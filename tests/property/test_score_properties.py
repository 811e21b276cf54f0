import math

from hypothesis import given
from hypothesis import strategies as st
from scoring_cases import WEIGHTS, context, joined, measurement

from pipeline.messages import COMPONENTS
from pipeline.signals.levels import level_of_probability
from pipeline.signals.profile import SEED
from pipeline.signals.score import component_scores, judge, raw_score, weighted_sum
from pipeline.signals.weights import name_weights, read_weights

SCORE = SEED.score
unit = st.floats(0, 1)
fraction = st.floats(-1, 1)
six_scores = st.tuples(*[unit] * 6)
contexts = st.none() | st.builds(
    context,
    risk=st.floats(1, 10),
    sensitivity=st.floats(0.5, 1.5),
    multiplier=st.floats(0.5, 2.5),
)
measurements = st.builds(
    measurement,
    velocity=st.floats(0, 1e4),
    acceleration=st.floats(-1e4, 1e4),
    volume_usd=st.floats(0, 1e12),
    correlation=fraction,
    recent=st.booleans(),
)
surroundings = st.builds(
    joined,
    oi_change=st.none() | st.floats(-1e6, 1e6),
    funding_rate=st.none() | fraction,
    context=contexts,
)
weight_sets = st.fixed_dictionaries(dict.fromkeys(COMPONENTS, st.floats(0, 1e6))).filter(
    lambda weights: any(weights.values())
)


@given(measurements, surroundings)
def test_scores_and_probability_stay_within_their_bounds(measured, around):
    verdict = judge(measured, around, SCORE)
    assert all(0 <= score <= 1 for score in verdict.scores)
    assert math.isfinite(verdict.raw)
    assert 0 <= verdict.probability <= (1.0 if measured.recent else 0.3)
    assert 0 <= verdict.level <= 4
    assert verdict.level >= level_of_probability(verdict.probability, SCORE.levels)


@given(six_scores, st.integers(0, 5), unit, unit, contexts)
def test_a_higher_component_never_lowers_the_score(scores, place, higher, correlation, market):
    raised = list(scores)
    raised[place] = max(scores[place], higher)
    before = raw_score(scores, WEIGHTS, correlation, market, SCORE)
    assert raw_score(tuple(raised), WEIGHTS, correlation, market, SCORE) >= before


@given(
    measurements, surroundings, st.sampled_from(["velocity", "acceleration", "volume_usd"]), st.floats(0, 1e4)
)
def test_more_of_what_is_measured_never_lowers_level_or_probability(measured, around, name, more):
    before = judge(measured, around, SCORE)
    setattr(measured, name, getattr(measured, name) + more)
    after = judge(measured, around, SCORE)
    assert after.probability >= before.probability
    assert after.level >= before.level


@given(measurements, surroundings, fraction, st.sampled_from(["oi_change", "funding_rate"]))
def test_data_never_score_less_than_none(measured, around, value, name):
    setattr(around, name, None)
    before = component_scores(measured, around, SCORE)
    setattr(around, name, value)
    after = component_scores(measured, around, SCORE)
    assert all(score >= less for score, less in zip(after, before, strict=True))


@given(unit, unit)
def test_a_higher_probability_never_lowers_the_level(one, other):
    lower, higher = sorted((one, other))
    assert level_of_probability(lower, SCORE.levels) <= level_of_probability(higher, SCORE.levels)


@given(measurements, surroundings)
def test_falling_velocity_is_judged_like_a_steady_one(measured, around):
    measured.acceleration = -abs(measured.acceleration)
    falling = judge(measured, around, SCORE)
    measured.acceleration = 0.0
    assert judge(measured, around, SCORE) == falling


@given(weight_sets)
def test_weights_that_are_read_sum_to_one(given_weights):
    weights = read_weights(given_weights)
    assert abs(sum(weights) - 1) <= 0.01 + 1e-9
    assert all(0 <= weight <= 1.01 for weight in weights)
    assert read_weights(name_weights(weights)) == weights


@given(six_scores, weight_sets)
def test_the_weighted_sum_lies_between_the_lowest_and_the_highest_score(scores, given_weights):
    weights = read_weights(given_weights)
    found = weighted_sum(scores, weights) / sum(weights)
    assert min(scores) - 1e-9 <= found <= max(scores) + 1e-9
