"""The regimes of volatility: up at once, down after a while below."""

from bisect import bisect_right
from itertools import pairwise
from typing import Annotated, Any, Final, TypeAlias

from msgspec import Meta, Struct

REGIMES: Final = ("DORMANT", "LOW", "NORMAL", "ELEVATED", "HIGH", "EXTREME")
"""Regimes of volatility, and of the market; the level of a regime is its place here."""
NORMAL: Final = REGIMES.index("NORMAL")
"""The level of a market about which not enough is known."""

_Band: TypeAlias = Annotated[float, Meta(gt=0, le=1_000)]


class LadderConstants(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where regimes begin, and how slowly they fall.

    Attributes
    ----------
    bands
        5-minute volatilities in percent at which LOW, NORMAL, ELEVATED, HIGH and EXTREME begin.
    fall_s
        Seconds for which volatility has to stay below a regime's band before the regime falls.

    Raises
    ------
    ValueError
        The bands do not ascend.

    """

    bands: tuple[_Band, _Band, _Band, _Band, _Band] = (0.5, 1.0, 2.0, 3.0, 5.0)
    fall_s: Annotated[int, Meta(ge=0, le=3_600)] = 30

    def __post_init__(self) -> None:
        require_ascending("bands", *self.bands)


def require_ascending(names: str, *values: float) -> None:
    """Raise a ValueError unless each value is greater than the one before."""
    if any(later <= earlier for earlier, later in pairwise(values)):
        raise ValueError(f"{names}: expected ascending values")


class Ladder:
    """The level of a volatility that changes: a rise counts at once, a fall after `fall_s` below.

    The seconds below begin with the first one seen below, and end with any that is not.
    """

    __slots__ = ("_below", "_constants", "_level")

    def __init__(self, constants: LadderConstants) -> None:
        self._constants = constants
        self._level: int | None = None
        self._below: int | None = None

    def climb(self, second: int, volatility: float) -> int:
        """Return the level at a second: 0 (DORMANT) to 5 (EXTREME)."""
        level = bisect_right(self._constants.bands, volatility)
        if self._level is None or level >= self._level or self._has_fallen(second):
            self._level, self._below = level, None
        return self._level

    def _has_fallen(self, second: int) -> bool:
        if self._below is None:
            self._below = second
        return second - self._below >= self._constants.fall_s

    def leave(self) -> int:
        """Forget the level, as there is not enough to go by; return that of NORMAL."""
        self._level = self._below = None
        return NORMAL

    def freeze(self) -> list[Any]:
        """Return everything that `thaw` needs."""
        return [self._level, self._below]

    def thaw(self, frozen: list[Any]) -> None:
        """Take over what `freeze` returned."""
        self._level, self._below = frozen
