"""One-minute closes, and what they say about direction."""

from __future__ import annotations

from collections import deque
from math import fsum
from typing import Any, Final, NamedTuple

_MINUTE_S: Final = 60
FAST: Final = 10
SLOW: Final = 20


class Direction(NamedTuple):
    """Where prices are going.

    Attributes
    ----------
    momentum
        The newest close / the one 10 minutes before - 1.
    fast, slow
        Means of the newest 10 and 20 closes.

    """

    momentum: float
    fast: float
    slow: float


class Closes:
    """The last price of each minute; for the open minute the newest price stands in.

    A minute without a price has the close of the minute before. After 20 such minutes all is forgotten:
    there are no 20 closes.
    """

    __slots__ = ("_closes", "_minute", "_price")

    def __init__(self) -> None:
        self._closes: deque[float] = deque(maxlen=SLOW - 1)
        self._minute = 0
        self._price = 0.0

    def add(self, second: int, price: float) -> None:
        """Take a price."""
        minutes = second // _MINUTE_S - self._minute
        if minutes:
            self._complete(minutes)
        self._price = price

    def _complete(self, minutes: int) -> None:
        self._minute += minutes
        if minutes > SLOW:
            self._closes.clear()
        else:
            self._closes.extend([self._price] * minutes)

    def direction(self) -> Direction | None:
        """Return where prices are going; None until there are 20 closes."""
        closes = [*self._closes, self._price]
        if len(closes) < SLOW:
            return None
        momentum = closes[-1] / closes[-1 - FAST] - 1.0
        return Direction(momentum, fsum(closes[-FAST:]) / FAST, fsum(closes) / SLOW)

    def freeze(self) -> list[Any]:
        """Return everything that `thaw` needs."""
        return [list(self._closes), self._minute, self._price]

    def thaw(self, frozen: list[Any]) -> None:
        """Take over what `freeze` returned."""
        closes, self._minute, self._price = frozen
        self._closes.extend(closes)
