"""Which venues were silent, as of event time: of collectors' gaps, those that a signal has to tell of."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Final

from msgspec import UNSET, Struct, UnsetType

from pipeline.contract import FEED_COLLECTOR, FEED_UNHEARD
from pipeline.messages import FeedGap, micros, seconds
from pipeline.signals.as_of import FOREVER

if TYPE_CHECKING:
    from pipeline.messages import FeedStatus

MOST_GAPS: Final = 32
"""Gaps that are remembered: those that ended first are left out, as no snapshot may reach 64 KiB."""
_LONGEST: Final = 86_400_000_000
"""Microseconds for which a gap is told of that nobody ends: its collector may be gone for good."""
_UNHEARD: Final = micros(FEED_UNHEARD)
_until: Final = attrgetter("until")


class Gap(Struct, gc=False):
    """A time without data of one stream, and from when on it was known, in microseconds."""

    exchange: str
    stream: str
    told: int
    since: int
    until: int


class Feeds:
    """The gaps that a symbol's clock may still ask for.

    Parameters
    ----------
    span
        Microseconds that a signal looks back: for so long it tells of a gap that is over.

    """

    __slots__ = ("_span", "gaps")

    def __init__(self, span: int) -> None:
        self._span = span
        self.gaps: list[Gap] = []

    def take(self, status: FeedStatus) -> None:
        """Note a gap, or the end of those of a stream that is back; one that ends where it began was none."""
        since, until = micros(status.since), FOREVER if status.until is None else micros(status.until)
        if status.stream == FEED_COLLECTOR:
            self._collected(status.exchange, since)
            return
        own = [gap for gap in self.gaps if (gap.exchange, gap.stream) == (status.exchange, status.stream)]
        for gap in own:
            if gap.since <= until < gap.until:
                gap.until = until
        self.gaps = [gap for gap in self.gaps if gap.since < gap.until]
        if since < until and all(gap.since != since for gap in own):
            told = max(micros(status.told), since)
            self.gaps.append(Gap(status.exchange, status.stream, told, since, until))

    def _collected(self, exchange: str, time: int) -> None:
        """Note the gap that begins where a collector says last that it runs: once killed it cannot tell."""
        for gap in self.gaps:
            if (gap.exchange, gap.stream, gap.until) == (exchange, FEED_COLLECTOR, FOREVER):
                if time <= gap.since:
                    return
                gap.until = time if time >= gap.told else gap.since
        self.gaps = [gap for gap in self.gaps if gap.since < gap.until]
        self.gaps.append(Gap(exchange, FEED_COLLECTOR, time + _UNHEARD, time, FOREVER))

    def forget(self, horizon: int) -> None:
        """Forget what no clock after a time (microseconds) has to tell of."""
        if self.gaps:
            kept = [gap for gap in self.gaps if self._end(gap) > horizon]
            self.gaps = sorted(kept, key=_until)[-MOST_GAPS:]

    def at(self, clock: int) -> tuple[list[FeedGap] | UnsetType, int]:
        """Return the venues to tell of at a clock (microseconds), and from when on there may be others."""
        if not self.gaps:
            return UNSET, FOREVER
        found: dict[str, tuple[int, int]] = {}
        turn = FOREVER
        for gap in self.gaps:
            end = self._end(gap)
            turn = min(time for time in (turn, gap.told, gap.until, end) if time > clock)
            if gap.told <= clock < end:
                since, until = found.get(gap.exchange, (gap.since, 0))
                ended = gap.until if gap.until <= clock else FOREVER
                found[gap.exchange] = min(gap.since, since), max(ended, until)
        gaps = [
            FeedGap(exchange, seconds(since), None if until == FOREVER else seconds(until))
            for exchange, (since, until) in sorted(found.items())
        ]
        return gaps or UNSET, turn

    def _end(self, gap: Gap) -> int:
        """Return from when on a gap is not told of any more."""
        return gap.told + _LONGEST if gap.until == FOREVER else gap.until + self._span
