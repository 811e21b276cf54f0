"""A symbol's own recent distribution of a positive quantity: how rare is what is seen now."""

from __future__ import annotations

import math
from collections import deque
from typing import Any, Final

BINS_AN_OCTAVE: Final = 4
"""Each bin is a fifth wider than the one before; what lies in one bin counts as equal."""
_LARGEST_UNIT: Final = 1e100
_BLOCK: Final = 180
"""Samples that leave a window together."""


class RecentDistribution:
    """A histogram by logarithm, sampled once a minute, that forgets exponentially.

    Parameters
    ----------
    lowest, octaves
        Where the bins begin, and over how many doublings they reach. All below is one bin more, all above
        belongs to the last.
    memory
        Minutes after which a sample counts 1/e.

    """

    __slots__ = ("_counts", "_growth", "_lowest", "_rarities", "_rate", "_unit")

    def __init__(self, lowest: float, octaves: int, memory: float) -> None:
        self._lowest = math.log2(lowest)
        self._rate = 1.0 / memory
        self._growth = math.expm1(self._rate)  # of what a sample weighs, from one to the next
        self._counts = [0.0] * (BINS_AN_OCTAVE * octaves + 1)
        self._unit = 1.0  # what a sample weighs now: the old ones stay as they are, and new ones grow
        self._rarities: dict[int, float] = {}  # of the bins that were asked for since the last sample

    def add(self, value: float, minutes: int = 1) -> None:
        """Take a value that held for some minutes."""
        growth = self._growth if minutes == 1 else math.expm1(minutes * self._rate)
        self._counts[self._bin(value)] += self._unit * growth / self._growth
        self._unit *= 1.0 + growth
        if self._unit > _LARGEST_UNIT:
            self._counts = [count / self._unit for count in self._counts]
            self._unit = 1.0
        self._rarities.clear()

    def rarity(self, value: float) -> float:
        """Return -log10 of the share of recent minutes with more than this value; equal ones count half.

        So 3 is what one minute of a thousand shows, and what is always so has 0.3. Little is rare among few:
        after n minutes at most log10(2 n + 1).
        """
        place = self._bin(value)
        found = self._rarities.get(place)
        if found is None:
            found = self._rarities[place] = self._rarity(place)
        return found

    def _bin(self, value: float) -> int:
        if value <= 0.0:
            return 0
        place = int(BINS_AN_OCTAVE * (math.log2(value) - self._lowest) + 1.0)
        return 0 if place < 1 else min(place, len(self._counts) - 1)

    def _rarity(self, place: int) -> float:
        counts, half = self._counts, 0.5 * self._unit
        less, equal, more = math.fsum(counts[:place]), counts[place], math.fsum(counts[place + 1 :])
        return math.log10(less + equal + more + half) - math.log10(more + equal / 2 + half)

    def freeze(self) -> list[Any]:
        """Return everything that `thaw` needs."""
        return [self._unit, self._counts]

    def thaw(self, frozen: list[Any]) -> None:
        """Take over what `freeze` returned."""
        self._unit, self._counts = frozen


class RecentMean:
    """A mean of samples, one a minute, that forgets exponentially; of few samples the plain mean."""

    __slots__ = ("_count", "_memory", "value")

    def __init__(self, memory: float) -> None:
        self._memory = memory
        self._count = 0.0
        self.value = 0.0

    def add(self, sample: float, minutes: int = 1) -> None:
        """Take a sample that held for some minutes."""
        self._count = min(self._count + minutes, self._memory)
        self.value += (sample - self.value) * min(1.0, minutes / self._count)

    def freeze(self) -> list[float]:
        """Return everything that `thaw` needs."""
        return [self._count, self.value]

    def thaw(self, frozen: list[float]) -> None:
        """Take over what `freeze` returned."""
        self._count, self.value = frozen


class WindowMean:
    """A mean of the last samples, one a minute, each as good as the other; those before have no say.

    The window is of whole blocks of three hours and the one under way, so up to three hours longer.

    Parameters
    ----------
    minutes
        How long the window is.

    """

    __slots__ = ("_blocks", "_count", "_sum", "_whole")

    def __init__(self, minutes: float) -> None:
        self._blocks: deque[float] = deque(maxlen=round(minutes / _BLOCK))  # sums of whole blocks
        self._whole = 0.0  # the sum of them
        self._sum, self._count = 0.0, 0  # of the block under way

    def add(self, sample: float) -> None:
        """Take a sample."""
        self._sum += sample
        self._count += 1
        if self._count == _BLOCK:
            self._blocks.append(self._sum)
            self._whole = math.fsum(self._blocks)
            self._sum, self._count = 0.0, 0

    @property
    def value(self) -> float:
        """The mean; 0 without a sample."""
        count = _BLOCK * len(self._blocks) + self._count
        return (self._whole + self._sum) / count if count else 0.0

    def freeze(self) -> list[Any]:
        """Return everything that `thaw` needs."""
        return [list(self._blocks), self._sum, self._count]

    def thaw(self, frozen: list[Any]) -> None:
        """Take over what `freeze` returned, or what a `RecentMean` did: states had one in this place."""
        if len(frozen) == 2:  # noqa: PLR2004 - its count and its value
            whole, rest = divmod(int(frozen[0]), _BLOCK)
            frozen = [[_BLOCK * frozen[1]] * whole, rest * frozen[1], rest]
        blocks, self._sum, self._count = frozen
        self._blocks.extend(blocks)
        self._whole = math.fsum(self._blocks)
