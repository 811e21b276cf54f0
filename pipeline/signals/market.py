"""The market regime and what follows from it: confidence, thresholds, trading adjustments."""

from typing import Annotated, Final, NamedTuple, TypeAlias

from msgspec import Meta, Struct

from pipeline.features.ladder import REGIMES
from pipeline.messages import Adjustments, Thresholds
from pipeline.signals.liquidity import Liquidity
from pipeline.signals.trend import Trend

_Factor: TypeAlias = Annotated[float, Meta(ge=0, le=100)]
_Factors: TypeAlias = tuple[_Factor, _Factor, _Factor, _Factor, _Factor, _Factor]
_Share: TypeAlias = Annotated[float, Meta(ge=0, le=1)]

_TOP: Final = len(REGIMES) - 1
_HIGH: Final = REGIMES.index("HIGH")
_DECIMALS: Final = 6  # of products of constants, lest 0.5 + 0.2 + 0.1 be 0.7999999999999999


class MarketConstants(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What follows from a market regime. Lists go from DORMANT to EXTREME.

    Attributes
    ----------
    velocity_multipliers
        By which the velocity thresholds of the level floors are multiplied.
    volume_multipliers
        Published for strategies; not used in the score.
    cascade_sensitivities
        By which the score is multiplied.
    position_sizes, stop_losses, take_profits, entry_aggressiveness
        Trading adjustments.
    illiquid_size, illiquid_entry, deep_size, deep_entry
        Factors of size and entry when ILLIQUID and when DEEP.
    base_confidence, illiquid_confidence, deep_confidence, strong_trend_confidence, ranging_confidence
        The confidence of a regime, and what adds to it.
    least_confidence
        The lowest confidence.

    """

    velocity_multipliers: _Factors = (0.5, 0.7, 1.0, 1.3, 1.8, 2.5)
    volume_multipliers: _Factors = (0.6, 0.8, 1.0, 1.2, 1.5, 2.0)
    cascade_sensitivities: _Factors = (1.5, 1.2, 1.0, 0.9, 0.7, 0.5)
    position_sizes: _Factors = (1.5, 1.0, 1.0, 1.0, 0.5, 0.3)
    stop_losses: _Factors = (0.7, 1.0, 1.0, 1.0, 1.5, 2.0)
    take_profits: _Factors = (0.8, 1.0, 1.0, 1.0, 1.3, 1.5)
    entry_aggressiveness: _Factors = (1.3, 1.0, 1.0, 1.0, 0.7, 0.5)
    illiquid_size: _Factor = 0.7
    illiquid_entry: _Factor = 0.6
    deep_size: _Factor = 1.2
    deep_entry: _Factor = 1.1
    base_confidence: _Share = 0.5
    illiquid_confidence: _Share = 0.2
    deep_confidence: _Share = 0.1
    strong_trend_confidence: _Share = 0.2
    ranging_confidence: _Share = 0.1
    least_confidence: _Share = 0.3


class Consequences(NamedTuple):
    """What follows from a market regime, its liquidity and its trend."""

    confidence: float
    thresholds: Thresholds
    adjustments: Adjustments


def consequences(level: int, liquidity: Liquidity, trend: Trend, constants: MarketConstants) -> Consequences:
    """Return all that follows from a market's state."""
    return Consequences(
        confidence(level, liquidity, trend, constants),
        thresholds(level, constants),
        adjustments(level, liquidity, constants),
    )


def market_level(volatility_level: int, liquidity: Liquidity) -> int:
    """Return the level of the market: that of volatility, one up when ILLIQUID, one down when DEEP."""
    if liquidity == "ILLIQUID":
        return min(_TOP, volatility_level + 1)
    if liquidity == "DEEP":
        return max(0, volatility_level - 1)
    return volatility_level


def confidence(level: int, liquidity: Liquidity, trend: Trend, constants: MarketConstants) -> float:
    """Return how sure a market regime is, 0.3 to 1."""
    total = constants.base_confidence
    if liquidity == "ILLIQUID":
        total += constants.illiquid_confidence
    elif liquidity == "DEEP":
        total += constants.deep_confidence
    if trend == "RANGING":
        total += constants.ranging_confidence
    elif trend.startswith("STRONG") and level < _HIGH:
        total += constants.strong_trend_confidence
    return round(min(1.0, max(constants.least_confidence, total)), _DECIMALS)


def thresholds(level: int, constants: MarketConstants) -> Thresholds:
    """Return what a market regime does to the score."""
    return Thresholds(
        velocity_multiplier=constants.velocity_multipliers[level],
        volume_multiplier=constants.volume_multipliers[level],
        cascade_sensitivity=constants.cascade_sensitivities[level],
    )


def adjustments(level: int, liquidity: Liquidity, constants: MarketConstants) -> Adjustments:
    """Return the trading adjustments of a market regime."""
    size, entry = constants.position_sizes[level], constants.entry_aggressiveness[level]
    if liquidity == "ILLIQUID":
        size, entry = size * constants.illiquid_size, entry * constants.illiquid_entry
    elif liquidity == "DEEP":
        size, entry = size * constants.deep_size, entry * constants.deep_entry
    return Adjustments(
        position_size=round(size, _DECIMALS),
        stop_loss=constants.stop_losses[level],
        take_profit=constants.take_profits[level],
        entry_aggressiveness=round(entry, _DECIMALS),
    )
