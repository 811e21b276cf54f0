"""What the velocity measurement keeps: for each symbol, and of the market."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from pipeline.features.correlation import FrozenVenues, Venues
from pipeline.features.duplicates import Duplicates, FrozenDuplicates
from pipeline.features.state import State
from pipeline.features.windows import FrozenWindows, Windows
from pipeline.messages import Context, Liquidation, VelocityUpdate, micros

CALMING: Final = 10_000_000
"""Microseconds for which contexts tick a symbol on: a fall of its level may not be due at once.

The longest `emit_interval_s` of a profile's score.
"""


class Market(State):
    """The newest context of the market, and its time in microseconds (0: there is none)."""

    __slots__ = ("context", "time")

    def __init__(self) -> None:
        super().__init__()
        self.context: Context | None = None
        self.time = 0

    def set(self, context: Context) -> None:
        """Replace the context."""
        self.context = context
        self.time = micros(context.timestamp)

    @property
    def position(self) -> tuple[int, ...]:
        """The context's time: no offsets are kept for contexts, the newer one wins."""
        return (self.time,)

    def freeze(self) -> Any:
        """Return the context as it is on the wire."""
        return msgspec.to_builtins(self.context)

    def thaw(self, frozen: Any) -> None:
        """Put back what `freeze` returned."""
        if frozen is not None:
            self.set(msgspec.convert(frozen, Context))


class FrozenVelocity(Struct, array_like=True):
    """The stored form of a symbol's state."""

    clock: int
    event_time: int
    late: int
    calm_from: int
    windows: FrozenWindows
    venues: FrozenVenues
    duplicates: FrozenDuplicates
    publish_from: int
    published: list[Any] | None


class VelocityState(State):
    """The liquidations of a symbol, as far as its windows reach.

    Attributes
    ----------
    clock, event_time
        The symbol's clock, and its newest liquidation or price, in microseconds.
    late
        Liquidations older than the longest window.
    recent
        Whether the minute up to the clock held a liquidation when it was last looked at.
    calm_from
        The clock (microseconds) from which contexts have nothing more to tell the symbol.
    published, publish_from
        The newest update that was sent, and the clock (microseconds) from which the next one may be.

    """

    __slots__ = (
        "calm_from",
        "clock",
        "duplicates",
        "event_time",
        "late",
        "publish_from",
        "published",
        "recent",
        "symbol",
        "venues",
        "windows",
    )

    def __init__(self, symbol: str, windows: Windows, venues: Venues, duplicates: Duplicates) -> None:
        super().__init__()
        self.symbol = symbol
        self.clock = 0
        self.event_time = 0
        self.late = 0
        self.recent = False
        self.calm_from = 0
        self.windows = windows
        self.venues = venues
        self.duplicates = duplicates
        self.published: VelocityUpdate | None = None
        self.publish_from = 0

    @property
    def position(self) -> tuple[int, ...]:
        """What was read, and the clock: contexts have no offset, but move it."""
        return *super().position, self.clock

    @property
    def active(self) -> bool:
        """Whether a level may have to come down: without prices, the context has to see to that.

        The tick that finds the minute empty is not enough: soon after a signal it brings no other.
        """
        return self.clock < self.calm_from

    @property
    def skipped(self) -> Mapping[str, int]:
        """Late and repeated liquidations, and those forgotten too early for their repeats to be known."""
        return {
            "late_liquidations": self.late,
            "repeated_liquidations": self.duplicates.repeats,
            "forgotten_liquidations": self.duplicates.overflow,
        }

    def advance(self, clock: int) -> bool:
        """Move the clock forward, and tell whether it moved: an older one changes nothing."""
        if clock <= self.clock:
            return False
        self.clock = clock
        self.venues.advance(clock)
        self._look_back(self.windows.minute.is_empty(clock))
        return True

    def fold(self, liquidation: Liquidation, time: int, clock: int) -> bool:
        """Count a liquidation, and tell whether it was: a late one or a repeat changes nothing.

        Parameters
        ----------
        liquidation, time
            What came, and its timestamp in microseconds.
        clock
            What the symbol's clock is with it.

        """
        if time < clock and not self.windows.ledger.holds(time, clock):
            self.late += 1
            return False
        if self.duplicates.is_repeat(liquidation, time, clock):
            return False
        cents = round(liquidation.value_usd * 100)  # type: ignore[operator]  # set when it was decoded
        long_cents = cents if liquidation.side == "long" else 0
        self.windows.ledger.add(time, clock, long_cents, cents - long_cents)
        self.venues.advance(clock)
        self.venues.add(time, liquidation.exchange)
        self.clock = clock
        self._look_back(time != clock and self.windows.minute.is_empty(clock))
        if time > self.event_time:  # noqa: PLR1730 - for each liquidation, and `max` takes longer
            self.event_time = time
        return True

    def _look_back(self, empty: bool) -> None:
        self.recent = not empty
        if not empty:
            self.calm_from = self.clock + CALMING

    def freeze(self) -> FrozenVelocity:
        """Return everything that decides about the future."""
        return FrozenVelocity(
            self.clock,
            self.event_time,
            self.late,
            self.calm_from,
            self.windows.freeze(self.clock),
            self.venues.freeze(),
            self.duplicates.freeze(self.clock),
            self.publish_from,
            None if self.published is None else list(msgspec.structs.astuple(self.published)),
        )

    def thaw(self, frozen: Any) -> None:
        """Put back what `freeze` returned; windows of other lengths than today's start empty."""
        stored = msgspec.convert(frozen, FrozenVelocity)
        self.clock = stored.clock
        self.event_time = stored.event_time
        self.late = stored.late
        self.calm_from = stored.calm_from
        self.windows.thaw(stored.windows, self.clock)
        self.venues.thaw(stored.venues, self.clock)
        self.duplicates.thaw(stored.duplicates, self.clock)
        self.recent = not self.windows.minute.is_empty(self.clock)
        self.publish_from = stored.publish_from
        if stored.published is not None:
            self.published = VelocityUpdate(*stored.published)
