"""Liquidations with a memory that fades: each counts e^(-age / memory), by side."""

from __future__ import annotations

import math
from typing import Any, Final

_FEW: Final = 2.0
"""Others over which what sets a lone liquidation apart from many falls to 1/e."""


class Intensity:
    """Fading sums of a symbol's liquidations: counts and US dollars by side, and counts over three memories.

    An event that makes others likelier for a while, less and less, is what a self-exciting (Hawkes) process
    is made of; the fading count is that process's intensity but for constants.

    Parameters
    ----------
    memory_s, value_memory_s, burst_s, past_s
        Seconds after which a liquidation counts 1/e: in the counts and in the US dollars by side, and for
        comparing the moment with what went before.

    """

    __slots__ = ("_memories", "_sums", "_time")

    def __init__(self, memory_s: float, value_memory_s: float, burst_s: float, past_s: float) -> None:
        self._memories = (-1e-6 / memory_s, -1e-6 / value_memory_s, -1e-6 / burst_s, -1e-6 / past_s)
        self._time = 0  # microseconds
        self._sums = [0.0] * 6

    def fade(self, time: int) -> None:
        """Let time (microseconds) pass; it never goes back."""
        passed = time - self._time
        if passed <= 0:
            return
        memory, value_memory, burst, past = self._memories
        kept, sums = math.exp(passed * memory), self._sums
        sums[0] *= kept
        sums[1] *= kept
        kept = math.exp(passed * value_memory)
        sums[2] *= kept
        sums[3] *= kept
        sums[4] *= math.exp(passed * burst)
        sums[5] *= math.exp(passed * past)
        self._time = time

    def add(self, *, long: bool, value_usd: float) -> None:
        """Count a liquidation of now."""
        side, sums = 0 if long else 1, self._sums
        sums[side] += 1.0
        sums[2 + side] += value_usd
        sums[4] += 1.0
        sums[5] += 1.0

    @property
    def count(self) -> float:
        """The count of the side that has more."""
        return max(self._sums[0], self._sums[1])

    @property
    def value_usd(self) -> float:
        """The US dollars of the side that has more."""
        return max(self._sums[2], self._sums[3])

    @property
    def company(self) -> float:
        """How much more than a lone liquidation the count is: of one a half, of five 0.93, of many 1."""
        others = self.count - 1.0
        return 0.5 if others <= 0.0 else 1.0 - 0.5 * math.exp(-others / _FEW)

    @property
    def burst(self) -> float:
        """The share of the past's liquidations that are of the moment; a lone one is none (0 to 1)."""
        return self._sums[4] / (self._sums[5] + 1.0)

    def freeze(self) -> list[Any]:
        """Return everything that `thaw` needs."""
        return [self._time, self._sums]

    def thaw(self, frozen: list[Any]) -> None:
        """Take over what `freeze` returned."""
        self._time, self._sums = frozen
