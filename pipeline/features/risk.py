"""The cascade risk multiplier: how much more likely the present volatility makes a cascade."""

import math
from typing import Annotated, Final

from msgspec import Meta, Struct

from pipeline.features.ladder import require_ascending
from pipeline.features.spans import SPANS, Volatilities
from pipeline.messages import rounded

Factor = Annotated[float, Meta(ge=0, le=100)]
AtLeastOne = Annotated[float, Meta(ge=1, le=100)]
Percent = Annotated[float, Meta(ge=0, le=100)]

_ROOTS: Final = tuple(math.sqrt(span) for span in SPANS)
_ROOT_5: Final = math.sqrt(5)


class RiskConstants(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Factors of the risk multiplier, and the bounds beyond which they apply.

    Attributes
    ----------
    by_regime
        The factor of each volatility regime, DORMANT to EXTREME.
    surge_limit
        The largest factor for a last minute that was wilder than its five minutes.
    rare_percentile, rare_factor, rarest_percentile, rarest_factor
        Factors of a volatility above these percentiles of 24 hours.
    uneven_dispersion, uneven_factor
        Factor of volatilities that differ from span to span.
    unusual_z, unusual_factor, extraordinary_z, extraordinary_factor
        Factors of a volatility this many standard deviations from the mean of 24 hours.
    limit
        The largest multiplier.

    Raises
    ------
    ValueError
        A bound is not below the next one.

    """

    by_regime: tuple[Factor, Factor, Factor, Factor, Factor, Factor] = (1.0, 1.2, 1.5, 2.0, 3.0, 5.0)
    surge_limit: AtLeastOne = 2.0
    rare_percentile: Percent = 90.0
    rare_factor: Factor = 1.2
    rarest_percentile: Percent = 95.0
    rarest_factor: Factor = 1.5
    uneven_dispersion: Factor = 0.5
    uneven_factor: Factor = 1.3
    unusual_z: Factor = 2.0
    unusual_factor: Factor = 1.5
    extraordinary_z: Factor = 3.0
    extraordinary_factor: Factor = 2.0
    limit: Annotated[float, Meta(gt=0, le=1_000)] = 10.0

    def __post_init__(self) -> None:
        require_ascending("rare_percentile, rarest_percentile", self.rare_percentile, self.rarest_percentile)
        require_ascending("unusual_z, extraordinary_z", self.unusual_z, self.extraordinary_z)


def surge_term(volatility_1m: float, volatility_5m: float, constants: RiskConstants) -> float:
    """Return 1 + max(0, 1-minute x sqrt 5 / 5-minute volatility - 1), limited: above 1 when it rises."""
    if volatility_5m <= 0:
        return 1.0
    return min(constants.surge_limit, max(1.0, volatility_1m * _ROOT_5 / volatility_5m))


def percentile_term(percentile: float | None, constants: RiskConstants) -> float:
    """Return the factor of a volatility's percentile; 1 without history."""
    if percentile is None or percentile <= constants.rare_percentile:
        return 1.0
    return constants.rarest_factor if percentile > constants.rarest_percentile else constants.rare_factor


def dispersion(volatilities: Volatilities) -> float:
    """Return population standard deviation / mean of volatility / sqrt(span) over the four spans.

    It is 0 when a second was as wild in the last minute as in the last hour.
    """
    rates = [volatility / root for volatility, root in zip(volatilities, _ROOTS, strict=True)]
    mean = math.fsum(rates) / len(rates)
    if mean <= 0:
        return 0.0
    return math.dist(rates, [mean] * len(rates)) / math.sqrt(len(rates)) / mean


def dispersion_term(spread: float, constants: RiskConstants) -> float:
    """Return the factor of a dispersion."""
    return constants.uneven_factor if spread > constants.uneven_dispersion else 1.0


def z_term(z_score: float | None, constants: RiskConstants) -> float:
    """Return the factor of a z-score, whatever its sign; 1 without history or standard deviation."""
    if z_score is None or abs(z_score) <= constants.unusual_z:
        return 1.0
    if abs(z_score) > constants.extraordinary_z:
        return constants.extraordinary_factor
    return constants.unusual_factor


def risk_multiplier(  # noqa: PLR0913, PLR0917 - a product of what is measured
    level: int,
    volatilities: Volatilities,
    uneven: float,
    percentile: float | None,
    z_score: float | None,
    constants: RiskConstants,
) -> float:
    """Return the product of the regime's factor and the four terms, limited, to six decimals.

    Rounded here, as it travels with contexts and in signals: all who reckon with it have the same number, and
    a market without a surge has its regime's factor.

    Parameters
    ----------
    level
        The volatility regime: 0 (DORMANT) to 5 (EXTREME).
    volatilities
        Over 1, 5 and 15 minutes and 1 hour, in percent.
    uneven
        Their dispersion.
    percentile, z_score
        Of the 5-minute volatility among those of 24 hours; None without history.
    constants
        The factors.

    """
    product = (
        constants.by_regime[level]
        * surge_term(volatilities[0], volatilities[1], constants)
        * percentile_term(percentile, constants)
        * dispersion_term(uneven, constants)
        * z_term(z_score, constants)
    )
    return rounded(min(constants.limit, product), 6)
