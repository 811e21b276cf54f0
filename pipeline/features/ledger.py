"""A ledger of liquidations by bucket of time.

For every bucket that holds something it notes what there had been before it. What a window holds is then all
that there has been, less what had been before the window's first bucket. Adding an event costs the same
however many windows there are, and a clock that jumps costs nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final, TypeAlias

Totals: TypeAlias = tuple[int, int, int]
"""How many liquidations, and their value on the long and on the short side in whole US cents."""
FrozenLedger: TypeAlias = tuple[list[int], list[Totals]]
"""For each bucket: its age in buckets, and what there has been from its beginning on."""
_BEFORE_ALL: Final = -(1 << 62)


class Ledger:
    """What there had been before each bucket, as far back as the longest window.

    Parameters
    ----------
    width
        Length of a bucket in microseconds.
    length
        Buckets of the longest window.

    Attributes
    ----------
    numbers, befores
        Which buckets hold something, oldest first, and what there had been before each of them.
    totals
        All that there has been. What is forgotten of it does not matter: only differences do.

    """

    __slots__ = ("befores", "length", "numbers", "totals", "width")

    def __init__(self, width: int, length: int) -> None:
        self.width = width
        self.length = length
        self.numbers = [_BEFORE_ALL]
        self.befores: list[Totals] = [(0, 0, 0)]
        self.totals: Totals = (0, 0, 0)

    def holds(self, time: int, clock: int) -> bool:
        """Tell whether the longest window ending at `clock` covers `time` (microseconds)."""
        return clock // self.width - time // self.width < self.length

    def open(self, number: int, before: Totals) -> None:
        """Begin a bucket after all others; `before` is what there has been until then."""
        numbers = self.numbers
        numbers.append(number)
        self.befores.append(before)
        if len(numbers) > 2 * self.length:
            expired = bisect_right(numbers, number - self.length)
            del numbers[:expired], self.befores[:expired]

    def add_before(self, number: int, clock: int, long_cents: int, short_cents: int) -> None:
        """Count a liquidation in a bucket before the newest one."""
        numbers, befores = self.numbers, self.befores
        later = bisect_right(numbers, number)
        if clock // self.width - number < self.length and numbers[later - 1] != number:
            numbers.insert(later, number)
            befores.insert(later, befores[later])
            later += 1
        befores[later:] = [
            (count + 1, longs + long_cents, shorts + short_cents) for count, longs, shorts in befores[later:]
        ]

    def freeze(self, clock: int) -> FrozenLedger:
        """Return the buckets of the longest window ending at `clock`."""
        newest = clock // self.width
        start = bisect_right(self.numbers, newest - self.length)
        count, longs, shorts = self.totals
        return [newest - number for number in self.numbers[start:]], [
            (count - counted, longs - long_cents, shorts - short_cents)
            for counted, long_cents, short_cents in self.befores[start:]
        ]

    def thaw(self, frozen: FrozenLedger, clock: int) -> None:
        """Put back what `freeze` returned for the same clock, into a new ledger."""
        ages, sums = frozen
        newest = clock // self.width
        self.numbers += [newest - age for age in ages]
        self.befores += [(-count, -longs, -shorts) for count, longs, shorts in sums]
