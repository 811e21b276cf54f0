"""Records of the output topics as the pipeline writes them, for tests of those who read them."""

from __future__ import annotations

from pipeline import codec, contract
from pipeline.messages import (
    LEVELS,
    Adjustments,
    Level,
    Metrics,
    Outgoing,
    PositioningUpdate,
    RegimeContext,
    RegimeUpdate,
    Scores,
    Signal,
    SignalContext,
    SignalMeta,
    Thresholds,
    VelocityUpdate,
    VolatilityUpdate,
)

T0 = 1_760_000_000.0
"""Unix seconds: the time of the tests' market."""

SCORES = Scores(
    velocity=0.825, acceleration=0.654, volume=0.721, oi_change=0.432, funding=0.189, volatility=0.6
)
METRICS = Metrics(
    velocity=41.25,
    acceleration=13.08,
    volume_usd=36_050_000.0,
    oi_change_1m=0.0216,
    funding_rate=0.000189,
    jerk=1.5,
    no_data=[],
)
CONTEXT = SignalContext(
    volatility_regime="HIGH",
    btc_price=43_521.5,
    vol_risk_multiplier=2.83,
    leading_exchange="binance",
    exchange_correlation=0.847,
    market_regime="HIGH",
    cascade_sensitivity=0.7,
    velocity_threshold_multiplier=1.8,
    timestamp=T0,
    stale=False,
    warming=False,
)


def signal(  # noqa: PLR0913 - a builder of test messages
    sequence: int = 1,
    *,
    timestamp: float = T0,
    level: Level = "CRITICAL",
    symbol: str = "BTCUSDT",
    probability: float = 0.7521,
    processing_time_ms: float = 4.23,
) -> Signal:
    meta = SignalMeta(
        processing_time_ms=processing_time_ms,
        profile="seed",
        weights_version=0,
        raw_score=probability,
        level_reason="probability",
        event_timestamp=timestamp,
    )
    return Signal(
        symbol=symbol,
        timestamp=timestamp,
        signal=level,
        signal_level=LEVELS.index(level),
        probability=probability,
        scores=SCORES,
        metrics=METRICS,
        context=CONTEXT,
        meta=meta,
        id=f"{symbol}-{round(timestamp * 1_000)}-{sequence}",
        sequence=sequence,
    )


def velocity(
    sequence: int = 1,
    *,
    timestamp: float = T0,
    symbol: str = "BTCUSDT",
    btc_price: float | None = 43_521.5,
    leading_exchange: str | None = "binance",
) -> VelocityUpdate:
    return VelocityUpdate(
        symbol=symbol,
        timestamp=timestamp,
        event_count_10s=412,
        event_count_30s=600,
        event_count_60s=700,
        event_count_300s=900,
        velocity_10s=41.2,
        velocity_30s=20.0,
        velocity_60s=11.67,
        velocity_300s=3.0,
        acceleration=13.08,
        jerk=1.5,
        volume_usd=36_050_000.0,
        total_value_usd=360_500_000.0,
        long_value_usd=360_000_000.0,
        short_value_usd=500_000.0,
        btc_price=btc_price,
        volatility_factor=2.83,
        exchange_correlation=0.847,
        leading_exchange=leading_exchange,
        late_events=3,
        duplicates=2,
        sequence=sequence,
    )


def positioning(
    sequence: int = 1, *, timestamp: float = T0, symbol: str = "BTCUSDT", rate: float | None = 0.000189
) -> PositioningUpdate:
    return PositioningUpdate(
        symbol=symbol,
        timestamp=timestamp,
        open_interest_usd=8.5e9,
        change_1m=-0.0216,
        change_5m=-0.0431,
        rate=rate,
        sequence=sequence,
    )


def volatility(
    sequence: int = 1, *, timestamp: float = T0, symbol: str = "BTCUSDT", price: float = 43_521.5
) -> VolatilityUpdate:
    return VolatilityUpdate(
        symbol=symbol,
        timestamp=timestamp,
        price=price,
        volume_usd=1_250_000.0,
        regime="HIGH",
        volatility_1m=1.1,
        volatility_5m=3.2,
        volatility_15m=4.1,
        volatility_1h=5.5,
        percentile_24h=96.5,
        z_score=2.4,
        dispersion=0.31,
        cascade_risk_multiplier=2.83,
        warming=False,
        sequence=sequence,
    )


def regime(
    sequence: int = 1,
    *,
    timestamp: float = T0,
    symbol: str = "BTCUSDT",
    changed: bool = True,
    market_regime: str = "HIGH",
) -> RegimeUpdate:
    return RegimeUpdate(
        timestamp=timestamp,
        market_regime=market_regime,
        regime_confidence=0.7,
        volatility_regime="HIGH",
        liquidity_regime="NORMAL",
        trend_regime="STRONG_DOWN",
        regime_changed=changed,
        time_in_regime=0.0,
        thresholds=Thresholds(velocity_multiplier=1.8, volume_multiplier=1.5, cascade_sensitivity=0.7),
        context=RegimeContext(btc_price=43_521.5, volume_24h_percentile=88.0, volatility_24h_percentile=96.5),
        adjustments=Adjustments(position_size=0.5, stop_loss=1.5, take_profit=1.3, entry_aggressiveness=0.7),
        symbol=symbol,
        sequence=sequence,
    )


TOPICS: dict[type[Outgoing], str] = {
    Signal: contract.SIGNALS,
    VelocityUpdate: contract.VELOCITY,
    PositioningUpdate: contract.POSITIONING,
    VolatilityUpdate: contract.VOLATILITY,
    RegimeUpdate: contract.REGIME,
}


def record(message: Outgoing, time: float = T0) -> tuple[str, bytes, bytes, int]:
    """Return the message as a record of its topic, written to Kafka at `time`."""
    return TOPICS[type(message)], message.symbol.encode(), codec.encode(message), round(time * 1_000)
