"""What the scoring stage knows: about the market as a whole, and about each symbol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import structs

from pipeline.features.habits import HabitConstants, Habits
from pipeline.features.measurements import PositioningReading
from pipeline.features.state import State
from pipeline.features.states import LIFETIME
from pipeline.messages import Context
from pipeline.signals import levels
from pipeline.signals.as_of import AsOf
from pipeline.signals.feeds import Feeds, Gap
from pipeline.signals.weights import Weights, WeightSet

if TYPE_CHECKING:
    from pipeline.signals.joins import Joined

MOST_CONTEXTS: Final = 128
MOST_WEIGHT_SETS: Final = 128
MOST_READINGS: Final = 384
"""Values kept for joins, so that no snapshot reaches 64 KiB."""


class SharedState(State):
    """What a partition knows about the market as a whole: contexts, weights set at run time, silent feeds.

    Every symbol's clock is at least the newest context less the grace (`horizon`): older contexts and
    weights than the newest of that age can never be asked for again, and are forgotten.
    """

    __slots__ = ("contexts", "feeds", "horizon", "revision", "weight_sets")

    def __init__(self, memory: int, span: int) -> None:
        super().__init__()
        self.contexts: AsOf[Context] = AsOf(memory, MOST_CONTEXTS)
        self.weight_sets: AsOf[WeightSet] = AsOf(memory, MOST_WEIGHT_SETS)
        self.feeds = Feeds(span)
        self.horizon = 0
        self.revision = 0

    @property
    def position(self) -> tuple[int, ...]:
        """The times of the newest context and weights, and how far feeds were read: it grows with each."""
        return (self.contexts.newest + self.weight_sets.newest + super().position[0],)

    @property
    def weights(self) -> Weights | None:
        """The newest weights that were set at run time; None where the profile's are in force."""
        return self.weight_sets.values[-1].values if self.weight_sets.values else None

    def freeze(self) -> Any:
        """Return everything that `thaw` needs; without gaps it is what it was before feeds were known."""
        contexts = [structs.astuple(context) for context in self.contexts.values]
        weight_sets = [(chosen.version, chosen.values) for chosen in self.weight_sets.values]
        frozen = self.horizon, self.contexts.times, contexts, self.weight_sets.times, weight_sets
        gaps = [structs.astuple(gap) for gap in self.feeds.gaps]
        return (*frozen, gaps) if gaps else frozen

    def thaw(self, frozen: Any) -> None:
        """Take up what `freeze` described."""
        self.horizon, self.contexts.times, contexts, self.weight_sets.times, weight_sets, *gaps = frozen
        self.contexts.values = [Context(*fields) for fields in contexts]
        self.weight_sets.values = [
            WeightSet(version, None if values is None else tuple(values)) for version, values in weight_sets
        ]
        self.feeds.gaps = [Gap(*fields) for each in gaps for fields in each]


class SymbolState(State):
    """What was last sent about a symbol, its clock (microseconds), and its positioning for the join.

    `event_time` is its newest liquidation or price, in microseconds. `habits` is what is usual for it, where
    the profile asks for that. `joined` is the last join, good until its time is over or the market's
    `revision` has moved on.
    """

    __slots__ = (
        "clock",
        "event_time",
        "habits",
        "joined",
        "level",
        "readings",
        "revision",
        "sent",
        "sequence",
    )

    def __init__(self, memory: int, habits: HabitConstants | None = None) -> None:
        super().__init__()
        self.habits = None if habits is None else Habits(habits)
        self.level = levels.NONE
        self.sequence = 0
        self.sent = 0
        self.clock = 0
        self.event_time = 0
        self.revision = 0
        self.joined: Joined | None = None
        self.readings: AsOf[PositioningReading] = AsOf(memory, MOST_READINGS)

    @property
    def position(self) -> tuple[int, ...]:
        """What was read, what was sent, and the clock: ticks have no offset, but move the other two.

        A price may move neither, but a habit.
        """
        moved = (*super().position, self.sequence, self.clock)
        return moved if self.habits is None else (*moved, self.habits.priced_to)

    @property
    def active(self) -> bool:
        """Whether contexts have to bring its level down: not where its next record finds it new anyway."""
        return self.level > levels.NONE and self.clock - self.newest <= LIFETIME

    def freeze(self) -> Any:
        """Return everything that `thaw` needs."""
        readings = [structs.astuple(reading) for reading in self.readings.values]
        habits = None if self.habits is None else self.habits.freeze()
        positioning = self.readings.times, readings
        return self.level, self.sequence, self.sent, self.clock, *positioning, habits, self.event_time

    def thaw(self, frozen: Any) -> None:
        """Take up what `freeze` described; states of before have no time of their newest event."""
        self.level, self.sequence, self.sent, self.clock, self.readings.times, readings, *more = frozen
        habits, event_time = (*more, None, None)[:2]
        self.event_time = self.clock if event_time is None else event_time
        if self.habits is not None and habits is not None:
            self.habits.thaw(habits)
        self.readings.values = [PositioningReading(*fields) for fields in readings]
