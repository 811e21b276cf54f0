"""Signals in words, against sentences written by hand."""

import pytest
from scoring_cases import START, WEIGHTS, context, joined, measurement

from pipeline.signals.explanation import contributions, explain, level_thresholds, relief
from pipeline.signals.message import build_signal
from pipeline.signals.profile import SEED
from pipeline.signals.score import judge
from pipeline.signals.weights import name_weights

QUIET = " without a liquidation for a minute the probability is at most 0.30"
NAMED = name_weights(WEIGHTS)


def signal(context_=None, **measured):
    found = measurement(**measured)
    around = joined() if context_ is None else joined(context=context_, context_time=context_.timestamp)
    verdict = judge(found, around, SEED.score)
    return build_signal(found, around, verdict, clock=START, sequence=1, profile="seed")


def test_a_level_by_probability_names_the_parts_of_the_score_and_its_factors():
    found = signal(
        context(regime="HIGH", risk=3.0, sensitivity=0.7),
        velocity=20.0, acceleration=4.0, volume_usd=5e6, correlation=0.8,
    )  # fmt: skip
    assert explain(found, NAMED, SEED.score) == (
        "ALERT by probability 0.55: velocity 0.10, volatility 0.06, acceleration 0.04, volume 0.02"
        " x 1.20 venues move together x 3.00 risk at HIGH volatility x 0.70 HIGH market"
    )


def test_a_level_by_floor_says_what_the_probability_alone_would_be():
    found = signal(context(risk=1.0, sensitivity=0.9), velocity=52.0, acceleration=21.0)
    assert explain(found, NAMED, SEED.score) == (
        "CRITICAL by floor: 52.0 liquidations/s rising by 21/s²; the probability of 0.63 alone would be"
        " ALERT: velocity 0.25, acceleration 0.20, volatility 0.02 x 1.50 fast and accelerating"
        " x 0.90 NORMAL market"
    )


def test_below_critical_a_floor_asks_for_no_acceleration():
    assert explain(signal(context(risk=1.0), velocity=21.0), NAMED, SEED.score).startswith(
        "ALERT by floor: 21.0 liquidations/s; the probability of 0.12 alone would be NONE: "
    )


def test_without_a_context_the_market_is_said_to_be_unknown():
    assert explain(signal(), NAMED, SEED.score) == (
        "NONE by probability 0.00: nothing scores, the market's state is unknown"
    )


@pytest.mark.parametrize(
    ("measured", "said"),
    [
        ({}, ""),
        (
            {"velocity": 11.0},
            "below WATCH when the probability is at or below 0.30, and velocity at or below 10.0/s;" + QUIET,
        ),
        (
            {"velocity": 60.0, "acceleration": 25.0},
            "below CRITICAL when the probability is at or below 0.70, and velocity at or below 50.0/s or"
            " acceleration at or below 20/s²;" + QUIET,
        ),
    ],
)
def test_relief_says_what_brings_a_level_down(measured, said):
    assert relief(signal(context(risk=1.0), **measured), SEED.score) == said


def test_thresholds_follow_the_regimes_multiplier():
    found = signal(context(multiplier=0.5))
    assert level_thresholds(found, SEED.score) == [
        (0.3, 5.0, None), (0.5, 10.0, None), (0.7, 25.0, 20.0), (0.9, 50.0, 40.0),
    ]  # fmt: skip
    assert level_thresholds(None, SEED.score)[0] == (0.3, 10.0, None)


def test_contributions_sum_to_the_probability():
    found = signal(context(risk=1.0), velocity=20.0, acceleration=4.0)
    parts = contributions(found, NAMED)
    assert sum(parts.values()) == pytest.approx(found.probability, abs=1e-5)
    # 0.25 x 0.4, 0.20 x 0.2 and 0.10 x 0.2, of 0.16 in all
    assert parts["velocity"] == pytest.approx(found.probability * 0.10 / 0.16, abs=1e-6)
    assert set(contributions(signal(), NAMED).values()) == {0.0}
