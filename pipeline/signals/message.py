"""Build the signal message from a verdict: names, rounding, and what had no data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.messages import LEVELS, Metrics, Scores, Signal, SignalContext, SignalMeta, seconds

if TYPE_CHECKING:
    from pipeline.features.velocity import Measurement
    from pipeline.signals.joins import Joined
    from pipeline.signals.score import Verdict


def rounded(value: float, digits: int) -> float:
    """Return a value rounded for the wire, without a negative zero."""
    return round(value, digits) + 0.0


def build_signal(  # noqa: PLR0913
    measured: Measurement, joined: Joined, verdict: Verdict, *, clock: int, sequence: int, profile: str
) -> Signal:
    """Return the message of a verdict.

    Parameters
    ----------
    measured, joined, verdict
        What was measured, what surrounds it, and what was made of both.
    clock
        The symbol's clock in microseconds: the message's timestamp.
    sequence
        How many signals the symbol has sent, this one included.
    profile
        The name of the profile whose constants were used.

    """
    return Signal(
        symbol=measured.symbol,
        timestamp=seconds(clock),
        signal=LEVELS[verdict.level],
        signal_level=verdict.level,
        probability=rounded(verdict.probability, 4),
        scores=Scores(*[rounded(score, 3) for score in verdict.scores]),
        metrics=_metrics(measured, joined),
        context=_context(measured, joined),
        meta=SignalMeta(
            processing_time_ms=0.0,
            profile=profile,
            weights_version=joined.weights_version,
            raw_score=rounded(verdict.raw, 4),
            level_reason=verdict.reason,
            event_timestamp=seconds(measured.event_time),
        ),
        id=f"{measured.symbol}-{clock // 1000}-{sequence}",
        sequence=sequence,
    )


def _metrics(measured: Measurement, joined: Joined) -> Metrics:
    return Metrics(
        velocity=rounded(measured.velocity, 2),
        acceleration=rounded(measured.acceleration, 2),
        volume_usd=rounded(measured.volume_usd, 2),
        oi_change_1m=rounded(joined.oi_change or 0.0, 4),
        funding_rate=rounded(joined.funding_rate or 0.0, 6),
        jerk=rounded(measured.jerk, 2),
        no_data=_without_data(joined),
    )


def _without_data(joined: Joined) -> list[str]:
    """Name the components that had nothing to go by; no liquidations are data: they measure as zero."""
    found = {
        "oi_change": joined.oi_change,
        "funding": joined.funding_rate,
        "volatility": joined.context,
    }
    return [name for name, value in found.items() if value is None]


def _context(measured: Measurement, joined: Joined) -> SignalContext:
    context = joined.context
    correlation = rounded(measured.correlation, 3)
    if context is None:
        return SignalContext(
            volatility_regime=None,
            btc_price=None,
            vol_risk_multiplier=1.0,
            leading_exchange=measured.leader,
            exchange_correlation=correlation,
            market_regime=None,
            cascade_sensitivity=1.0,
            velocity_threshold_multiplier=1.0,
            timestamp=joined.context_time,
            stale=True,
            warming=False,
        )
    return SignalContext(
        volatility_regime=context.volatility_regime,
        btc_price=context.btc_price,
        vol_risk_multiplier=context.vol_risk_multiplier,
        leading_exchange=measured.leader,
        exchange_correlation=correlation,
        market_regime=context.market_regime,
        cascade_sensitivity=context.cascade_sensitivity,
        velocity_threshold_multiplier=context.velocity_threshold_multiplier,
        timestamp=context.timestamp,
        stale=False,
        warming=context.warming,
    )
