"""Sliding windows over liquidations: how many, and how many US dollars on each side."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final, TypeAlias

from pipeline.features.ledger import FrozenLedger, Ledger, Totals

if TYPE_CHECKING:
    from collections.abc import Sequence

RESOLUTION: Final = 20
"""Buckets of a ledger's shortest window; its longer windows have more."""

FrozenWindows: TypeAlias = tuple[list[int], list[FrozenLedger]]
"""Lengths of the windows in microseconds, and the ledgers' buckets."""


class Window:
    """The newest `length` buckets of a ledger: up to `span` microseconds that end at a clock."""

    __slots__ = ("_ledger", "_length")

    def __init__(self, ledger: Ledger, span: int) -> None:
        self._ledger = ledger
        self._length = span // ledger.width

    def count(self, clock: int) -> int:
        """Return how many liquidations the window ending at `clock` holds."""
        ledger = self._ledger
        first = bisect_right(ledger.numbers, clock // ledger.width - self._length)
        return ledger.totals[0] - ledger.befores[first][0] if first < len(ledger.numbers) else 0

    def totals(self, clock: int) -> Totals:
        """Return the count and the value by side of the window ending at `clock`."""
        ledger = self._ledger
        first = bisect_right(ledger.numbers, clock // ledger.width - self._length)
        if first == len(ledger.numbers):
            return 0, 0, 0
        count, long_cents, short_cents = ledger.totals
        count_before, long_before, short_before = ledger.befores[first]
        return count - count_before, long_cents - long_before, short_cents - short_before

    def is_empty(self, clock: int) -> bool:
        """Tell whether the window ending at `clock` holds nothing: cheaper than counting."""
        ledger = self._ledger
        return ledger.numbers[-1] <= clock // ledger.width - self._length


class Windows:
    """Windows of seven lengths on three ledgers: neighbours share their buckets.

    Parameters
    ----------
    spans
        Lengths of the windows in microseconds, shortest first.

    Raises
    ------
    ValueError
        A length is not a whole number of the buckets that it shares.

    Attributes
    ----------
    instant, burst, short, base, half_minute, minute, longest
        The windows, shortest first; named for the lengths of the `seed` profile.

    """

    __slots__ = (
        "_ledgers",
        "_spans",
        "_totals",
        "base",
        "burst",
        "half_minute",
        "instant",
        "longest",
        "minute",
        "short",
    )

    def __init__(self, spans: Sequence[int]) -> None:
        self._spans = list(spans)
        shared = [(_ledger(group), group) for group in (spans[:2], spans[2:4], spans[4:])]
        self._totals: Totals = (0, 0, 0)
        self._ledgers = tuple(ledger for ledger, _ in shared)
        self.instant, self.burst, self.short, self.base, self.half_minute, self.minute, self.longest = (
            Window(ledger, span) for ledger, group in shared for span in group
        )

    def hold(self, time: int, clock: int) -> bool:
        """Tell whether the longest window ending at `clock` covers `time` (microseconds)."""
        return self._ledgers[-1].holds(time, clock)

    def add(self, time: int, clock: int, long_cents: int, short_cents: int) -> None:
        """Count a liquidation at `time`, which is not after `clock` (microseconds)."""
        before = count, longs, shorts = self._totals
        totals = self._totals = count + 1, longs + long_cents, shorts + short_cents
        for ledger in self._ledgers:
            number, newest = time // ledger.width, ledger.numbers[-1]
            if number > newest:
                ledger.open(number, before)
            elif number < newest:
                ledger.add_before(number, clock, long_cents, short_cents)
            ledger.totals = totals

    def freeze(self, clock: int) -> FrozenWindows:
        """Return what the windows ending at `clock` are made of."""
        return self._spans, [ledger.freeze(clock) for ledger in self._ledgers]

    def thaw(self, frozen: FrozenWindows, clock: int) -> None:
        """Put back what `freeze` returned for the same clock, unless it was made with other lengths."""
        spans, ledgers = frozen
        if spans == self._spans:
            for ledger, buckets in zip(self._ledgers, ledgers, strict=True):
                ledger.thaw(buckets, clock)


def _ledger(spans: Sequence[int]) -> Ledger:
    width, rest = divmod(spans[0], RESOLUTION)
    if rest or any(span % width for span in spans):
        raise ValueError(f"windows of {spans} microseconds: expected multiples of a 20th of the first")
    return Ledger(width, spans[-1] // width)
