"""Sliding windows over liquidations: how many, and how many US dollars on each side."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Final, TypeAlias

from pipeline.features.ledger import FrozenLedger, Ledger, Tier, Totals

if TYPE_CHECKING:
    from collections.abc import Sequence

RESOLUTION: Final = 20
"""Buckets of the shortest window of a tier; its longer windows have more."""

FrozenWindows: TypeAlias = tuple[list[int], FrozenLedger]
"""Lengths of the windows in microseconds, and the ledger's buckets."""


class Window:
    """The newest buckets of a ledger, `width` each: up to `span` microseconds that end at a clock."""

    __slots__ = ("_ledger", "_reach", "_width")

    def __init__(self, ledger: Ledger, width: int, span: int) -> None:
        self._ledger = ledger
        self._width = width
        self._reach = span - width  # from the beginning of the clock's own bucket to that of the first one

    def count(self, clock: int) -> int:
        """Return how many liquidations the window ending at `clock` holds."""
        befores = self._ledger.befores
        first = bisect_left(self._ledger.times, clock - clock % self._width - self._reach)
        return befores[-1][0] - befores[first][0]

    def totals(self, clock: int) -> Totals:
        """Return the count and the value by side of the window ending at `clock`."""
        befores = self._ledger.befores
        first = bisect_left(self._ledger.times, clock - clock % self._width - self._reach)
        (count, longs, shorts), (count_before, longs_before, shorts_before) = befores[-1], befores[first]
        return count - count_before, longs - longs_before, shorts - shorts_before

    def is_empty(self, clock: int) -> bool:
        """Tell whether the window ending at `clock` holds nothing: cheaper than counting."""
        return self._ledger.times[-1] < clock - clock % self._width - self._reach


class Windows:
    """Windows of seven lengths on one ledger, in three tiers: those of a tier have buckets of one width.

    Parameters
    ----------
    spans
        Lengths of the windows in microseconds, shortest first.

    Raises
    ------
    ValueError
        A length is not a whole number of its tier's buckets.

    Attributes
    ----------
    spans
        The lengths in microseconds, shortest first.
    ledger
        What they look at: liquidations are added to it.
    all
        The windows, shortest first.
    burst, short, base, half_minute, minute, longest
        All but the shortest; named for the lengths of the `seed` profile.

    """

    __slots__ = (
        "all",
        "base",
        "burst",
        "half_minute",
        "ledger",
        "longest",
        "minute",
        "short",
        "spans",
    )

    def __init__(self, spans: Sequence[int]) -> None:
        self.spans = list(spans)
        groups = spans[:2], spans[2:4], spans[4:]
        tiers = [_tier(group) for group in groups]
        ledger = self.ledger = Ledger(tiers)
        self.all = [
            Window(ledger, tier.width, span)
            for tier, group in zip(tiers, groups, strict=True)
            for span in group
        ]
        _, self.burst, self.short, self.base, self.half_minute, self.minute, self.longest = self.all

    def freeze(self, clock: int) -> FrozenWindows:
        """Return what the windows ending at `clock` are made of."""
        return self.spans, self.ledger.freeze(clock)

    def thaw(self, frozen: FrozenWindows, clock: int) -> None:
        """Put back what `freeze` returned for the same clock, unless it was made with other lengths."""
        spans, ledger = frozen
        if spans == self.spans:
            self.ledger.thaw(ledger, clock)


def _tier(spans: Sequence[int]) -> Tier:
    width, rest = divmod(spans[0], RESOLUTION)
    if rest or any(span % width for span in spans):
        raise ValueError(f"windows_s: {spans} microseconds: expected multiples of a 20th of the first")
    return Tier(width, spans[-1])
