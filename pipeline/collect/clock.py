"""How far a venue's clock is from this machine's: an answer was given half way, as NTP has it. Pure."""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

_REMEMBERED: Final = 10


class _Sample(NamedTuple):
    round_trip: float
    ahead: float


class Clock:
    """The offset of a venue's clock, by the fastest of its last answers: of that least is uncertain."""

    def __init__(self) -> None:
        self._samples: deque[_Sample] = deque(maxlen=_REMEMBERED)

    def add(self, asked: float, told: float, answered: float) -> None:
        """Take when the venue was asked, what time it told, and when that came: in Unix seconds."""
        self._samples.append(_Sample(answered - asked, told - (asked + answered) / 2))

    @property
    def ahead(self) -> float | None:
        """Seconds by which the venue's clock is ahead; None before it was asked."""
        return min(self._samples).ahead if self._samples else None

    @property
    def uncertainty(self) -> float:
        """Seconds by which that may be wrong either way."""
        return min(self._samples).round_trip / 2 if self._samples else 0.0
