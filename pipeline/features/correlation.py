"""How alike the venues of a symbol move: correlation of their liquidations second by second."""

from __future__ import annotations

from itertools import combinations
from math import fsum, sqrt
from typing import Final, TypeAlias

_SECOND: Final = 1_000_000

FrozenVenues: TypeAlias = tuple[list[str], list[int], list[int], list[int]]
"""Names of the venues and their places; then of each count its cell's age, in cells, and the count."""

MOST_VENUES: Final = 16
"""Cells of one second: a venue's count in a second is kept at second x 16 + place."""


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

    __slots__ = ("name", "pairs", "place", "seconds", "squares", "total", "variance")

    def __init__(self, name: str, place: int) -> None:
        self.name = name
        self.place = place
        self.total = 0
        self.squares = 0
        self.seconds = 0
        self.variance = 0
        self.pairs: dict[Venue, Pair] = {}

    def leads(self, other: Venue) -> bool:
        """Tell whether it has more liquidations than another venue; of equals the first by name leads."""
        return self.total > other.total or (self.total == other.total and self.name < other.name)


class Venues:
    """Liquidations of a symbol by venue and second, over the seconds that end with the clock's.

    All sums are kept as whole numbers while events come and go, so the correlation is that of its definition
    and does not drift. Only pairs with a venue that changed are compared anew.

    Parameters
    ----------
    length
        How many seconds are looked at.
    least
        In how many different seconds a venue must have events to be compared with others.
    limit
        The most venues that are kept apart, 16 at most. One more is left out, of the correlation and of
        `leader`, until another has been silent for `length` seconds.

    """

    __slots__ = (
        "_compared",
        "_counts",
        "_leader",
        "_least",
        "_length",
        "_limit",
        "_newest",
        "_pairs",
        "_venues",
    )

    def __init__(self, length: int, least: int, limit: int) -> None:
        self._length = length
        self._least = least
        self._limit = limit
        self._newest = 0
        self._counts: dict[int, int] = {}
        self._venues: dict[str, Venue] = {}
        self._leader: Venue | None = None
        self._pairs: list[Pair] = []
        self._compared = 0

    @property
    def leader(self) -> str | None:
        """The venue with the most liquidations; of several the first by name."""
        return None if self._leader is None else self._leader.name

    def advance(self, clock: int) -> None:
        """Move the end of the window forward to the second of `clock` (microseconds)."""
        newest, before = clock // _SECOND, self._newest
        if newest > before:
            self._newest = newest
            if self._counts:
                self._expire(before - self._length + 1, min(newest - self._length, before))

    def add(self, time: int, exchange: str, count: int = 1) -> None:
        """Count liquidations at `time` (microseconds, not after the clock) unless the window began later."""
        second = time // _SECOND
        if second <= self._newest - self._length:
            return
        venue = self._venues.get(exchange)
        if venue is None:
            if len(self._venues) >= self._limit:
                return
            venue = self._enter(exchange, self._free_place())
        counts, cell = self._counts, second * MOST_VENUES
        for other, pair in venue.pairs.items():
            theirs = counts.get(cell + other.place)
            if theirs:
                pair.product += count * theirs
        cell += venue.place
        before = counts.get(cell, 0)
        counts[cell] = before + count
        venue.total += count
        venue.squares += count * (count + 2 * before)
        if not before:
            venue.seconds += 1
            self._compared += venue.seconds == self._least
        self._compare(venue)
        leader = self._leader
        if venue is not leader and (leader is None or venue.leads(leader)):
            self._leader = venue

    def _free_place(self) -> int:
        taken = {venue.place for venue in self._venues.values()}
        return next(place for place in range(MOST_VENUES) if place not in taken)

    def _enter(self, name: str, place: int) -> Venue:
        venue = Venue(name, place)
        for other in self._venues.values():
            pair = venue.pairs[other] = other.pairs[venue] = Pair()
            self._pairs.append(pair)
        self._venues[name] = venue
        return venue

    def _expire(self, first: int, last: int) -> None:
        """Take out the counts of the seconds from `first` to `last`."""
        counts, least = self._counts, self._least
        changed = set()
        for cell in range(first * MOST_VENUES, (last + 1) * MOST_VENUES, MOST_VENUES):
            held = []
            for venue in self._venues.values():
                count = counts.pop(cell + venue.place, 0)
                if count:
                    venue.total -= count
                    venue.squares -= count * count
                    self._compared -= venue.seconds == least
                    venue.seconds -= 1
                    held.append((venue, count))
                    changed.add(venue)
            for (venue, count), (other, theirs) in combinations(held, 2):
                venue.pairs[other].product -= count * theirs
        for venue in changed:
            if venue.total:
                self._compare(venue)
            else:
                self._leave(venue)
        if self._leader in changed:
            self._leader = self._find_leader()

    def _find_leader(self) -> Venue | None:
        leader = None
        for venue in self._venues.values():
            if leader is None or venue.leads(leader):
                leader = venue
        return leader

    def _leave(self, venue: Venue) -> None:
        del self._venues[venue.name]
        for other, pair in venue.pairs.items():
            del other.pairs[venue]
            self._pairs.remove(pair)

    def _compare(self, venue: Venue) -> None:
        """Compute the variance of a venue that changed, and its correlation with each of the others."""
        length, total, variance = self._length, venue.total, 0
        if venue.seconds >= self._least:
            variance = length * venue.squares - total * total
        venue.variance = variance
        for other, pair in venue.pairs.items():
            spread = variance * other.variance
            if spread:
                pair.coefficient = (length * pair.product - total * other.total) / sqrt(spread)
            else:
                pair.coefficient = 0.0

    def correlation(self) -> float:
        """Return the mean correlation of the venues' counts by second, over all pairs of venues.

        Pearson's r of counts x and y in n seconds is
        (n sum(xy) - sum(x) sum(y)) / sqrt((n sum(x^2) - sum(x)^2) (n sum(y^2) - sum(y)^2)),
        and 0 where one of them does not vary. Venues with events in too few seconds are left out; with fewer
        than two left the mean is 0.
        """
        compared = self._compared
        if compared < 2:  # noqa: PLR2004
            return 0.0
        # The result of fsum does not depend on the order of the pairs, which a restart changes.
        total = fsum([pair.coefficient for pair in self._pairs])
        return 2 * total / (compared * (compared - 1))

    def freeze(self) -> FrozenVenues:
        """Return the counts by venue and second."""
        end = (self._newest + 1) * MOST_VENUES
        places = [venue.place for venue in self._venues.values()]
        return list(self._venues), places, [end - cell for cell in self._counts], list(self._counts.values())

    def thaw(self, frozen: FrozenVenues, clock: int) -> None:
        """Put back what `freeze` returned at the same clock."""
        names, places, ages, counts = frozen
        self.advance(clock)
        for name, place in zip(names[: self._limit], places, strict=False):
            self._enter(name, place)
        name_at = dict(zip(places, names, strict=True))
        end = (self._newest + 1) * MOST_VENUES
        for age, count in zip(ages, counts, strict=True):
            second, place = divmod(end - age, MOST_VENUES)
            self.add(second * _SECOND, name_at[place], count)
