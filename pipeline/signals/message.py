"""Build the signal message from a verdict: names, rounding, and what had no data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET, UnsetType

from pipeline.messages import (
    COMPONENTS,
    LEVELS,
    Metrics,
    Scores,
    Signal,
    SignalContext,
    SignalMeta,
    rounded,
    seconds,
)
from pipeline.signals.score import shares

if TYPE_CHECKING:
    from pipeline.features.measurements import Measurement
    from pipeline.signals.joins import Joined
    from pipeline.signals.score import Verdict


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
    symbol, level, unusual = measured.symbol, verdict.level, verdict.unusual
    contributions: Scores | UnsetType = UNSET
    if unusual is None:
        no_data = _without_data(joined)
    else:
        no_data = [name for name, found in zip(COMPONENTS, unusual, strict=True) if found is None]
        parts = shares(verdict.probability, verdict.scores, joined.weights)
        contributions = Scores(*[rounded(part, 4) for part in parts])
    return Signal(  # as all its parts by position, in the order of their fields: by name it takes far longer
        symbol,
        seconds(clock),
        LEVELS[level],
        level,
        rounded(verdict.probability, 4),
        Scores(*[rounded(score, 3) for score in verdict.scores]),
        _metrics(measured, joined, no_data),
        _context(measured, joined),
        SignalMeta(
            0.0,
            profile,
            joined.weights_version,
            rounded(verdict.raw, 4),
            verdict.reason,
            seconds(measured.event_time),
            contributions,
        ),
        f"{symbol}-{clock // 1000}-{sequence}",
        sequence,
    )


def _metrics(measured: Measurement, joined: Joined, no_data: list[str]) -> Metrics:
    return Metrics(
        rounded(measured.velocity, 2),
        rounded(measured.acceleration, 2),
        rounded(measured.volume_usd, 2),
        rounded(joined.oi_change or 0.0, 4),
        rounded(joined.funding_rate or 0.0, 6),
        rounded(measured.jerk, 2),
        no_data,
    )


def _without_data(joined: Joined) -> list[str]:
    """Name the components that had nothing to go by; no liquidations are data: they measure as zero."""
    missing = []
    if joined.oi_change is None:
        missing.append("oi_change")
    if joined.funding_rate is None:
        missing.append("funding")
    if joined.context is None:
        missing.append("volatility")
    return missing


def _context(measured: Measurement, joined: Joined) -> SignalContext:
    context, feeds = joined.context, joined.feeds
    leader, correlation = measured.leader, rounded(measured.correlation, 3)
    if context is None:
        return SignalContext(
            None, None, 1.0, leader, correlation, None, 1.0, 1.0, joined.context_time, True, False, feeds
        )
    return SignalContext(
        context.volatility_regime,
        context.btc_price,
        context.vol_risk_multiplier,
        leader,
        correlation,
        context.market_regime,
        context.cascade_sensitivity,
        context.velocity_threshold_multiplier,
        context.timestamp,
        False,
        context.warming,
        feeds,
    )
