"""The live states of a worker, and the way of units through the stages, from agent to agent."""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, cast

import structlog
from faust.types import TP

from pipeline import codec, contract
from pipeline.features.reading import read, refuse
from pipeline.features.roster import MOST_SYMBOLS, Roster
from pipeline.features.states import States, made_anew, tells_of
from pipeline.runtime.distribution import Distribution
from pipeline.runtime.placement import Placement
from pipeline.runtime.units import Barrier, Unit
from pipeline.signals.profile import SEED

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

    from pipeline.features.event import Output
    from pipeline.features.stage import Stage
    from pipeline.messages import DeadLetter
    from pipeline.runtime.batches import Records

log = structlog.get_logger(__name__)

BATCHES: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000)
"""Bounds of how many records a batch has."""
_topic: Final = attrgetter("topic")


class TopicRecreatedError(Exception):
    """A topic's offsets fell: it was made anew."""


class Flow:
    """The live states of the partitions that the worker has, and the way of units through the stages.

    An epoch is the time from one assignment to the next. Whatever belongs to an older one does nothing.

    Parameters
    ----------
    stages
        In the order in which a unit passes through them.
    stored
        Gives the snapshots of a table's partition, by key.
    partitions
        How many partitions every topic has, to notice keys that lie on another than theirs.
    reference, max_symbols
        The reference symbol, and how many others a partition keeps, at most.
    committed
        Returns of a topic and a partition from which offset on a crash repeats records.

    Attributes
    ----------
    records, batches
        How many records were taken, by topic, and how many at a time.
    dead_letters
        How many were refused, by topic and by what was wrong with them.
    counts
        Other things that happened.
    times
        The timestamp of the newest record of each partition in this epoch, in milliseconds.
    tell_forgotten
        Called with symbols that there is no state of any more; None where nobody shows them.

    """

    def __init__(  # noqa: PLR0913
        self,
        stages: Sequence[Stage[Any]],
        stored: Callable[[str, int], dict[str, bytes]],
        partitions: int,
        *,
        reference: str = SEED.reference,
        max_symbols: int = MOST_SYMBOLS,
        committed: Callable[[str, int], int] = lambda _topic, _partition: 0,
    ) -> None:
        self.stages = tuple(stages)
        self._reference = reference
        self._max_symbols = max_symbols
        self._committed = committed
        self._placement = Placement(partitions)
        self._stored = stored
        self.epoch = 0
        self.open_for_work = False
        self.ends: dict[int, dict[str, int]] = {}
        self._recovered: set[int] = set()
        self.counts: Counter[str] = Counter()
        self.records: Counter[str] = Counter()
        self.dead_letters: Counter[tuple[str, str]] = Counter()
        self.batches = Distribution(BATCHES)
        self.times: dict[int, int] = {}
        self.tell_forgotten: Callable[[Collection[str]], None] | None = None
        self._reached: dict[int, dict[str, int]] = {}
        self._states: dict[int, list[States[Any]]] = {}
        self._rosters: dict[int, Roster] = {}
        self._on_their_way: set[Unit] = set()
        self._full: set[int] = set()
        self._market_times: dict[int, int] = {}
        self._barriers: set[Barrier] = set()
        self._over = asyncio.Event()

    def begin(self) -> None:
        """Begin a new epoch, with nothing live."""
        self.end()
        self._over = asyncio.Event()
        self.open_for_work = True

    @property
    def market_time(self) -> int:
        """The newest time of the market that any partition has heard of, in microseconds; 0 for none."""
        heard = [
            stage.market_time(states[place])
            for states in self._states.values()
            for place, stage in enumerate(self.stages)
        ]
        return max(heard, default=0)

    def look(self, partition: int, table: str, key: str) -> Any:
        """Return the state that a stage has of a key, to be looked at alone; None before all is recovered."""
        if partition not in self._recovered:
            return None
        place = next(place for place, stage in enumerate(self.stages) if stage.table == table)
        states = self._of(partition)[place]
        return states.get(key) if key in states else None

    @property
    def symbols(self) -> int:
        """How many symbols there is state of."""
        return sum(max(map(len, states)) for states in self._states.values())

    def close(self) -> None:
        """Take no more batches; what was taken goes on."""
        self.open_for_work = False

    def end(self) -> None:
        """End the epoch: drop everything that is live or on its way."""
        self.open_for_work = False
        self.epoch += 1
        self._over.set()
        self.ends.clear()
        self._recovered.clear()
        self.times.clear()
        self._reached.clear()
        self._states.clear()
        self._rosters.clear()
        self._on_their_way.clear()
        self._market_times = {}
        for barrier in self._barriers:
            if not barrier.passed.done():
                barrier.passed.set_result(None)
        self._barriers.clear()

    async def within_epoch(self, work: Awaitable[None]) -> bool:
        """Await something, but not beyond the end of the epoch; return whether it was done by then."""
        epoch_over = self._over
        doing, over = asyncio.ensure_future(work), asyncio.ensure_future(epoch_over.wait())
        try:
            await asyncio.wait({doing, over}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            over.cancel()
            doing.cancel()
        if epoch_over.is_set():
            return False
        doing.result()
        return True

    def take(self, records: Records) -> Unit | None:
        """Decode a batch into a unit; None when the epoch takes no more work.

        Raises
        ------
        TopicRecreatedError
            Its records lie before others that came earlier in this epoch.

        """
        if not self.open_for_work:
            return None
        unit = Unit(self.epoch, records)
        roster = self._roster(unit.partition)
        for received in records:
            if received.topic not in unit.offsets:
                self._check_order(received)
            unit.offsets[received.topic] = received.offset + 1
            if self._placement.is_misplaced(received):
                self.counts["misplaced"] += 1
            events, letters = read(received)
            if events and not roster.admits(events[0].symbol):
                events, letters = [], [*letters, self._refuse(received, roster)]
            unit.events += events
            unit.letters += letters
        self._reached.setdefault(unit.partition, {}).update(unit.offsets)
        self.times[unit.partition] = records[-1].timestamp
        self.batches.add(unit.records)
        self.records.update(map(_topic, records))
        self.dead_letters.update(_fault(letter) for letter in unit.letters)
        self._on_their_way.add(unit)
        return unit

    def barrier(self) -> Barrier:
        """Return a barrier to send after the units that are on their way."""
        self._barriers = {barrier for barrier in self._barriers if not barrier.passed.done()}
        barrier = Barrier(self.epoch)
        self._barriers.add(barrier)
        return barrier

    def fold(self, place: int, work: Unit | Barrier) -> bool:
        """Let the stage at a place work on a unit, or leave its snapshots with a barrier.

        Returns whether the work is of this epoch, and so goes on.
        """
        if work.epoch != self.epoch:
            return False
        if isinstance(work, Barrier):
            self._forget(place, work)
            work.moments[self.stages[place].table] = {
                partition: states[place].moment() for partition, states in self._states.items()
            }
        else:
            self._fold_unit(place, work)
        return True

    def _fold_unit(self, place: int, unit: Unit) -> None:
        stage = self.stages[place]
        if not stage.topics.isdisjoint(unit.offsets):
            states, step = self._of(unit.partition)[place], stage.step
            for event in unit.events:
                step(event, states)
        if place == len(self.stages) - 1:
            self._on_their_way.discard(unit)

    def _forget(self, place: int, barrier: Barrier) -> None:
        """Drop a stage's idle states; a symbol that no stage knows any more makes room for another."""
        table = self.stages[place].table
        dropped = barrier.forgotten[table] = {}
        for partition, states in self._states.items():
            heard = self.stages[place].market_time(states[place])
            barrier.market_times[partition] = max(heard, barrier.market_times.get(partition, 0))
            market_time = self._market_times.get(partition, 0)
            found = states[place].forget(market_time, partial(self._ends_committed, partition))
            dropped.update({(partition, key): order for key, order in found.items()})
            if found:
                log.info("idle states are forgotten", table=table, partition=partition, states=len(found))
                gone = {key for key in found if not any(key in each for each in states)}
                self._roster(partition).forget(gone - self._symbols_on_their_way(partition))
                if self.tell_forgotten is not None:
                    self.tell_forgotten(gone)
        if place == len(self.stages) - 1:  # from now on all stages know what was heard before this barrier
            self._market_times = barrier.market_times

    def _symbols_on_their_way(self, partition: int) -> set[str]:
        units = (unit for unit in self._on_their_way if unit.partition == partition)
        return {event.symbol for unit in units for event in unit.events}

    def _ends_committed(self, partition: int) -> dict[str, int]:
        return {topic: self._committed(topic, partition) for topic in contract.INPUTS}

    def _roster(self, partition: int) -> Roster:
        roster = self._rosters.get(partition)
        if roster is None:
            known = [key for stage in self.stages for key in self._stored(stage.table, partition)]
            roster = self._rosters[partition] = Roster(self._max_symbols, self._reference, known)
        return roster

    def _refuse(self, received: Any, roster: Roster) -> Output:
        self.counts["refused_symbols"] += 1
        if received.partition not in self._full:
            self._full.add(received.partition)
            log.warning("a partition is full: %s", roster.objection, partition=received.partition)
        return refuse(received, roster.objection)

    def _check_order(self, received: Any) -> None:
        reached = self._reached.get(received.partition, {}).get(received.topic, 0)
        if received.offset < reached:
            raise TopicRecreatedError(
                f"{received.topic}-{received.partition}: offset {received.offset} came after {reached - 1}: "
                "the topic was made anew, or lost its end, while the worker ran. Nothing of it was used; "
                "restart the worker, and it reads the topic from its beginning"
            )

    def made_anew(self) -> dict[TP, int]:
        """Let states forget what they have read of topics that were made anew; return up to where that was.

        It is told by where the partitions ended when they were assigned, so it can be asked once an epoch.
        """
        ends, self.ends = self.ends, {}
        self._recovered.update(ends)
        found: dict[TP, int] = {}
        for partition, partition_ends in ends.items():
            read = self._read_too_far(partition, partition_ends)
            found |= {TP(topic, partition): offset for topic, offset in read.items()}
            if read:
                self._of(partition, recreated=read)
        if found:
            self.counts["recreated"] += len(found)
            log.warning(
                "these topics end before what was read of them: they were made anew, and are read from "
                "their beginning",
                topics=sorted(f"{tp.topic}-{tp.partition}" for tp in found),
            )
        return found

    def lost_tables(self) -> list[tuple[str, int]]:
        """Return tables and partitions without states, though another table tells of records for them.

        What was acknowledged is in every state that it concerns: either all were forgotten, or the changelog
        is not the one that they were written to.
        """
        found = []
        for partition in self.ends:
            stored = {stage: self._stored(stage.table, partition) for stage in self.stages}
            if empty := [stage for stage, kept in stored.items() if stage.marked and not kept]:
                committed = self._ends_committed(partition)
                told = set[str]().union(*(tells_of(kept, committed) for kept in stored.values()))
                found += [(stage.table, partition) for stage in empty if told & stage.marked]
        return found

    def _read_too_far(self, partition: int, ends: Mapping[str, int]) -> dict[str, int]:
        """Return the topics that end before what the group or a state has read of them, and up to where."""
        read = {topic: self._committed(topic, partition) for topic in ends}
        read = {topic: offset for topic, offset in read.items() if offset > ends[topic]}
        for stage in self.stages:
            for topic, offset in made_anew(self._stored(stage.table, partition), ends).items():
                read[topic] = max(offset, read.get(topic, 0))
        return read

    def _of(self, partition: int, recreated: Collection[str] = ()) -> list[States[Any]]:
        states = self._states.get(partition)
        if states is None:
            states = self._states[partition] = [
                States(stage.new, self._stored(stage.table, partition), recreated) for stage in self.stages
            ]
        return states


def _fault(letter: Output) -> tuple[str, str]:
    """Return the topic of a record that was refused, and what was wrong with it."""
    refused = cast("DeadLetter", letter.body)
    return refused.topic, codec.fault(refused.reason)
