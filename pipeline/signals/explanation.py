"""A signal in words: why its level is what it is, and what would bring it down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline.messages import LEVELS
from pipeline.signals import levels
from pipeline.signals.score import shares

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.messages import Signal
    from pipeline.signals.score import ScoreConstants

_SAID: Final = 0.005
"""Parts of a score below this are not spoken of."""


def explain(signal: Signal, weights: Mapping[str, float], constants: ScoreConstants) -> str:
    """Return why a signal has its level.

    Parameters
    ----------
    signal
        The signal, with scores as they are sent: rounded to 3 decimals.
    weights
        The weights by component.
    constants
        Those that it was judged by.

    """
    sum_ = _sum_in_words(signal, weights)
    if constants.habits is not None:
        return f"{signal.signal} by probability {signal.probability:.2f}: unusual are {sum_}"
    sum_ += _factors_in_words(signal, constants)
    if signal.meta.level_reason == "probability":
        return f"{signal.signal} by probability {signal.probability:.2f}: {sum_}"
    metrics = signal.metrics
    alone = LEVELS[levels.level_of_probability(signal.probability, constants.levels)]
    rising = f" rising by {metrics.acceleration:.0f}/s²" if signal.signal_level >= levels.CRITICAL else ""
    return (
        f"{signal.signal} by floor: {metrics.velocity:.1f} liquidations/s{rising}; the probability of "
        f"{signal.probability:.2f} alone would be {alone}: {sum_}"
    )


def relief(signal: Signal, constants: ScoreConstants) -> str:
    """Return what would bring a signal's level down; nothing for NONE, below which there is no level."""
    level = signal.signal_level
    if level == levels.NONE:
        return ""
    asked = level_thresholds(signal, constants)[level - 1]
    if asked[1] is None:
        return f"below {signal.signal} when the probability is at or below {asked[0]:.2f}"
    velocity = f"velocity at or below {asked[1]:.1f}/s"
    if asked[2] is not None:
        velocity += f" or acceleration at or below {asked[2]:.0f}/s²"
    return (
        f"below {signal.signal} when the probability is at or below {asked[0]:.2f}, and {velocity}; without "
        f"a liquidation for a minute the probability is at most {constants.quiet_probability:.2f}"
    )


def level_thresholds(
    signal: Signal | None, score: ScoreConstants
) -> list[tuple[float, float | None, float | None]]:
    """Return what WATCH to EXTREME ask for around a signal, each to be exceeded.

    Either the probability, or the velocity (liquidations/s, with the regime's multiplier) and the
    acceleration (liquidations/s²) together; the probability alone where a symbol is compared with its past.
    """
    constants = score.levels
    if score.habits is not None:
        by_probability = (constants.watch, constants.alert, constants.critical, constants.extreme)
        return [(threshold, None, None) for threshold in by_probability]
    multiplier = 1.0 if signal is None else signal.context.velocity_threshold_multiplier
    return [
        (constants.watch, constants.watch_velocity * multiplier, None),
        (constants.alert, constants.alert_velocity * multiplier, None),
        (constants.critical, constants.critical_velocity * multiplier, constants.critical_acceleration),
        (constants.extreme, constants.extreme_velocity * multiplier, constants.extreme_acceleration),
    ]


def contributions(signal: Signal, weights: Mapping[str, float]) -> dict[str, float]:
    """Return what each component contributes to a signal's probability: their sum is the probability."""
    scores = [getattr(signal.scores, name) for name in weights]
    found = shares(signal.probability, scores, list(weights.values()))
    return {name: round(part, 6) for name, part in zip(weights, found, strict=True)}


def _sum_in_words(signal: Signal, weights: Mapping[str, float]) -> str:
    parts = [(weight * getattr(signal.scores, name), name) for name, weight in weights.items()]
    said = sorted((part for part in parts if part[0] >= _SAID), reverse=True)
    return ", ".join(f"{name.replace('_', ' ')} {part:.2f}" for part, name in said) or "nothing scores"


def _factors_in_words(signal: Signal, constants: ScoreConstants) -> str:
    scores, context = signal.scores, signal.context
    factors = []
    if (
        scores.acceleration > constants.extreme_acceleration_score
        and scores.velocity > constants.extreme_velocity_score
    ):
        factors.append((constants.extreme_boost, "fast and accelerating"))
    if context.exchange_correlation > constants.correlation:
        factors.append((constants.correlation_boost, "venues move together"))
    if context.stale:
        return _joined(factors) + ", the market's state is unknown"
    factors.append((context.vol_risk_multiplier, f"risk at {context.volatility_regime} volatility"))
    factors.append((context.cascade_sensitivity, f"{context.market_regime} market"))
    return _joined(factors)


def _joined(factors: list[tuple[float, str]]) -> str:
    return "".join(f" x {factor:.2f} {name}" for factor, name in factors if factor != 1.0)
