"""Running totals of liquidations by bucket of time.

Totals are noted at the end of every bucket that holds something; what a window holds is then the newest total
less the one noted before the window began. Adding an event costs the same however many windows there are,
and a clock that jumps costs nothing.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Final, TypeAlias

Totals: TypeAlias = tuple[int, int, int]
"""How many liquidations, and their value on the long and on the short side in whole US cents."""
FrozenLedger: TypeAlias = list[int]
"""For each bucket: its age in buckets, then its totals."""
_BEFORE_ALL: Final = -(1 << 62)


class Ledger:
    """Totals up to the end of each bucket, as far back as the longest window.

    Parameters
    ----------
    width
        Length of a bucket in microseconds.
    length
        Buckets of the longest window.

    Attributes
    ----------
    numbers
        Which buckets hold something, oldest first. The first entry stands for all that is forgotten.
    totals
        What had been counted by the end of each of them.

    """

    __slots__ = ("length", "numbers", "totals", "width")

    def __init__(self, width: int, length: int) -> None:
        self.width = width
        self.length = length
        self.numbers = [_BEFORE_ALL]
        self.totals: list[Totals] = [(0, 0, 0)]

    def holds(self, time: int, clock: int) -> bool:
        """Tell whether the longest window ending at `clock` covers `time` (microseconds)."""
        return clock // self.width - time // self.width < self.length

    def add(self, time: int, clock: int, added: Totals) -> None:
        """Count liquidations at `time`, which is not after `clock` (microseconds)."""
        number = time // self.width
        numbers, totals = self.numbers, self.totals
        newest = numbers[-1]
        if number >= newest:
            count, long_cents, short_cents = totals[-1]
            total = (count + added[0], long_cents + added[1], short_cents + added[2])
            if number == newest:
                totals[-1] = total
            else:
                numbers.append(number)
                totals.append(total)
                if len(numbers) > 2 * self.length:
                    self._forget(number - self.length)
        elif clock // self.width - number < self.length:
            self._add_before(number, added)

    def _forget(self, last: int) -> None:
        expired = bisect_right(self.numbers, last) - 1
        del self.numbers[:expired], self.totals[:expired]

    def _add_before(self, number: int, added: Totals) -> None:
        numbers, totals = self.numbers, self.totals
        place = bisect_left(numbers, number)
        if numbers[place] != number:
            numbers.insert(place, number)
            totals.insert(place, totals[place - 1])
        more, longs, shorts = added
        totals[place:] = [
            (count + more, long_cents + longs, short_cents + shorts)
            for count, long_cents, short_cents in totals[place:]
        ]

    def freeze(self, clock: int) -> FrozenLedger:
        """Return the buckets of the longest window ending at `clock` as numbers."""
        newest = clock // self.width
        start = bisect_right(self.numbers, newest - self.length)
        count, long_cents, short_cents = self.totals[start - 1]
        frozen: FrozenLedger = []
        for number, (counted, longs, shorts) in zip(self.numbers[start:], self.totals[start:], strict=True):
            frozen += (newest - number, counted - count, longs - long_cents, shorts - short_cents)
            count, long_cents, short_cents = counted, longs, shorts
        return frozen

    def thaw(self, frozen: FrozenLedger, clock: int) -> None:
        """Put back what `freeze` returned for the same clock."""
        newest = clock // self.width
        for at in range(0, len(frozen), 4):
            age, count, long_cents, short_cents = frozen[at : at + 4]
            self.add((newest - age) * self.width, clock, (count, long_cents, short_cents))
