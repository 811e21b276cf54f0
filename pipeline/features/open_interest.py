"""Open interest of one symbol over its venues."""

from __future__ import annotations

from bisect import bisect_right
from math import fsum
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from pipeline.messages import SECOND

_SLOT: Final = 5 * SECOND
"""Of the values of 5 s the newest is remembered: 120 a venue."""
LEAST_USD: Final = 1.0
"""Less open interest than this is nothing to have changed from."""


class VenueConstants(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How open interest and funding are joined over venues.

    Attributes
    ----------
    short_s, short_limit_s
        The change over 1 minute is from the newest value at least and at most this old.
    long_s, long_limit_s
        The same over 5 minutes; a venue silent for longer than `long_limit_s` drops out of the sum.
    funding_lifetime_s
        A venue silent for longer drops out of the funding rate.
    most_venues
        Further venues are counted and ignored, until one has been silent for too long.

    Raises
    ------
    ValueError
        A limit is shorter than its span, or the short span reaches farther back than the long one.

    """

    short_s: Annotated[int, Meta(ge=5, le=600)] = 60
    short_limit_s: Annotated[int, Meta(ge=5, le=600)] = 360
    long_s: Annotated[int, Meta(ge=5, le=600)] = 300
    long_limit_s: Annotated[int, Meta(ge=5, le=600)] = 600
    funding_lifetime_s: Annotated[int, Meta(ge=60, le=7 * 86_400)] = 9 * 3_600
    most_venues: Annotated[int, Meta(ge=1, le=16)] = 16

    def __post_init__(self) -> None:
        if not (self.short_s <= self.short_limit_s and self.long_s <= self.long_limit_s):
            raise ValueError("short_limit_s, long_limit_s: expected at least short_s and long_s")
        if self.short_limit_s > self.long_limit_s:
            raise ValueError("short_limit_s: expected at most long_limit_s")


class History:
    """The open interest of one venue over the last 10 minutes: times (microseconds) and US dollars."""

    __slots__ = ("times", "values")

    def __init__(self) -> None:
        self.times: list[int] = []
        self.values: list[float] = []

    def add(self, time: int, value: float, memory: int) -> None:
        """Add the newest value and forget those older than `memory` before it."""
        if self.times and self.times[-1] // _SLOT == time // _SLOT:
            self.times[-1], self.values[-1] = time, value
            return
        self.times.append(time)
        self.values.append(value)
        old = bisect_right(self.times, time - memory - 1)
        del self.times[:old], self.values[:old]

    def between(self, oldest: int, newest: int) -> float | None:
        """Return the newest value of a time from `oldest` to `newest`; None when there is none."""
        index = bisect_right(self.times, newest) - 1
        if index < 0 or self.times[index] < oldest:
            return None
        return self.values[index]


class OpenInterests:
    """Open interest of one symbol, summed over venues.

    Attributes
    ----------
    time
        That of the newest value of any venue, in microseconds; changes are measured back from it.

    """

    __slots__ = ("_constants", "_venues", "time")

    def __init__(self, constants: VenueConstants) -> None:
        self._constants = constants
        self._venues: dict[str, History] = {}
        self.time: int | None = None

    def add(self, exchange: str, time: int, value: float) -> bool:
        """Take a value in US dollars; False when it is too old, or of a venue too many.

        Too old is what is older than the venue's newest, or than a venue may be silent.
        """
        memory = self._constants.long_limit_s * SECOND
        now = max(time, self.time or 0)
        self._forget(now - memory)
        history = self._venues.get(exchange)
        if history is None:
            if time < now - memory or len(self._venues) >= self._constants.most_venues:
                return False
            history = self._venues[exchange] = History()
        elif time < history.times[-1]:
            return False
        history.add(time, value, memory)
        self.time = now
        return True

    def _forget(self, horizon: int) -> None:
        silent = [exchange for exchange, history in self._venues.items() if history.times[-1] < horizon]
        for exchange in silent:
            del self._venues[exchange]

    def total(self) -> float | None:
        """Return the sum of the newest value of each venue; None without venues."""
        if not self._venues:
            return None
        return fsum(history.values[-1] for history in self._venues.values())

    def newest(self, exchange: str) -> float | None:
        """Return a venue's newest value; None when it is not known."""
        history = self._venues.get(exchange)
        return None if history is None else history.values[-1]

    def change_1m(self) -> float | None:
        """Return the change over 1 minute as a fraction; None without a venue that has both values."""
        return self._change(self._constants.short_s, self._constants.short_limit_s)

    def change_5m(self) -> float | None:
        """Return the change over 5 minutes as a fraction; None without a venue that has both values."""
        return self._change(self._constants.long_s, self._constants.long_limit_s)

    def _change(self, span_s: int, limit_s: int) -> float | None:
        """Return sum now / sum then - 1 over the venues with a value from that time."""
        clock = self.time or 0
        now = then = 0.0
        for history in self._venues.values():
            value = history.between(clock - limit_s * SECOND, clock - span_s * SECOND)
            if value is not None:
                now += history.values[-1]
                then += value
        return (now - then) / then if then >= LEAST_USD else None

    def freeze(self) -> list[Any]:
        """Return everything that `thaw` needs."""
        venues = [[exchange, list(kept.times), list(kept.values)] for exchange, kept in self._venues.items()]
        return [self.time, venues]

    def thaw(self, frozen: list[Any]) -> None:
        """Take over what `freeze` returned."""
        self.time, venues = frozen
        for exchange, times, values in venues:
            history = self._venues[exchange] = History()
            history.times, history.values = times, values
