import msgspec
import pytest
from scoring_cases import WEIGHTS, context, joined, measurement

from pipeline.features.habits import Unusual
from pipeline.messages import COMPONENTS
from pipeline.signals.profile import SEED
from pipeline.signals.score import (
    ScoreConstants,
    component_scores,
    judge,
    judge_unusual,
    probability_of,
    raw_score,
    weighted_sum,
)

SCORE = SEED.score
#: The example message of the system this replaces: metrics, and the scores and context it shows for them.
EXAMPLE = measurement(velocity=41.25, acceleration=13.08, volume_usd=36_050_000.0, correlation=0.847)
EXAMPLE_JOINED = joined(oi_change=0.0216, funding_rate=0.000189, context=context(regime="HIGH", risk=2.83))
EXAMPLE_SCORES = (0.825, 0.654, 0.721, 0.432, 0.189, 0.567)


def scores_of(around=None, **changes):
    return dict(
        zip(COMPONENTS, component_scores(measurement(**changes), around or joined(), SCORE), strict=True)
    )


def raw_of(scores, correlation=0.0, market=None):
    return raw_score(scores, WEIGHTS, correlation, market, SCORE)


@pytest.mark.parametrize(
    ("changes", "component", "score"),
    [
        ({"velocity": 25.0}, "velocity", 0.5),
        ({"velocity": 50.0}, "velocity", 1.0),
        ({"velocity": 500.0}, "velocity", 1.0),
        ({"acceleration": 5.0}, "acceleration", 0.25),
        ({"acceleration": 20.0}, "acceleration", 1.0),
        ({"acceleration": 90.0}, "acceleration", 1.0),
        ({"volume_usd": 10e6}, "volume", 0.2),
        ({"volume_usd": 80e6}, "volume", 1.0),
    ],
)
def test_what_is_measured_scores_as_a_fraction_of_its_full_value(changes, component, score):
    expected = {**dict.fromkeys(COMPONENTS, 0.0), component: score}
    assert scores_of(**changes) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("around", "component", "score"),
    [
        ({"oi_change": 0.01}, "oi_change", 0.2),
        ({"oi_change": -0.01}, "oi_change", 0.2),
        ({"oi_change": -0.3}, "oi_change", 1.0),
        ({"funding_rate": 0.0004}, "funding", 0.4),
        ({"funding_rate": -0.0004}, "funding", 0.4),
        ({"funding_rate": 0.01}, "funding", 1.0),
        ({"context": context(risk=1.0)}, "volatility", 0.2),
        ({"context": context(risk=2.5)}, "volatility", 0.5),
        ({"context": context(risk=9.0)}, "volatility", 1.0),
    ],
)
def test_what_is_joined_scores_as_a_fraction_of_its_full_value(around, component, score):
    expected = {**dict.fromkeys(COMPONENTS, 0.0), component: score}
    assert scores_of(joined(**around)) == pytest.approx(expected)


def test_falling_velocity_scores_no_acceleration():
    # The system this replaces took the absolute value, so that a cascade's end looked like its beginning.
    assert scores_of(velocity=40.0, acceleration=-30.0)["acceleration"] == 0.0


def test_the_volatility_score_follows_the_markets_risk():
    # It never changed in the system this replaces.
    risks = [1.0, 1.2, 1.5, 2.0, 3.0, 5.0]
    scores = [scores_of(joined(context=context(risk=risk)))["volatility"] for risk in risks]
    assert scores == pytest.approx([0.2, 0.24, 0.3, 0.4, 0.6, 1.0])


def test_weights_sum_the_scores():
    assert weighted_sum((1.0,) * 6, WEIGHTS) == pytest.approx(1.0)
    parts = [weighted_sum(tuple(float(i == j) for j in range(6)), WEIGHTS) for i in range(6)]
    assert parts == [0.25, 0.2, 0.2, 0.15, 0.1, 0.1]


@pytest.mark.parametrize(
    ("velocity", "acceleration", "boost"),
    [(0.71, 0.81, 1.5), (0.7, 0.81, 1.0), (0.71, 0.8, 1.0), (1.0, 1.0, 1.5)],
)
def test_a_fast_and_accelerating_market_is_boosted(velocity, acceleration, boost):
    scores = (velocity, acceleration, 0.0, 0.0, 0.0, 0.0)
    assert raw_of(scores) == pytest.approx((0.25 * velocity + 0.2 * acceleration) * boost)


@pytest.mark.parametrize(("correlation", "boost"), [(0.7, 1.0), (0.701, 1.2), (1.0, 1.2), (-1.0, 1.0)])
def test_correlated_venues_boost_the_score(correlation, boost):
    # The boost could never happen in the system this replaces.
    assert raw_of((1.0,) + (0.0,) * 5, correlation) == pytest.approx(0.25 * boost)


def test_the_regime_reaches_the_score():
    # The system this replaces detected a regime, and left it out of the score.
    half = (0.5,) * 6
    assert raw_of(half) == pytest.approx(0.5)
    assert raw_of(half, market=context(risk=2.0)) == pytest.approx(1.0)
    assert raw_of(half, market=context(sensitivity=1.5)) == pytest.approx(0.5 * 1.5 * 1.5)
    assert raw_of(half, market=context(risk=3.0, sensitivity=0.7)) == pytest.approx(0.5 * 3.0 * 0.7)
    verdicts = [
        judge(measurement(velocity=12.0), joined(context=context(multiplier=multiplier)), SCORE)
        for multiplier in (0.5, 1.0, 1.3)
    ]
    assert [(verdict.level, verdict.reason) for verdict in verdicts] == [
        (2, "floor"),
        (1, "floor"),
        (0, "probability"),
    ]


def test_the_example_message_has_the_scores_of_its_metrics():
    scores = component_scores(EXAMPLE, EXAMPLE_JOINED, SCORE)
    # Its risk multiplier was rounded for the message: 2.83 / 5 = 0.566.
    assert scores == pytest.approx(EXAMPLE_SCORES, abs=1.001e-3)
    assert scores[:5] == pytest.approx(EXAMPLE_SCORES[:5])


def test_the_example_message_sums_to_the_formula_not_to_its_probability():
    assert weighted_sum(EXAMPLE_SCORES, WEIGHTS) == pytest.approx(0.62165)
    assert raw_of(EXAMPLE_SCORES, 0.847) == pytest.approx(0.746, abs=1e-3)
    assert raw_of(EXAMPLE_SCORES, 0.847, context(risk=2.83)) == pytest.approx(2.11, abs=5e-3)


def test_probabilities_end_at_one():
    # Probabilities of up to 4.9 were published by the system this replaces.
    most = raw_of((1.0,) * 6, 1.0, context(risk=10.0, sensitivity=1.5))
    assert most == pytest.approx(27.0)
    assert probability_of(most, SCORE, recent=True) == 1.0
    assert probability_of(4.9, SCORE, recent=True) == 1.0
    assert probability_of(0.42, SCORE, recent=True) == 0.42
    assert probability_of(-0.1, SCORE, recent=True) == 0.0


def test_without_recent_liquidations_funding_and_volatility_make_no_cascade():
    around = joined(oi_change=0.1, funding_rate=0.01, context=context(risk=10.0))
    quiet = judge(measurement(recent=False), around, SCORE)
    assert quiet.raw > 0.9
    assert (quiet.probability, quiet.level) == (0.3, 0)
    assert judge(measurement(recent=True), around, SCORE).level == 4
    assert probability_of(0.2, SCORE, recent=False) == 0.2


def test_a_calm_dormant_market_scores_a_twentieth():
    calm = joined(
        oi_change=0.0005,
        funding_rate=0.0001,
        context=context(regime="DORMANT", risk=1.0, sensitivity=1.5, multiplier=0.5),
    )
    verdict = judge(measurement(velocity=0.2, volume_usd=2_000.0), calm, SCORE)
    assert verdict.probability == pytest.approx(0.05, abs=0.005)
    assert verdict.level == 0


@pytest.mark.parametrize(("oi_change", "probability"), [(0.015, 0.23), (0.02, 0.26)])
def test_eight_a_second_in_a_normal_market_is_no_signal(oi_change, probability):
    around = joined(oi_change=oi_change, funding_rate=0.0003, context=context(risk=1.5))
    measured = measurement(velocity=8.0, acceleration=1.0, volume_usd=400_000.0, correlation=0.3)
    verdict = judge(measured, around, SCORE)
    assert verdict.probability == pytest.approx(probability, abs=0.006)
    assert verdict.level == 0


def test_fifteen_a_second_in_an_elevated_and_correlated_market_is_an_alert():
    around = joined(
        oi_change=-0.03,
        funding_rate=0.0007,
        context=context(regime="ELEVATED", risk=2.0, sensitivity=0.9, multiplier=1.3),
    )
    measured = measurement(velocity=15.0, acceleration=2.0, volume_usd=1_500_000.0, correlation=0.85)
    verdict = judge(measured, around, SCORE)
    # (.075 + .02 + .006 + .09 + .07 + .04) x 1.2 x 2 x 0.9
    assert verdict.probability == pytest.approx(0.65, abs=0.001)
    assert (verdict.level, verdict.reason) == (2, "probability")


def test_a_record_cascade_has_a_raw_score_above_seven_and_a_certain_probability():
    around = joined(
        oi_change=-0.08,
        funding_rate=-0.0004,
        context=context(regime="EXTREME", risk=10.0, sensitivity=0.5, multiplier=2.5),
    )
    measured = measurement(velocity=300.0, acceleration=50.0, volume_usd=40e6, correlation=0.9)
    verdict = judge(measured, around, SCORE)
    assert verdict.raw > 7
    assert (verdict.probability, verdict.level, verdict.reason) == (1.0, 4, "probability")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"full_velocity": 0}, r"> 0.0 - at `\$.full_velocity`"),
        ({"extreme_boost": 0.9}, r">= 1.0 - at `\$.extreme_boost`"),
        ({"quiet_probability": 1.1}, r"<= 1.0 - at `\$.quiet_probability`"),
        ({"levels": {"watch": 0.25}}, r"quiet_probability: expected at most levels.watch \(0.25\)"),
        ({"emit_interval_s": -1}, r">= 0.0 - at `\$.emit_interval_s`"),
        ({"weights": {"velocity": 1.0}}, "weights.acceleration: missing"),
        ({"boost": 2}, "unknown field `boost`"),
    ],
)
def test_impossible_constants_are_refused_by_name(change, reason):
    with pytest.raises(msgspec.ValidationError, match=reason):
        msgspec.convert(change, ScoreConstants)


@pytest.mark.parametrize(
    ("unusual", "raw"),
    [
        ((0.4, 0.4, 0.4, 0.4, 0.4, 0.4), 0.4),
        ((0.5, 0.0, 0.0, 0.0, 0.0, 0.0), 0.5 * 0.25),
        ((None, None, None, 0.2, 0.2, 0.2), 0.2),
        ((None, None, None, None, None, 0.7), 0.7),
        ((0.0, None, 0.0, None, 0.0, 0.7), 0.7 * 0.10 / 0.65),
        ((None, None, None, None, None, 0.0), 0.0),
    ],
)
def test_what_is_not_known_of_a_symbol_has_no_say(unusual, raw):
    found = judge_unusual(Unusual(*unusual), joined(), SCORE)
    assert found.raw == pytest.approx(raw)
    assert found.scores == tuple(each or 0.0 for each in unusual)


def test_nothing_is_made_of_what_is_known_where_it_weighs_nothing():
    alone = joined(weights=(1.0, 0.0, 0.0, 0.0, 0.0, 0.0))
    assert judge_unusual(Unusual(None, 0.5, 0.5, 0.5, 0.5, 0.5), alone, SCORE).raw == 0.0
