"""Where prices are going, judged by momentum and moving averages."""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from pipeline.features.closes import Direction
from pipeline.features.ladder import require_ascending

Trend: TypeAlias = Literal["STRONG_UP", "UP", "RANGING", "DOWN", "STRONG_DOWN"]

_Momentum: TypeAlias = Annotated[float, Meta(gt=0, lt=1)]


class TrendConstants(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Momenta over 10 minutes, as fractions, beyond which there is a trend, and a strong one.

    Raises
    ------
    ValueError
        A strong trend would be weaker than a trend.

    """

    trend: _Momentum = 0.02
    strong: _Momentum = 0.05

    def __post_init__(self) -> None:
        require_ascending("trend, strong", self.trend, self.strong)


def judge_trend(found: Direction | None, constants: TrendConstants) -> Trend:
    """Return the trend: momentum counts only while the averages have crossed the same way."""
    if found is None:
        return "RANGING"
    if found.fast > found.slow and found.momentum > constants.trend:
        return "STRONG_UP" if found.momentum > constants.strong else "UP"
    if found.fast < found.slow and found.momentum < -constants.trend:
        return "STRONG_DOWN" if found.momentum < -constants.strong else "DOWN"
    return "RANGING"
