"""Weights of the score's components: validated, and summing to 1."""

from collections.abc import Mapping
from typing import Final, TypeAlias

from msgspec import Struct

from pipeline.messages import COMPONENTS, check_weights

Weights: TypeAlias = tuple[float, float, float, float, float, float]
"""One weight for each of `COMPONENTS`, in that order."""

TOLERANCE: Final = 0.01
"""How far from 1 the sum of a set may be and still be used as it is."""


class WeightSet(Struct, frozen=True):
    """Weights that were set at run time, and their version; `values` of None are the profile's own."""

    version: int
    values: Weights | None


def read_weights(given: Mapping[str, float]) -> Weights:
    """Return weights by component name as weights in the order of `COMPONENTS`.

    A set whose sum differs from 1 by more than `TOLERANCE` is renormalised: weight / sum.

    Raises
    ------
    ValueError
        A component is missing or unknown, a weight is negative or not finite, or all are zero.

    Examples
    --------
    >>> read_weights({"velocity": 2, "acceleration": 2, "volume": 0, "oi_change": 0, "funding": 0,
    ...               "volatility": 0})
    (0.5, 0.5, 0.0, 0.0, 0.0, 0.0)

    """
    check_weights(given)
    velocity, acceleration, volume, oi_change, funding, volatility = (given[name] for name in COMPONENTS)
    total = sum(given.values())
    divisor = 1.0 if abs(total - 1.0) <= TOLERANCE else total
    return (
        velocity / divisor,
        acceleration / divisor,
        volume / divisor,
        oi_change / divisor,
        funding / divisor,
        volatility / divisor,
    )


def name_weights(weights: Weights) -> dict[str, float]:
    """Return weights by component name."""
    return dict(zip(COMPONENTS, weights, strict=True))
