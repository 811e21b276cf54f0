"""How far a price is from a move that its own symbol hardly ever makes."""

from __future__ import annotations

import math
from collections import deque
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from pipeline.features.distribution import WindowMean

_HOUR: Final = 60
_QUARTER: Final = 15
_BAR: Final = 5
_DAY: Final = 1_440.0
_LEAST_DEVIATION: Final = 1e-9
_NEAR: Final = 3.0
"""Standard deviations to a large move over which its nearness falls to 1/e."""
_BEYOND: Final = 1.0
"""Standard deviations beyond a large move from which its nearness is 1: one just reached may end below."""
_STALE: Final = 20
"""Minutes without a price after which a run of prices begins anew."""


class MoveConstants(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What counts as a large move.

    Attributes
    ----------
    horizon_min, ahead_min
        Minutes that a move lasts, and how many of them are yet to come when it is judged: each number is a
        judgement of its own, and their mean counts.
    sigmas, least
        A move is large from so many standard deviations of such moves on, and from this fraction on.
    memory_days
        The longer of the spans that the deviation is taken over; the shorter is one day, and the smaller of
        the two deviations counts: the last burst inflates the shorter one.

    """

    horizon_min: Annotated[int, Meta(ge=2, le=60)] = 15
    ahead_min: tuple[Annotated[int, Meta(ge=1, le=59)], ...] = (2, 5, 10)
    sigmas: Annotated[float, Meta(gt=0, le=100)] = 3.5
    least: Annotated[float, Meta(gt=0, le=1)] = 0.008
    memory_days: Annotated[float, Meta(ge=1, le=60)] = 7.0

    def __post_init__(self) -> None:
        if not self.ahead_min or max(self.ahead_min) >= self.horizon_min:
            raise ValueError(f"ahead_min: expected some, each less than horizon_min ({self.horizon_min})")


class Moves:
    """A symbol's prices a minute apart, and the deviation of its moves.

    The first price of a minute is the close of the minute before, as a bar tells it; others are not looked
    at, for what a price reaches for some seconds, and no close keeps, is no move. A minute without a price
    has the close of the one before. The deviation is of moves that ended before the one that is judged
    began, so a move is not compared with itself.
    """

    __slots__ = (
        "_closes",
        "_constants",
        "_day",
        "_deviations",
        "_minute",
        "_nearness",
        "_needed",
        "_price",
        "_priced",
        "_products",
        "_squares",
        "_week",
    )

    def __init__(self, constants: MoveConstants) -> None:
        self._constants = constants
        longest = max(_HOUR, 2 * constants.horizon_min)
        self._closes: deque[float] = deque(maxlen=longest + 1)  # logarithms
        self._squares: deque[float] = deque(maxlen=_QUARTER)  # of the moves of a minute each
        # Of the moves of 5 minutes that end with each minute, times that before it.
        self._products: deque[float] = deque(maxlen=_HOUR + 1 - 2 * _BAR)
        self._day, self._week = WindowMean(_DAY), WindowMean(_DAY * constants.memory_days)
        self._minute = self._priced = 0
        self._price = 0.0
        self._needed = 0.0
        self._deviations: list[tuple[int, float]] | None = None
        self._nearness: float | None = None  # until the price or the minute is another

    def pass_minutes(self, minute: int) -> None:
        """Close all minutes before this one."""
        if minute <= self._minute:
            return
        for _ in range(min(minute - self._minute, _STALE)):
            if self._priced:
                self._close()
        self._minute = minute
        if minute - self._priced > _STALE:
            self._forget()
            self._priced = 0
        self._deviations = self._nearness = None

    def _close(self) -> None:
        closes, horizon = self._closes, self._constants.horizon_min
        self._follow(self._price)
        if len(closes) > 2 * horizon:
            move = closes[-1 - horizon] - closes[-1 - 2 * horizon]
            self._day.add(move * move)
            self._week.add(move * move)

    def _follow(self, close: float) -> None:
        closes = self._closes
        closes.append(close)
        if len(closes) > 1:
            self._squares.append((close - closes[-2]) ** 2)
        if len(closes) > 2 * _BAR:
            middle = closes[-1 - _BAR]
            self._products.append(abs(middle - closes[-1 - 2 * _BAR]) * abs(close - middle))

    def _forget(self) -> None:
        for kept in (self._closes, self._squares, self._products):
            kept.clear()

    def add(self, minute: int, price: float) -> None:
        """Take a price of a minute that is not over, if it is the minute's first."""
        if minute > self._priced:
            self._price, self._priced = math.log(price), minute
            self._nearness = None

    def nearness(self) -> float | None:
        """Return how near a large move is, 0 to 1; None until there is an hour of prices.

        A move is judged before its end: what is left to go, over the deviation of what can happen in the
        minutes ahead. The fewer minutes, the surer and the later; the mean is steadier than the nearest.
        """
        if self._nearness is None and len(self._closes) > _HOUR:
            self._nearness = self._judge()
        return self._nearness

    def _judge(self) -> float:
        if self._deviations is None:
            self._deviations = self._prepare()
        price, closes, needed = self._price, self._closes, self._needed
        nearness = 0.0
        for minutes, deviation in self._deviations:
            beyond = (abs(price - closes[-minutes]) - needed) / deviation - _BEYOND
            nearness += 1.0 if beyond > 0.0 else math.exp(beyond / _NEAR)
        return nearness / len(self._deviations)

    def _prepare(self) -> list[tuple[int, float]]:
        """Return, for each number of minutes ahead, those before now and the deviation of what can happen.

        The variance of a minute is the mean of the usual one, the last hour's, and the last 15 minutes'; the
        hour's by bipower variation, which a single jump hardly moves (Barndorff-Nielsen and Shephard, 2004).
        """
        constants = self._constants
        usual = min(self._day.value, self._week.value)
        self._needed = max(constants.sigmas * math.sqrt(usual), constants.least)
        moves = _HOUR // _BAR
        bipower = math.pi / 2 * math.fsum(list(self._products)[::_BAR])
        hour = bipower * moves / (moves - 1)
        quarter = math.fsum(self._squares)
        minute = (usual / constants.horizon_min + hour / _HOUR + quarter / _QUARTER) / 3
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
        for close in closes:
            self._follow(close)
        self._day.thaw(day)
        self._week.thaw(week)
