"""A ledger of liquidations by time, in buckets as fine as their age demands.

For every bucket that holds something it notes what there had been before it. What a window holds is then all
that there has been, less what had been before the window's first bucket. Adding an event costs the same
however many windows there are, and a clock that jumps costs nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import pairwise
from math import gcd
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

Totals: TypeAlias = tuple[int, int, int]
"""How many liquidations, and their value on the long and on the short side in whole US cents."""
FrozenLedger: TypeAlias = tuple[list[int], list[Totals]]
"""For each bucket: its age in finest buckets, and what there has been from its beginning on."""
_BEFORE_ALL: Final = -(1 << 62)


class Tier(NamedTuple):
    """Windows that begin at multiples of `width` and reach back `span` at most, in microseconds."""

    width: int
    span: int

    def begin(self, clock: int) -> int:
        """Return where the longest window ending at `clock` begins."""
        return clock - clock % self.width - self.span + self.width


class Ledger:
    """What there had been before each bucket, as far back as the longest window.

    Parameters
    ----------
    tiers
        The windows that are asked for, shortest first. What lies farther back than a tier's windows is
        asked for by longer ones alone, which do not tell its buckets apart: `tidy` puts them together.

    Attributes
    ----------
    times
        Where buckets that hold something begin (microseconds), oldest first.
    befores
        What there had been before each of them, and at the end all that there has been. What is forgotten of
        that does not matter: only differences do.

    """

    __slots__ = ("_grain", "_grains", "_most", "_tiers", "befores", "times")

    def __init__(self, tiers: Sequence[Tier]) -> None:
        self._tiers = tiers
        self._grains = [gcd(*[tier.width for tier in tiers[place:]]) for place in range(len(tiers))]
        self._grain = self._grains[0]
        self._most = 2 * sum(tier.span // grain for tier, grain in zip(tiers, self._grains, strict=True))
        self.times = [_BEFORE_ALL]
        self.befores: list[Totals] = [(0, 0, 0), (0, 0, 0)]

    def holds(self, time: int, clock: int) -> bool:
        """Tell whether the longest window ending at `clock` covers `time` (microseconds)."""
        return time >= self._tiers[-1].begin(clock)

    def add(self, time: int, clock: int, long_cents: int, short_cents: int) -> None:
        """Count a liquidation at a `time` that the ledger holds, not after `clock` (microseconds)."""
        befores, bucket, newest = self.befores, time - time % self._grain, self.times[-1]
        if bucket < newest:
            self._add_before(bucket, long_cents, short_cents)
            return
        count, longs, shorts = befores[-1]
        totals = count + 1, longs + long_cents, shorts + short_cents
        if bucket == newest:
            befores[-1] = totals
            return
        befores.append(totals)
        self.times.append(bucket)
        if len(self.times) > self._most:
            self.tidy(clock)

    def _add_before(self, bucket: int, long_cents: int, short_cents: int) -> None:
        """Count a liquidation in a bucket before the newest one."""
        times, befores = self.times, self.befores
        place = bisect_left(times, bucket)
        if times[place] != bucket:
            times.insert(place, bucket)
            befores.insert(place, befores[place])
        befores[place + 1 :] = [
            (count + 1, longs + long_cents, shorts + short_cents)
            for count, longs, shorts in befores[place + 1 :]
        ]

    def tidy(self, clock: int) -> None:
        """Forget what no window ending at `clock` or later holds; put together what none tells apart.

        No window's answer changes by it.
        """
        times, befores, newest = [_BEFORE_ALL], [self.befores[0]], _BEFORE_ALL
        begins = [bisect_left(self.times, tier.begin(clock)) for tier in reversed(self._tiers)]
        parts = pairwise([*begins, len(self.times)])
        for grain, (first, end) in zip(reversed(self._grains), parts, strict=True):
            for time, before in zip(self.times[first:end], self.befores[first:end], strict=True):
                bucket = time - time % grain
                if bucket > newest:
                    newest = bucket
                    times.append(bucket)
                    befores.append(before)
        befores.append(self.befores[-1])
        self.times, self.befores = times, befores

    def freeze(self, clock: int) -> FrozenLedger:
        """Return the buckets of the windows ending at `clock`."""
        self.tidy(clock)
        count, longs, shorts = self.befores[-1]
        newest = clock // self._grain
        return [newest - time // self._grain for time in self.times[1:]], [
            (count - counted, longs - long_cents, shorts - short_cents)
            for counted, long_cents, short_cents in self.befores[1:-1]
        ]

    def thaw(self, frozen: FrozenLedger, clock: int) -> None:
        """Put back what `freeze` returned for the same clock, into a new ledger."""
        ages, sums = frozen
        newest = clock // self._grain
        self.times += [(newest - age) * self._grain for age in ages]
        self.befores[1:-1] = [(-count, -longs, -shorts) for count, longs, shorts in sums]
