"""Which price ticks count: one venue, in order, believable, without a gap."""

from operator import attrgetter
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from pipeline.messages import SECOND, normal_exchange


class SamplingConstants(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What makes a price tick count.

    Attributes
    ----------
    venue
        The reference venue by name; without one the first seen.
    gap_s
        Silence after which another venue may take over and the run of prices starts again.
    bar_tolerance, longest_bar_s
        With bars, silence is allowed to last this many times the newest interval, up to this many seconds.
    disbelief, belief_ticks
        A price off by more than this fraction needs this many ticks to be believed.

    """

    venue: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    gap_s: Annotated[int, Meta(ge=1, le=900)] = 60
    bar_tolerance: Annotated[float, Meta(ge=1, le=10)] = 1.5
    longest_bar_s: Annotated[int, Meta(ge=1, le=3_600)] = 900
    disbelief: Annotated[float, Meta(gt=0, lt=1)] = 0.1
    belief_ticks: Annotated[int, Meta(ge=1, le=100)] = 3

    def __post_init__(self) -> None:
        if self.venue is not None and normal_exchange(self.venue) != self.venue:
            raise ValueError(
                f"venue: expected {normal_exchange(self.venue)}, as venues are named in messages"
            )


_KEPT: Final = (
    *("start", "_venue", "_time", "_second", "_cadence", "_price", "_ticks", "_candidate", "_votes"),
    *("late", "doubted"),
)
"""What a sampler knows, in the order of its snapshot."""
_kept: Final = attrgetter(*_KEPT)


class Sampler:
    """Pick the ticks of one symbol that count, out of those of all venues.

    A venue speaks for the symbol until it is silent for longer than `gap_s`; then the next one to tick takes
    over. A venue named in the constants takes over whenever it ticks. Each change of venue, and each gap
    over `gap_s`, starts the run of prices again.

    Bars: whoever sends a price every 5 minutes is not silent in between. The patience with silence and gaps
    is therefore the longer of `gap_s` and 1.5 times the newest interval between seconds with a price, at
    most 15 minutes. The first interval over 60 s still starts again, the second one is known to be a bar's:
    5-minute bars have their first return with the third bar.

    A price more than 10% off the believed one is only a candidate, until three ticks in a row agree on it
    (within 10% of each other). If the believed price had itself been seen fewer than three times, it was no
    price to return from, and the run starts again.

    Attributes
    ----------
    start
        The second with which the run of prices without a gap began.
    anew
        Whether the newest tick that counts showed that all prices before it were wrong.
    late, doubted
        Ticks of the venue that speaks which are older than its newest, and which were not believed.

    """

    __slots__ = ("_constants", "anew", *_KEPT)

    def __init__(self, constants: SamplingConstants) -> None:
        self._constants = constants
        self.start = 0
        self.anew = False
        self.late = 0
        self.doubted = 0
        self._venue: str | None = None
        self._time = 0
        self._second = 0
        self._cadence = 0
        self._price = 0.0
        self._ticks = 0
        self._candidate = 0.0
        self._votes = 0

    def accept(self, exchange: str, time: int, price: float) -> bool:
        """Take a tick (time in microseconds); tell whether it counts."""
        if time < self._time:
            self.late += exchange == self._venue
            return False
        second = time // SECOND
        if exchange != self._venue and not self._take_over(exchange, second):
            return False
        if second != self._second:
            self._follow(second)
        self._time = time
        return self._believe(price)

    def _patience(self) -> float:
        constants = self._constants
        bar = min(constants.bar_tolerance * self._cadence, constants.longest_bar_s)
        return max(constants.gap_s, bar)

    def _take_over(self, exchange: str, second: int) -> bool:
        free = self._venue is None or second - self._second > self._patience()
        if free or exchange == self._constants.venue:
            self._venue = exchange
            self.start = second
            return True
        return False

    def _follow(self, second: int) -> None:
        interval = second - self._second
        if interval > self._patience():
            self.start = second
        # The very first interval reaches back to 1970.
        self._cadence = interval if self._second else 0
        self._second = second

    def _believe(self, price: float) -> bool:
        constants = self._constants
        self.anew = False
        if self._ticks and self._off(price, self._price):
            if not self._persuaded(price):
                self.doubted += 1
                return False
            if self._ticks < constants.belief_ticks:
                self.start, self.anew = self._second, True
            self._ticks = constants.belief_ticks
        elif self._ticks < constants.belief_ticks:
            self._ticks += 1
        self._price = price
        self._votes = 0
        return True

    def _off(self, price: float, believed: float) -> bool:
        return abs(price - believed) > self._constants.disbelief * believed

    def _persuaded(self, price: float) -> bool:
        agrees = self._votes and not self._off(price, self._candidate)
        self._votes = self._votes + 1 if agrees else 1
        self._candidate = price
        return self._votes >= self._constants.belief_ticks

    def freeze(self) -> list[Any]:
        """Return everything that `thaw` needs."""
        return list(_kept(self))

    def thaw(self, frozen: list[Any]) -> None:
        """Take over what `freeze` returned."""
        for name, value in zip(_KEPT, frozen, strict=True):
            setattr(self, name, value)
