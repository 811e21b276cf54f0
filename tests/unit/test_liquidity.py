import msgspec
import pytest

from pipeline.features.turnover import TurnoverReading
from pipeline.signals.liquidity import LiquidityConstants, judge_liquidity


@pytest.mark.parametrize(
    ("ratio", "spread", "regime"),
    [
        (0.24, 20.1, "ILLIQUID"),
        (0.25, 20.1, "SHALLOW"),
        (0.24, 20.0, "SHALLOW"),
        (0.24, 1.0, "SHALLOW"),
        (0.49, 1.0, "SHALLOW"),
        (0.5, 15.0, "SHALLOW"),
        (3.0, 30.0, "SHALLOW"),
        (0.5, 14.9, "NORMAL"),
        (1.0, 1.0, "NORMAL"),
        (1.2, 4.9, "NORMAL"),
        (1.3, 5.0, "NORMAL"),
        (1.21, 4.9, "DEEP"),
        (0.1, None, "SHALLOW"),
        (0.5, None, "NORMAL"),
        (9.0, None, "NORMAL"),
        (None, 50.0, "NORMAL"),
        (None, None, "NORMAL"),
    ],
)
def test_regime_of_volume_and_spread(ratio, spread, regime):
    assert judge_liquidity(TurnoverReading(ratio, spread, 10, None), LiquidityConstants()) == regime


def test_without_10_volumes_liquidity_is_normal():
    assert judge_liquidity(TurnoverReading(0.1, 50.0, 9, None), LiquidityConstants()) == "NORMAL"


@pytest.mark.parametrize("wrong", [{"shallow_ratio": 0.2}, {"deep_spread_bps": 15}, {"deep_ratio": 0.5}])
def test_constants_that_contradict_each_other_are_refused_by_name(wrong):
    with pytest.raises(msgspec.ValidationError, match=next(iter(wrong))):
        msgspec.convert(wrong, LiquidityConstants)
