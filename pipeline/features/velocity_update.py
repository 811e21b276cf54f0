"""What others are told of a symbol's liquidations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.messages import VelocityUpdate

if TYPE_CHECKING:
    from pipeline.features.velocity import Measurement
    from pipeline.features.velocity_state import Market, VelocityState


def create_update(state: VelocityState, market: Market, found: Measurement) -> VelocityUpdate:
    """Return what is published of a measurement, rounded; its time and its number are yet to be set."""
    windows, clock, context = state.windows, found.clock, market.context
    count_30s, count_60s = windows.half_minute.count(clock), windows.minute.count(clock)
    count_300s, long_cents, short_cents = windows.longest.totals(clock)
    return VelocityUpdate(
        symbol=found.symbol,
        timestamp=0.0,
        event_count_10s=windows.base.count(clock),
        event_count_30s=count_30s,
        event_count_60s=count_60s,
        event_count_300s=count_300s,
        velocity_10s=round(found.velocity, 2),
        velocity_30s=round(count_30s / 30, 2),
        velocity_60s=round(count_60s / 60, 2),
        velocity_300s=round(count_300s / 300, 2),
        acceleration=_rounded(found.acceleration, 2),
        jerk=_rounded(found.jerk, 2),
        volume_usd=round(found.volume_usd, 2),
        total_value_usd=(long_cents + short_cents) / 100,
        long_value_usd=long_cents / 100,
        short_value_usd=short_cents / 100,
        btc_price=None if context is None else context.btc_price,
        volatility_factor=None if context is None else context.vol_risk_multiplier,
        exchange_correlation=_rounded(found.correlation, 3),
        leading_exchange=found.leader,
        late_events=state.late,
        duplicates=state.duplicates.repeats,
        sequence=0,
    )


def _rounded(value: float, digits: int) -> float:
    return round(value, digits) + 0.0  # makes -0.0 a plain 0.0
