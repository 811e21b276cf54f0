"""What a worker has of one partition: the live states of its keys, and how far its topics were read."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline import contract
from pipeline.features.states import States, made_anew, tells_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from pipeline.features.roster import Roster
    from pipeline.features.stage import Stage
    from pipeline.features.state import Order
    from pipeline.runtime.batches import Records
    from pipeline.runtime.units import Unit


class TopicRecreatedError(Exception):
    """A topic's offsets fell: it was made anew."""


class Kept(NamedTuple):
    """What was kept of partitions before they were assigned, and how new ones begin.

    Attributes
    ----------
    stages
        In the order in which a unit passes through them.
    stored
        Gives the snapshots of a table's partition, by key.
    committed
        Returns of a topic and a partition from which offset on a crash repeats records.
    roster
        Returns who has a place, of the symbols that there is state of.

    """

    stages: Sequence[Stage[Any]]
    stored: Callable[[str, int], dict[str, bytes]]
    committed: Callable[[str, int], int]
    roster: Callable[[Iterable[str]], Roster]


class Partition:
    """One partition of all topics, from its assignment to the end of the epoch.

    Attributes
    ----------
    number
        Which partition it is.
    newest
        The timestamp of its newest record, in milliseconds; None before the first.
    ends
        Where its topics ended when it was assigned, until it was asked which of them were made anew.
    recovered
        Whether that is so: from then on its states may be looked at.
    market_time
        The market's newest time (microseconds) that every stage has heard of.
    on_their_way
        Its units that have not passed all stages.

    """

    def __init__(self, number: int, kept: Kept) -> None:
        self.number = number
        self._stages, self._stored, self._committed, self._new_roster = kept
        self._reached: dict[str, int] = {}
        self.newest: int | None = None
        self.ends: dict[str, int] = {}
        self.recovered = False
        self.market_time = 0
        self.on_their_way: set[Unit] = set()

    @cached_property
    def states(self) -> list[States[Any]]:
        """The live states of each stage, restored when they are first asked for."""
        return self._restore(())

    @cached_property
    def roster(self) -> Roster:
        """Who has a place."""
        return self._new_roster(key for stage in self._stages for key in self._snapshots(stage))

    @property
    def is_live(self) -> bool:
        """Whether its states were asked for."""
        return "states" in self.__dict__

    def look(self, table: str, key: str) -> Any:
        """Return the state that a stage has of a key, to be looked at alone; None before all is recovered."""
        if not self.recovered:
            return None
        place = next(place for place, stage in enumerate(self._stages) if stage.table == table)
        states = self.states[place]
        return states.get(key) if key in states else None

    def check_order(self, received: Any) -> None:
        """Refuse a record that lies before others which came earlier, or before where its assignment began.

        Raises
        ------
        TopicRecreatedError
            It does.

        """
        reached = self._reached.get(received.topic, 0)
        if received.offset < reached:
            raise TopicRecreatedError(
                f"{received.topic}-{received.partition}: offset {received.offset} came after {reached - 1}: "
                "the topic was made anew, or lost its end, while the worker ran. Nothing of it was used; "
                "restart the worker, and it reads the topic from its beginning"
            )

    def reach(self, unit: Unit, records: Records) -> None:
        """Note that records are on their way."""
        self._reached.update(unit.offsets)
        self.newest = records[-1].timestamp
        self.on_their_way.add(unit)

    def forget(self, place: int) -> tuple[dict[str, Order], set[str]]:
        """Drop a stage's idle states; a symbol that no stage knows any more makes room for another.

        Returns the orders of those that were dropped, by key, and the symbols that are gone altogether.
        """
        found = self.states[place].forget(self.market_time, self._all_committed)
        gone = {key for key in found if not any(key in each for each in self.states)}
        if gone:
            self.roster.forget(gone - {event.symbol for unit in self.on_their_way for event in unit.events})
        return found, gone

    def made_anew(self) -> dict[str, int]:
        """Let states forget what they have read of topics that were made anew; return up to where that was.

        It is told by where the topics ended when they were assigned, so it can be asked once. To be asked
        before the states are.
        """
        ends, self.ends, self.recovered = self.ends, {}, True
        committed = {topic: self._committed(topic, self.number) for topic in ends}
        read = {topic: offset for topic, offset in committed.items() if offset > ends[topic]}
        for stage in self._stages:
            for topic, offset in made_anew(self._snapshots(stage), ends).items():
                read[topic] = max(offset, read.get(topic, 0))
        self._reached = {topic: offset for topic, offset in committed.items() if topic not in read}
        if read:
            self.states = self._restore(read)
        return read

    def lost_tables(self) -> list[str]:
        """Return the tables without states though another one tells of records for them.

        What was acknowledged is in every state that it concerns: either all were forgotten, or the changelog
        is not the one that they were written to.
        """
        stored = {stage: self._snapshots(stage) for stage in self._stages}
        empty = [stage for stage, kept in stored.items() if stage.marked and not kept]
        if not empty:
            return []
        committed = self._all_committed()
        told = set[str]().union(*(tells_of(kept, committed) for kept in stored.values()))
        return [stage.table for stage in empty if told & stage.marked]

    def _restore(self, recreated: Collection[str]) -> list[States[Any]]:
        return [States(stage.new, self._snapshots(stage), recreated) for stage in self._stages]

    def _snapshots(self, stage: Stage[Any]) -> dict[str, bytes]:
        return self._stored(stage.table, self.number)

    def _all_committed(self) -> dict[str, int]:
        return {topic: self._committed(topic, self.number) for topic in contract.INPUTS}
