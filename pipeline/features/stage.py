"""What the steps of the pipeline have in common: events, outputs, the state of a key.

An event passes through the stages in a fixed order. Each stage folds it into its own state, notes on the
event what later stages need, and adds the messages to be sent. Stages share nothing else, so the result
depends on the order of the events alone, never on how they were cut into batches.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeAlias, TypeVar

from msgspec import Struct

from pipeline import codec, contract

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pipeline.features.positioning import PositioningReading
    from pipeline.features.states import States
    from pipeline.features.velocity import Measurement
    from pipeline.features.volatility import VolatilityReading
    from pipeline.messages import Context, Incoming, Outgoing

Order: TypeAlias = tuple[int, tuple[int, ...]]
"""A state's incarnation and position: of two states of a key, the greater is the newer."""
TOLD: Final = frozenset((*contract.OUTPUTS, contract.CONTEXT))
"""Every topic that a stage sends to."""
SHARED: Final = ""
"""The key of state that belongs to a partition as a whole: no symbol is empty."""


class Output(Struct, gc=False):
    """A message to be sent: its topic, its key (a symbol) and its body."""

    topic: str
    key: str
    body: Outgoing

    @property
    def message(self) -> dict[str, Any]:
        """The body as a consumer sees it on Kafka."""
        return codec.to_dict(self.body)


class Event(Struct, gc=False, eq=False):
    """One decoded message on its way through the stages.

    Attributes
    ----------
    topic, symbol, message
        Where it came from, whose it is, and the decoded message.
    time
        The message's timestamp in whole microseconds.
    offset, last
        Its record's offset, and whether it is the last message of that record.
    positioning, volatility, context, measurements
        What the stages of those names found, for the stages after them.
    outputs
        What is to be sent, in order.
    told
        The topics that somebody listens to: what is sent to others is left out.

    """

    topic: str
    symbol: str
    message: Incoming
    time: int
    offset: int
    last: bool = True
    positioning: PositioningReading | None = None
    volatility: VolatilityReading | None = None
    context: Context | None = None
    measurements: list[Measurement] = []
    outputs: list[Output] = []
    told: frozenset[str] = TOLD

    def send(self, topic: str, key: str, body: Outgoing) -> None:
        """Add a message to be sent."""
        if topic in self.told:
            self.outputs.append(Output(topic, key, body))


class State(ABC):
    """What a stage knows about one key, and how far into each source topic it has read.

    `applied` maps a topic to the offset and the time (microseconds) of the last record folded in: a record
    at or before that offset is a repeat, and folding it again would count it twice. `incarnation` is when
    the state began (microseconds), plus how often a source topic was made anew under it, so that offsets
    began at 0 again. `newest` is the time of the newest record of the key's own; 0 before the first.
    """

    __slots__ = ("applied", "incarnation", "newest")

    def __init__(self) -> None:
        self.applied: dict[str, tuple[int, int]] = {}
        self.incarnation = 0
        self.newest = 0

    @property
    def position(self) -> tuple[int, ...]:
        """Numbers that grow with what was folded in, compared from the first on; offsets decide first.

        Of two snapshots the one with the higher position is the newer.
        """
        return (sum(offset + 1 for offset, _ in self.applied.values()),)

    @property
    def order(self) -> Order:
        """What decides which of two states of a key is the newer, whichever was stored last."""
        return self.incarnation, self.position

    @property
    def active(self) -> bool:
        """Whether the state wants to hear of the market's clock when nothing else comes for its key."""
        return False

    @property
    def skipped(self) -> Mapping[str, int]:
        """How many messages changed nothing, by what was wrong with them."""
        return {}

    def forget_offsets(self, topics: Collection[str]) -> None:
        """Forget how far topics were read that were made anew."""
        for topic in topics:
            self.applied.pop(topic, None)
        self.incarnation += 1

    @abstractmethod
    def freeze(self) -> Any:
        """Return everything that `thaw` needs, as lists, numbers, strings and bytes."""

    @abstractmethod
    def thaw(self, frozen: Any) -> None:
        """Take over what `freeze` returned, into a new state."""


S = TypeVar("S", bound=State)


class Stage(ABC, Generic[S]):
    """A step of the pipeline: pure code plus the kind of state it keeps for each key.

    A stage object holds constants alone, so one serves any number of partitions.
    """

    table: ClassVar[str]
    topics: ClassVar[frozenset[str]]
    """The topics whose events it looks at."""
    marked: ClassVar[frozenset[str]] = frozenset()
    """Those of which each record leaves its mark on its symbol's state."""

    @abstractmethod
    def new(self, key: str) -> S:
        """Return the state of a key that nothing is known about."""

    def thaw(self, key: str, frozen: Any) -> S:
        """Return the state that `State.freeze` described (`applied` is restored by the caller)."""
        state = self.new(key)
        state.thaw(frozen)
        return state

    @abstractmethod
    def step(self, event: Event, states: States[S]) -> None:
        """Fold one event into the states it concerns; note on it what was found and what is to be sent."""

    def market_time(self, states: States[S]) -> int:  # noqa: ARG002
        """Return the market's newest time (microseconds) that the stage has heard of; 0 for none."""
        return 0
