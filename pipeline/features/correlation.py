"""How alike the venues of a symbol move: correlation of their liquidations second by second."""

from __future__ import annotations

from itertools import combinations
from math import fsum, sqrt
from typing import TYPE_CHECKING, Final, TypeAlias

from pipeline.messages import SECOND

if TYPE_CHECKING:
    from collections.abc import Sequence

FrozenVenues: TypeAlias = tuple[list[str], list[int], list[int], list[int]]
"""Names of the venues and their places; then of each count its cell's age, in cells, and the count."""

MOST_VENUES: Final = 16
"""Places of a second's counts; in a snapshot a venue's count lies in cell second x 16 + place."""
_NOTHING: Final = (0,) * MOST_VENUES


class Pair:
    """Two venues: the sum over the seconds of the product of their counts, and where their correlation is."""

    __slots__ = ("index", "product")

    def __init__(self, index: int) -> None:
        self.index = index
        self.product = 0


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
        "_coefficients",
        "_compared",
        "_leader",
        "_least",
        "_length",
        "_limit",
        "_newest",
        "_rows",
        "_venues",
    )

    def __init__(self, length: int, least: int, limit: int) -> None:
        self._length = length
        self._least = least
        self._limit = limit
        self._newest = 0
        self._rows: dict[int, list[int]] = {}  # counts by place, by second
        self._venues: dict[str, Venue] = {}
        self._leader: Venue | None = None
        self._coefficients: list[float] = []  # one for each pair of venues
        self._compared = 0

    @property
    def leader(self) -> str | None:
        """The venue with the most liquidations; of several the first by name."""
        return None if self._leader is None else self._leader.name

    def advance(self, clock: int) -> None:
        """Move the end of the window forward to the second of `clock` (microseconds)."""
        newest, before = clock // SECOND, self._newest
        if newest > before:
            self._newest = newest
            if self._rows:
                self._expire(before - self._length + 1, min(newest - self._length, before))

    def add(self, time: int, exchange: str, count: int = 1) -> None:
        """Count liquidations at `time` (microseconds, not after the clock) unless the window began later."""
        second = time // SECOND
        if second <= self._newest - self._length:
            return
        venue = self._venues.get(exchange)
        if venue is None:
            if len(self._venues) >= self._limit:
                return
            venue = self._enter(exchange, self._free_place())
        row = self._rows.get(second)
        if row is None:
            row = self._rows[second] = [0] * MOST_VENUES
        place = venue.place
        before = row[place]
        row[place] = before + count
        if not before:
            venue.seconds += 1
            self._compared += venue.seconds == self._least
        venue.total += count
        venue.squares += count * (count + 2 * before)
        self._compare(venue, row, count)
        leader = self._leader
        if venue is not leader and (leader is None or venue.leads(leader)):
            self._leader = venue

    def _free_place(self) -> int:
        taken = {venue.place for venue in self._venues.values()}
        return next(place for place in range(MOST_VENUES) if place not in taken)

    def _enter(self, name: str, place: int) -> Venue:
        venue = Venue(name, place)
        for other in self._venues.values():
            venue.pairs[other] = other.pairs[venue] = Pair(len(self._coefficients))
            self._coefficients.append(0.0)
        self._venues[name] = venue
        return venue

    def _expire(self, first: int, last: int) -> None:
        """Take out the counts of the seconds from `first` to `last`."""
        changed: set[Venue] = set()
        for second in range(first, last + 1):
            row = self._rows.pop(second, None)
            if row is not None:
                changed.update(self._take_out(row))
        for venue in changed:
            if venue.total:
                self._compare(venue)
            else:
                self._leave(venue)
        if self._leader in changed:
            self._leader = self._find_leader()

    def _take_out(self, row: list[int]) -> list[Venue]:
        """Take out the counts of one second, and return the venues that had any."""
        held = [venue for venue in self._venues.values() if row[venue.place]]
        for venue in held:
            count = row[venue.place]
            venue.total -= count
            venue.squares -= count * count
            self._compared -= venue.seconds == self._least
            venue.seconds -= 1
        for venue, other in combinations(held, 2):
            venue.pairs[other].product -= row[venue.place] * row[other.place]
        return held

    def _find_leader(self) -> Venue | None:
        leader = None
        for venue in self._venues.values():
            if leader is None or venue.leads(leader):
                leader = venue
        return leader

    def _leave(self, venue: Venue) -> None:
        del self._venues[venue.name]
        for other in venue.pairs:
            del other.pairs[venue]
        coefficients: list[float] = []
        for one, other in combinations(self._venues.values(), 2):
            pair = one.pairs[other]
            coefficients.append(self._coefficients[pair.index])
            pair.index = len(coefficients) - 1
        self._coefficients = coefficients

    def _compare(self, venue: Venue, row: Sequence[int] = _NOTHING, count: int = 0) -> None:
        """Compute the variance of a venue that changed, and its correlation with each of the others.

        `count` is what was added to it in the second whose counts are `row`.
        """
        length, total, variance = self._length, venue.total, 0
        if venue.seconds >= self._least:
            variance = length * venue.squares - total * total
        venue.variance = variance
        coefficients = self._coefficients
        for other, pair in venue.pairs.items():
            beside = row[other.place]
            if beside:
                pair.product += count * beside
            spread = variance * other.variance
            coefficients[pair.index] = (
                (length * pair.product - total * other.total) / sqrt(spread) if spread else 0.0
            )

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
        return 2 * fsum(self._coefficients) / (compared * (compared - 1))

    def freeze(self) -> FrozenVenues:
        """Return the counts by venue and second."""
        end = (self._newest + 1) * MOST_VENUES
        cells = [
            (end - second * MOST_VENUES - place, count)
            for second, row in self._rows.items()
            for place, count in enumerate(row)
            if count
        ]
        places = [venue.place for venue in self._venues.values()]
        return list(self._venues), places, [age for age, _ in cells], [count for _, count in cells]

    def thaw(self, frozen: FrozenVenues, clock: int) -> None:
        """Put back what `freeze` returned at the same clock, as far as it lies within the length of today."""
        names, places, ages, counts = frozen
        self.advance(clock)
        for name, place in zip(names[: self._limit], places, strict=False):
            self._enter(name, place)
        name_at = dict(zip(places, names, strict=True))
        end = (self._newest + 1) * MOST_VENUES
        for age, count in zip(ages, counts, strict=True):
            second, place = divmod(end - age, MOST_VENUES)
            self.add(second * SECOND, name_at[place], count)
        for venue in [venue for venue in self._venues.values() if not venue.total]:
            self._leave(venue)
