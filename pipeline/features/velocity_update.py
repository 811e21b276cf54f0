"""What others are told of a symbol's liquidations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.messages import VelocityUpdate, rounded

if TYPE_CHECKING:
    from pipeline.features.measurements import Measurement
    from pipeline.features.velocity_state import Market, VelocityState


def create_update(state: VelocityState, market: Market, found: Measurement) -> VelocityUpdate:
    """Return what is published of a measurement, rounded; its time and its number are yet to be set."""
    windows, clock, context = state.windows, found.clock, market.context
    count_10s = windows.base.count(clock)
    count_30s, count_60s = windows.half_minute.count(clock), windows.minute.count(clock)
    count_300s, long_cents, short_cents = windows.longest.totals(clock)
    return VelocityUpdate(  # by position, in the order of its fields: by name it takes seven times as long
        found.symbol,
        0.0,
        count_10s,
        count_30s,
        count_60s,
        count_300s,
        rounded(found.velocity, 2),
        rounded(count_30s / 30, 2),
        rounded(count_60s / 60, 2),
        rounded(count_300s / 300, 2),
        rounded(found.acceleration, 2),
        rounded(found.jerk, 2),
        rounded(found.volume_usd, 2),
        (long_cents + short_cents) / 100,
        long_cents / 100,
        short_cents / 100,
        None if context is None else context.btc_price,
        None if context is None else context.vol_risk_multiplier,
        rounded(found.correlation, 3),
        found.leader,
        state.late,
        state.duplicates.repeats,
        0,
    )
