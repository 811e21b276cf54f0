"""How far a price is from a move that its own symbol hardly ever makes."""

from __future__ import annotations

import math
from collections import deque
from itertools import pairwise
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from pipeline.features.distribution import RecentMean

_HOUR: Final = 60
_BAR: Final = 5
_DAY: Final = 1_440.0
_LEAST_DEVIATION: Final = 1e-9
_STALE: Final = 20
"""Minutes without a price after which a run of prices begins anew."""


class MoveConstants(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What counts as a large move.

    Attributes
    ----------
    horizon_min, ahead_min
        Minutes that a move lasts, and how many of them may be yet to come when it is judged.
    sigmas, least
        A move is large from so many standard deviations of such moves on, and from this fraction on.
    memory_days
        The longer of the memories of that deviation; the shorter is one day, and the smaller of the two
        deviations counts: the last burst inflates the shorter one.

    """

    horizon_min: Annotated[int, Meta(ge=2, le=60)] = 15
    ahead_min: tuple[Annotated[int, Meta(ge=1, le=59)], ...] = (5,)
    sigmas: Annotated[float, Meta(gt=0, le=100)] = 3.5
    least: Annotated[float, Meta(gt=0, le=1)] = 0.008
    memory_days: Annotated[float, Meta(ge=1, le=60)] = 7.0

    def __post_init__(self) -> None:
        if not self.ahead_min or max(self.ahead_min) >= self.horizon_min:
            raise ValueError(f"ahead_min: expected some, each less than horizon_min ({self.horizon_min})")


class Moves:
    """One-minute closes of a symbol, and the deviation of its moves.

    A minute without a price has the close of the minute before. The deviation is of moves that ended before
    the one that is judged began, so a move is not compared with itself.
    """

    __slots__ = (
        "_closes",
        "_constants",
        "_day",
        "_deviations",
        "_minute",
        "_needed",
        "_price",
        "_priced",
        "_week",
    )

    def __init__(self, constants: MoveConstants) -> None:
        self._constants = constants
        self._closes: deque[float] = deque(maxlen=_HOUR + 1)  # logarithms
        self._day, self._week = RecentMean(_DAY), RecentMean(_DAY * constants.memory_days)
        self._minute = self._priced = 0
        self._price = 0.0
        self._needed = 0.0
        self._deviations: list[tuple[int, float]] | None = None

    def pass_minutes(self, minute: int) -> None:
        """Close all minutes before this one."""
        if minute <= self._minute:
            return
        for _ in range(min(minute - self._minute, _STALE)):
            if self._priced:
                self._close()
        self._minute = minute
        if minute - self._priced > _STALE:
            self._closes.clear()
            self._priced = 0
        self._deviations = None

    def _close(self) -> None:
        closes, horizon = self._closes, self._constants.horizon_min
        closes.append(self._price)
        if len(closes) > 2 * horizon:
            move = closes[-1 - horizon] - closes[-1 - 2 * horizon]
            self._day.add(move * move)
            self._week.add(move * move)

    def add(self, minute: int, price: float) -> None:
        """Take a price of a minute that is not over."""
        self._price, self._priced = math.log(price), minute

    def distance(self) -> float | None:
        """Return how many standard deviations a large move is away; None until there is an hour of prices.

        A move is judged before its end: what is left to go, over the deviation of what can happen in the
        minutes ahead; of several numbers of minutes the nearest counts. That deviation is the usual one and
        the last hour's at once (root of the mean square), the latter by bipower variation, which a single
        jump hardly moves (Barndorff-Nielsen and Shephard, 2004).
        """
        if len(self._closes) <= _HOUR:
            return None
        if self._deviations is None:
            self._deviations = self._prepare()
        price, closes = self._price, self._closes
        nearest = math.inf
        for minutes, deviation in self._deviations:
            distance = (self._needed - abs(price - closes[-minutes])) / deviation
            if distance < nearest:  # noqa: PLR1730 - for each record, and `min` takes longer
                nearest = distance
        return nearest

    def _prepare(self) -> list[tuple[int, float]]:
        """Return, for each number of minutes ahead, those before now and the deviation of what can happen."""
        constants = self._constants
        usual = min(self._day.value, self._week.value)
        self._needed = max(constants.sigmas * math.sqrt(usual), constants.least)
        closes = list(self._closes)[::_BAR]
        moves = [abs(later - before) for before, later in pairwise(closes)]
        bipower = math.pi / 2 * sum(one * other for one, other in pairwise(moves))
        hour = bipower * len(moves) / (len(moves) - 1)
        minute = (usual / constants.horizon_min + hour / _HOUR) / 2
        return [
            (constants.horizon_min - ahead, max(math.sqrt(ahead * minute), _LEAST_DEVIATION))
            for ahead in constants.ahead_min
        ]

    def freeze(self) -> list[Any]:
        """Return everything that `thaw` needs."""
        return [
            list(self._closes),
            self._day.freeze(),
            self._week.freeze(),
            self._minute,
            self._priced,
            self._price,
        ]

    def thaw(self, frozen: list[Any]) -> None:
        """Take over what `freeze` returned."""
        closes, day, week, self._minute, self._priced, self._price = frozen
        self._closes.extend(closes)
        self._day.thaw(day)
        self._week.thaw(week)
