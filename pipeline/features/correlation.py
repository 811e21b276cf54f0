"""How alike the venues of a symbol move: correlation of their liquidations second by second."""

from __future__ import annotations

from itertools import combinations
from math import fsum, sqrt
from typing import Final, TypeAlias

_SECOND: Final = 1_000_000

FrozenVenues: TypeAlias = tuple[list[str], list[list[int]]]
"""Names of the venues, and for each second its age, then pairs of a venue's place and its count."""


class Pair:
    """Two venues: the sum over the seconds of the product of their counts, and their correlation."""

    __slots__ = ("coefficient", "product")

    def __init__(self) -> None:
        self.product = 0
        self.coefficient = 0.0


class Venue:
    """What one venue contributes: the sums of its counts and of their squares, and how many are not 0.

    `variance` is that of the counts times the square of their number, or 0 as long as too few are not 0.
    """

    __slots__ = ("name", "pairs", "seconds", "squares", "total", "variance")

    def __init__(self, name: str) -> None:
        self.name = name
        self.total = 0
        self.squares = 0
        self.seconds = 0
        self.variance = 0
        self.pairs: dict[Venue, Pair] = {}


class Venues:
    """Liquidations of a symbol by venue and second, over the seconds that end with the clock's.

    All sums are kept as whole numbers while events come and go, so the correlation is that of its definition
    and does not drift. Only pairs with a venue that changed are computed anew.

    Parameters
    ----------
    length
        How many seconds are looked at.
    least
        In how many different seconds a venue must have events to be compared with others.
    limit
        The most venues that are kept apart. One more is left out, of the correlation and of `leader`,
        until another has been silent for `length` seconds.

    """

    __slots__ = (
        "_changed",
        "_compared",
        "_leader",
        "_least",
        "_length",
        "_limit",
        "_mean",
        "_newest",
        "_pairs",
        "_seconds",
        "_venues",
    )

    def __init__(self, length: int, least: int, limit: int) -> None:
        self._length = length
        self._least = least
        self._limit = limit
        self._newest = 0
        self._seconds: dict[int, dict[Venue, int]] = {}
        self._venues: dict[str, Venue] = {}
        self._leader: Venue | None = None
        self._changed: set[Venue] = set()
        self._pairs: list[Pair] = []
        self._compared = 0
        self._mean = 0.0

    @property
    def leader(self) -> str | None:
        """The venue with the most liquidations; of several the first by name."""
        return None if self._leader is None else self._leader.name

    def advance(self, clock: int) -> None:
        """Move the end of the window forward to the second of `clock` (microseconds)."""
        newest = clock // _SECOND
        if newest > self._newest:
            self._newest = newest
            if self._seconds:
                self._expire(newest - self._length)

    def add(self, time: int, exchange: str, count: int = 1) -> None:
        """Count liquidations at `time` (microseconds, not after the clock) unless the window began later."""
        second = time // _SECOND
        if second <= self._newest - self._length:
            return
        venue = self._venues.get(exchange) or self._enter(exchange)
        if venue is None:
            return
        counts = self._seconds.get(second)
        if counts is None:
            counts = self._seconds[second] = {}
        before = counts.get(venue, 0)
        for other, theirs in counts.items():
            if other is not venue:
                venue.pairs[other].product += count * theirs
        counts[venue] = before + count
        venue.total += count
        venue.squares += count * (count + 2 * before)
        if not before:
            venue.seconds += 1
            self._compared += venue.seconds == self._least
        self._changed.add(venue)
        leader = self._leader
        if leader is None or (venue.total >= leader.total and _rank(venue) < _rank(leader)):
            self._leader = venue

    def _enter(self, name: str) -> Venue | None:
        if len(self._venues) >= self._limit:
            return None
        venue = Venue(name)
        for other in self._venues.values():
            pair = venue.pairs[other] = other.pairs[venue] = Pair()
            self._pairs.append(pair)
        self._venues[name] = venue
        return venue

    def _expire(self, last: int) -> None:
        expired = [second for second in self._seconds if second <= last]
        for second in expired:
            self._subtract(self._seconds.pop(second))
        if expired:
            for venue in [venue for venue in self._venues.values() if not venue.total]:
                self._leave(venue)
            self._leader = min(self._venues.values(), key=_rank, default=None)

    def _subtract(self, counts: dict[Venue, int]) -> None:
        for venue, count in counts.items():
            venue.total -= count
            venue.squares -= count * count
            self._compared -= venue.seconds == self._least
            venue.seconds -= 1
        for (venue, count), (other, theirs) in combinations(counts.items(), 2):
            venue.pairs[other].product -= count * theirs
        self._changed.update(counts)

    def _leave(self, venue: Venue) -> None:
        del self._venues[venue.name]
        for other, pair in venue.pairs.items():
            del other.pairs[venue]
            self._pairs.remove(pair)
        # It stays among the changed: without pairs it only makes the mean be taken anew.
        venue.pairs.clear()

    def correlation(self) -> float:
        """Return the mean correlation of the venues' counts by second, over all pairs of venues.

        Pearson's r of counts x and y in n seconds is
        (n sum(xy) - sum(x) sum(y)) / sqrt((n sum(x^2) - sum(x)^2) (n sum(y^2) - sum(y)^2)),
        and 0 where one of them does not vary. Venues with events in too few seconds are left out; with fewer
        than two left the mean is 0.
        """
        if self._changed:
            self._update()
            compared = self._compared
            self._mean = 0.0
            if compared > 1:
                # The result of fsum does not depend on the order of the pairs, which a restart changes.
                total = fsum([pair.coefficient for pair in self._pairs])
                self._mean = 2 * total / (compared * (compared - 1))
        return self._mean

    def _update(self) -> None:
        length = self._length
        for venue in self._changed:
            total, variance = venue.total, 0
            if venue.seconds >= self._least:
                variance = length * venue.squares - total * total
            venue.variance = variance
            # A pair of two that changed comes twice, and is right the second time.
            for other, pair in venue.pairs.items():
                spread = variance * other.variance
                if spread:
                    pair.coefficient = (length * pair.product - total * other.total) / sqrt(spread)
                else:
                    pair.coefficient = 0.0
        self._changed.clear()

    def freeze(self) -> FrozenVenues:
        """Return the counts by venue and second."""
        places = {venue: place for place, venue in enumerate(self._venues.values())}
        seconds = [
            [
                self._newest - second,
                *(number for venue, count in counts.items() for number in (places[venue], count)),
            ]
            for second, counts in self._seconds.items()
        ]
        return list(self._venues), seconds

    def thaw(self, frozen: FrozenVenues, clock: int) -> None:
        """Put back what `freeze` returned at the same clock."""
        names, seconds = frozen
        self.advance(clock)
        for age, *counts in seconds:
            time = (self._newest - age) * _SECOND
            for place, count in zip(counts[::2], counts[1::2], strict=True):
                self.add(time, names[place], count)


def _rank(venue: Venue) -> tuple[int, str]:
    return -venue.total, venue.name
