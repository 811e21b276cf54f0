"""What the steps of the pipeline have in common.

An event passes through the stages in a fixed order. Each stage folds it into its own state, notes on the
event what later stages need, and adds the messages to be sent. Stages share nothing else, so the result
depends on the order of the events alone, never on how they were cut into batches.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from pipeline.features.state import State

if TYPE_CHECKING:
    from pipeline.features.event import Event
    from pipeline.features.states import States

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

    @abstractmethod
    def step(self, event: Event, states: States[S]) -> None:
        """Fold one event into the states it concerns; note on it what was found and what is to be sent."""

    def market_time(self, states: States[S]) -> int:  # noqa: ARG002
        """Return the market's newest time (microseconds) that the stage has heard of; 0 for none."""
        return 0
