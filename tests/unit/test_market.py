import pytest

from pipeline.features.ladder import REGIMES
from pipeline.messages import Adjustments, Thresholds
from pipeline.signals.market import MarketConstants, adjustments, confidence, market_level, thresholds

SEED = MarketConstants()
DORMANT, LOW, NORMAL, ELEVATED, HIGH, EXTREME = range(6)


@pytest.mark.parametrize(
    ("volatility", "liquidity", "market"),
    [
        ("NORMAL", "NORMAL", "NORMAL"),
        ("NORMAL", "SHALLOW", "NORMAL"),
        ("NORMAL", "ILLIQUID", "ELEVATED"),
        ("NORMAL", "DEEP", "LOW"),
        ("EXTREME", "ILLIQUID", "EXTREME"),
        ("DORMANT", "ILLIQUID", "LOW"),
        ("DORMANT", "DEEP", "DORMANT"),
        ("EXTREME", "DEEP", "HIGH"),
    ],
)
def test_market_regime_is_volatility_shifted_by_liquidity(volatility, liquidity, market):
    assert REGIMES[market_level(REGIMES.index(volatility), liquidity)] == market


@pytest.mark.parametrize(
    ("level", "liquidity", "trend", "expected"),
    [
        (NORMAL, "NORMAL", "UP", 0.5),
        (NORMAL, "SHALLOW", "DOWN", 0.5),
        (NORMAL, "NORMAL", "RANGING", 0.6),
        (NORMAL, "ILLIQUID", "UP", 0.7),
        (NORMAL, "ILLIQUID", "RANGING", 0.8),
        (NORMAL, "DEEP", "UP", 0.6),
        (NORMAL, "DEEP", "RANGING", 0.7),
        (ELEVATED, "NORMAL", "STRONG_UP", 0.7),
        (ELEVATED, "ILLIQUID", "STRONG_DOWN", 0.9),
        (HIGH, "NORMAL", "STRONG_UP", 0.5),
        (EXTREME, "ILLIQUID", "STRONG_DOWN", 0.7),
    ],
)
def test_confidence(level, liquidity, trend, expected):
    assert confidence(level, liquidity, trend, SEED) == expected


def test_confidence_stays_between_03_and_1():
    unsure = MarketConstants(base_confidence=0.0)
    sure = MarketConstants(base_confidence=0.9)
    assert confidence(NORMAL, "NORMAL", "UP", unsure) == 0.3
    assert confidence(NORMAL, "ILLIQUID", "RANGING", sure) == 1.0


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        (DORMANT, Thresholds(0.5, 0.6, 1.5)),
        (LOW, Thresholds(0.7, 0.8, 1.2)),
        (NORMAL, Thresholds(1.0, 1.0, 1.0)),
        (ELEVATED, Thresholds(1.3, 1.2, 0.9)),
        (HIGH, Thresholds(1.8, 1.5, 0.7)),
        (EXTREME, Thresholds(2.5, 2.0, 0.5)),
    ],
)
def test_thresholds(level, expected):
    assert thresholds(level, SEED) == expected


@pytest.mark.parametrize(
    ("level", "liquidity", "expected"),
    [
        (EXTREME, "NORMAL", (0.3, 2.0, 1.5, 0.5)),
        (HIGH, "NORMAL", (0.5, 1.5, 1.3, 0.7)),
        (ELEVATED, "NORMAL", (1.0, 1.0, 1.0, 1.0)),
        (NORMAL, "SHALLOW", (1.0, 1.0, 1.0, 1.0)),
        (LOW, "NORMAL", (1.0, 1.0, 1.0, 1.0)),
        (DORMANT, "NORMAL", (1.5, 0.7, 0.8, 1.3)),
        (EXTREME, "ILLIQUID", (0.21, 2.0, 1.5, 0.3)),
        (NORMAL, "ILLIQUID", (0.7, 1.0, 1.0, 0.6)),
        (NORMAL, "DEEP", (1.2, 1.0, 1.0, 1.1)),
        (DORMANT, "DEEP", (1.8, 0.7, 0.8, 1.43)),
    ],
)
def test_trading_adjustments(level, liquidity, expected):
    assert adjustments(level, liquidity, SEED) == Adjustments(*expected)
