"""The cascade score: six components, weighted, boosted, and scaled by the market.

    raw = sum(weight x score) x boosts x risk multiplier x cascade sensitivity
    probability = raw clipped to 0..1, and at most 0.3 where nothing is being liquidated

It saturates: a score of how much a market looks like a cascade, not a frequency of cascades.
"""

# ruff: noqa: FURB136 - `min(1.0, x)` is a call, several times as slow as the expression, six times a record

from collections.abc import Sequence
from typing import Annotated, Final, TypeAlias

from msgspec import Meta, Struct, field

from pipeline.features.habits import HabitConstants, Unusual
from pipeline.features.measurements import Measurement
from pipeline.messages import Context, Positive
from pipeline.signals.calibration import CalibrationConstants, calibrated
from pipeline.signals.joins import Joined
from pipeline.signals.levels import (
    Fraction,
    LevelConstants,
    Reason,
    floor_level,
    level_and_reason,
    level_of_probability,
)
from pipeline.signals.weights import Weights, read_weights

Lifetime: TypeAlias = Annotated[float, Meta(gt=0, le=604_800)]
Boost: TypeAlias = Annotated[float, Meta(ge=1, le=100)]
ComponentScores: TypeAlias = tuple[float, float, float, float, float, float]
"""The six scores, each 0 to 1, in the order of `messages.COMPONENTS`."""
_NOTHING: Final = 1e-9
"""Weights that add up to no more than this are rounding."""


def _seed_weights() -> dict[str, float]:
    return {
        "velocity": 0.25,
        "acceleration": 0.20,
        "volume": 0.20,
        "oi_change": 0.15,
        "funding": 0.10,
        "volatility": 0.10,
    }


class ScoreConstants(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Numbers of the score, of what it is joined with, and of when a signal is sent.

    Attributes
    ----------
    full_velocity, full_acceleration, full_volume_usd, full_oi_change, full_funding_rate, full_risk
        Where each component's score reaches 1: liquidations/s, liquidations/s^2, USD/s, a fraction in one
        minute, a fraction per 8 hours, and the risk multiplier.
    extreme_boost, extreme_acceleration_score, extreme_velocity_score
        The boost while both scores exceed these.
    correlation_boost, correlation
        The boost while the venues' correlation exceeds this.
    quiet_probability
        The most that the probability can be without a liquidation in the last minute: no more than
        `levels.watch`, so that a quiet symbol is NONE.
    weights, levels
        Weights by component, and the levels' thresholds.
    habits
        With it the components measure how unusual the moment is for its symbol: no norms, boosts, market
        multipliers, floors, nor a most for quiet symbols apply.
    calibration
        What a raw score means as a probability; without it the score itself.
    context_lifetime_s, open_interest_lifetime_s, funding_lifetime_s
        How old each may be and still count.
    memory_s
        How long old contexts, readings and weights are kept for symbols whose clock is behind: no less than
        the longest grace.
    emit_interval_s, none_interval_s
        Event time between signals that bring no rise, and between unchanged NONEs: a quiet symbol is ticked
        for longer than the one, and after 60 s without a signal its level counts as unknown.

    """

    full_velocity: Positive = 50.0
    full_acceleration: Positive = 20.0
    full_volume_usd: Positive = 50e6
    full_oi_change: Positive = 0.05
    full_funding_rate: Positive = 0.001
    full_risk: Positive = 5.0
    extreme_boost: Boost = 1.5
    extreme_acceleration_score: Fraction = 0.8
    extreme_velocity_score: Fraction = 0.7
    correlation_boost: Boost = 1.2
    correlation: Fraction = 0.7
    quiet_probability: Fraction = 0.3
    weights: dict[str, float] = field(default_factory=_seed_weights)
    levels: LevelConstants = LevelConstants()
    habits: HabitConstants | None = None
    calibration: CalibrationConstants = CalibrationConstants()
    context_lifetime_s: Lifetime = 60.0
    open_interest_lifetime_s: Lifetime = 360.0
    funding_lifetime_s: Lifetime = 32_400.0
    memory_s: Annotated[float, Meta(ge=60, le=3_600)] = 900.0
    emit_interval_s: Annotated[float, Meta(ge=0, le=10)] = 0.1
    none_interval_s: Annotated[float, Meta(ge=0, le=60)] = 10.0

    def __post_init__(self) -> None:
        read_weights(self.weights)
        if self.habits is None and self.quiet_probability > self.levels.watch:
            raise ValueError(f"quiet_probability: expected at most levels.watch ({self.levels.watch:g})")


class Verdict(Struct, gc=False):
    """What was made of a measurement: scores, raw score, probability, level (0 to 4) and its reason.

    `unusual` is, with a profile of habits, what the scores are made of; then they alone make the probability,
    so that each has its share of it.
    """

    scores: ComponentScores
    raw: float
    probability: float
    level: int
    reason: Reason
    unusual: Unusual | None = None


def component_scores(measured: Measurement, joined: Joined, constants: ScoreConstants) -> ComponentScores:
    """Return each component as a fraction of what counts as full, clipped to 0..1.

    A component without data scores 0. Only a rising velocity accelerates: a fall scores 0.
    """
    velocity = measured.velocity / constants.full_velocity
    acceleration = measured.acceleration / constants.full_acceleration
    volume = measured.volume_usd / constants.full_volume_usd
    oi_change = abs(joined.oi_change or 0.0) / constants.full_oi_change
    funding = abs(joined.funding_rate or 0.0) / constants.full_funding_rate
    context = joined.context
    risk = 0.0 if context is None else context.vol_risk_multiplier / constants.full_risk
    return (
        velocity if velocity < 1.0 else 1.0,
        0.0 if acceleration < 0.0 else acceleration if acceleration < 1.0 else 1.0,
        volume if volume < 1.0 else 1.0,
        oi_change if oi_change < 1.0 else 1.0,
        funding if funding < 1.0 else 1.0,
        risk if risk < 1.0 else 1.0,
    )


def weighted_sum(scores: ComponentScores, weights: Weights) -> float:
    """Return the sum of weight x score: 0 to 1, as the weights sum to 1."""
    velocity, acceleration, volume, oi_change, funding, volatility = scores
    w_velocity, w_acceleration, w_volume, w_oi_change, w_funding, w_volatility = weights
    return (
        w_velocity * velocity
        + w_acceleration * acceleration
        + w_volume * volume
        + w_oi_change * oi_change
        + w_funding * funding
        + w_volatility * volatility
    )


def raw_score(
    scores: ComponentScores,
    weights: Weights,
    correlation: float,
    context: Context | None,
    constants: ScoreConstants,
) -> float:
    """Return the weighted sum with its boosts, times the market's risk and sensitivity; not clipped."""
    raw = weighted_sum(scores, weights)
    if scores[1] > constants.extreme_acceleration_score and scores[0] > constants.extreme_velocity_score:
        raw *= constants.extreme_boost
    if correlation > constants.correlation:
        raw *= constants.correlation_boost
    if context is not None:
        raw *= context.vol_risk_multiplier * context.cascade_sensitivity
    return raw


def probability_of(raw: float, constants: ScoreConstants, *, recent: bool) -> float:
    """Return a raw score clipped to 0..1, and to `quiet_probability` unless there are recent liquidations.

    Funding and volatility alone make no cascade.
    """
    if constants.calibration.raw:
        raw = calibrated(raw, constants.calibration)
    most = 1.0 if recent else constants.quiet_probability
    return 0.0 if raw < 0.0 else raw if raw < most else most


def judge(measured: Measurement, joined: Joined, constants: ScoreConstants) -> Verdict:
    """Return scores, probability and level of a measurement in its surroundings."""
    context = joined.context
    scores = component_scores(measured, joined, constants)
    raw = raw_score(scores, joined.weights, measured.correlation, context, constants)
    probability = probability_of(raw, constants, recent=measured.recent)
    multiplier = 1.0 if context is None else context.velocity_threshold_multiplier
    level, reason = level_and_reason(
        level_of_probability(probability, constants.levels),
        floor_level(measured.velocity, measured.acceleration, multiplier, constants.levels),
    )
    return Verdict(scores, raw, probability, level, reason)


def judge_unusual(unusual: Unusual, joined: Joined, constants: ScoreConstants) -> Verdict:
    """Return probability and level of how unusual a moment is for its symbol."""
    scores, raw = _weigh_known(unusual, joined.weights)
    probability = probability_of(raw, constants, recent=True)
    level = level_of_probability(probability, constants.levels)
    return Verdict(scores, raw, probability, level, "probability", unusual)


def _weigh_known(unusual: Unusual, weights: Weights) -> tuple[ComponentScores, float]:
    """Return scores, and their weighted mean: what is not known scores 0 and has no say.

    Taken for usual, it would hide the others: a feed that is not there is no calm one. Prices have a say from
    the beginning: when all is new, little is unusual.
    """
    velocity, acceleration, volume, oi_change, funding, volatility = unusual
    w_velocity, w_acceleration, w_volume, w_oi_change, w_funding, _ = weights
    known = 1.0 - (
        (w_velocity if velocity is None else 0.0)
        + (w_acceleration if acceleration is None else 0.0)
        + (w_volume if volume is None else 0.0)
        + (w_oi_change if oi_change is None else 0.0)
        + (w_funding if funding is None else 0.0)
    )
    scores = (
        velocity or 0.0,
        acceleration or 0.0,
        volume or 0.0,
        oi_change or 0.0,
        funding or 0.0,
        volatility or 0.0,
    )
    return scores, weighted_sum(scores, weights) / known if known > _NOTHING else 0.0


def shares(probability: float, scores: Sequence[float], weights: Sequence[float]) -> list[float]:
    """Return what each component contributes to a probability, by weight x score: their sum is it."""
    parts = [weight * score for weight, score in zip(weights, scores, strict=True)]
    whole = sum(parts)
    return [probability * part / whole if whole else 0.0 for part in parts]
