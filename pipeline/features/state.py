"""What a stage knows about one key."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

Order: TypeAlias = tuple[int, tuple[int, ...]]
"""A state's incarnation and position: of two states of a key, the greater is the newer."""
SHARED: Final = ""
"""The key of state that belongs to a partition as a whole: no symbol is empty."""


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
