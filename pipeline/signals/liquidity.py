"""How liquid the market is, judged by volume and spread."""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from pipeline.features.ladder import require_ascending
from pipeline.features.turnover import TurnoverReading

Liquidity: TypeAlias = Literal["DEEP", "NORMAL", "SHALLOW", "ILLIQUID"]

_Ratio: TypeAlias = Annotated[float, Meta(gt=0, le=24)]
_Spread: TypeAlias = Annotated[float, Meta(ge=0, le=10_000)]


class LiquidityConstants(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Bounds of the liquidity regimes: volume against the average hour, spreads in basis points.

    Attributes
    ----------
    illiquid_ratio, illiquid_spread_bps
        Less volume and a wider spread: ILLIQUID.
    shallow_ratio, shallow_spread_bps
        Less volume, or a spread as wide: SHALLOW.
    deep_ratio, deep_spread_bps
        More volume and a narrower spread: DEEP.
    least_volumes
        Prices with a volume that it takes to say anything.
    least_history
        Hourly volumes, one each 5 minutes, that the percentile takes.

    Raises
    ------
    ValueError
        The bounds do not follow each other.

    """

    illiquid_ratio: _Ratio = 0.25
    illiquid_spread_bps: _Spread = 20.0
    shallow_ratio: _Ratio = 0.5
    shallow_spread_bps: _Spread = 15.0
    deep_ratio: _Ratio = 1.2
    deep_spread_bps: _Spread = 5.0
    least_volumes: Annotated[int, Meta(ge=1, le=10_000)] = 10
    least_history: Annotated[int, Meta(ge=2, le=288)] = 12

    def __post_init__(self) -> None:
        require_ascending(
            "illiquid_ratio, shallow_ratio, deep_ratio",
            self.illiquid_ratio,
            self.shallow_ratio,
            self.deep_ratio,
        )
        require_ascending(
            "deep_spread_bps, shallow_spread_bps, illiquid_spread_bps",
            self.deep_spread_bps,
            self.shallow_spread_bps,
            self.illiquid_spread_bps,
        )


def judge_liquidity(found: TurnoverReading, constants: LiquidityConstants) -> Liquidity:
    """Return the liquidity regime of a volume and a spread.

    Without spreads volume alone decides, and says neither ILLIQUID nor DEEP; with fewer than 10 volumes, or
    no volume at all in 24 hours, liquidity is taken to be NORMAL.
    """
    ratio, spread = found.ratio, found.spread_bps
    if ratio is None or found.volumes < constants.least_volumes:
        return "NORMAL"
    if spread is None:
        return "SHALLOW" if ratio < constants.shallow_ratio else "NORMAL"
    if ratio < constants.illiquid_ratio and spread > constants.illiquid_spread_bps:
        return "ILLIQUID"
    if ratio < constants.shallow_ratio or spread >= constants.shallow_spread_bps:
        return "SHALLOW"
    if ratio > constants.deep_ratio and spread < constants.deep_spread_bps:
        return "DEEP"
    return "NORMAL"
