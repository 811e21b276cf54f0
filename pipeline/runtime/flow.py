"""The live states of a worker, and the way of units through the stages, from agent to agent."""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, cast

import structlog
from faust.types import TP

from pipeline import codec
from pipeline.features.reading import read, refuse
from pipeline.features.roster import MOST_SYMBOLS, Roster
from pipeline.runtime.distribution import Distribution
from pipeline.runtime.partition import Kept, Partition
from pipeline.runtime.placement import Placement
from pipeline.runtime.units import Barrier, Unit
from pipeline.signals.profile import SEED

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Sequence

    from pipeline.features.event import Output
    from pipeline.features.stage import Stage
    from pipeline.messages import DeadLetter
    from pipeline.runtime.batches import Records

log = structlog.get_logger(__name__)

BATCHES: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000)
"""Bounds of how many records a batch has."""
_topic: Final = attrgetter("topic")


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
        self._kept = Kept(self.stages, stored, committed, partial(Roster, max_symbols, reference))
        self._placement = Placement(partitions)
        self._partitions: dict[int, Partition] = {}
        self.epoch = 0
        self.open_for_work = False
        self.counts: Counter[str] = Counter()
        self.records: Counter[str] = Counter()
        self.dead_letters: Counter[tuple[str, str]] = Counter()
        self.batches = Distribution(BATCHES)
        self.tell_forgotten: Callable[[Collection[str]], None] | None = None
        self._full: set[int] = set()
        self._barriers: set[Barrier] = set()
        self._over = asyncio.Event()
        self._over.set()

    def begin(self) -> None:
        """Begin a new epoch, with nothing live."""
        self.end()
        self._over = asyncio.Event()
        self.open_for_work = True

    @property
    def market_time(self) -> int:
        """The newest time of the market that any partition has heard of, in microseconds; 0 for none."""
        heard = [
            stage.market_time(partition.states[place])
            for partition in self._live()
            for place, stage in enumerate(self.stages)
        ]
        return max(heard, default=0)

    @property
    def symbols(self) -> int:
        """How many symbols there is state of."""
        return sum(max(map(len, partition.states)) for partition in self._live())

    def newest(self, partition: int) -> int | None:
        """Return the timestamp of a partition's newest record in this epoch, in milliseconds."""
        return self._of(partition).newest

    def look(self, partition: int, table: str, key: str) -> Any:
        """Return the state that a stage has of a key, to be looked at alone; None before all is recovered."""
        return self._of(partition).look(table, key)

    def close(self) -> None:
        """Take no more batches; what was taken goes on."""
        self.open_for_work = False

    def end(self) -> None:
        """End the epoch: drop everything that is live or on its way."""
        self.open_for_work = False
        self.epoch += 1
        self._over.set()
        self._partitions.clear()
        for barrier in self._barriers:
            if not barrier.passed.done():
                barrier.passed.set_result(None)
        self._barriers.clear()

    async def wait_until_over(self) -> None:
        """Wait until the epoch has ended; at once where none has begun."""
        await self._over.wait()

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
        partition = self._of(unit.partition)
        for received in records:
            if received.topic not in unit.offsets:
                partition.check_order(received)
            unit.offsets[received.topic] = received.offset + 1
            if self._placement.is_misplaced(received):
                self.counts["misplaced"] += 1
            events, letters = read(received)
            if events and not partition.roster.admits(events[0].symbol):
                events, letters = [], [*letters, self._refuse(received, partition.roster)]
            unit.events += events
            unit.letters += letters
        partition.reach(unit, records)
        self.batches.add(unit.records)
        self.records.update(map(_topic, records))
        self.dead_letters.update(_fault(letter) for letter in unit.letters)
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
                partition.number: partition.states[place].moment() for partition in self._live()
            }
        else:
            self._fold_unit(place, work)
        return True

    def _fold_unit(self, place: int, unit: Unit) -> None:
        stage, partition = self.stages[place], self._of(unit.partition)
        if not stage.topics.isdisjoint(unit.offsets):
            states, step = partition.states[place], stage.step
            for event in unit.events:
                step(event, states)
        if place == len(self.stages) - 1:
            partition.on_their_way.discard(unit)

    def _forget(self, place: int, barrier: Barrier) -> None:
        """Drop a stage's idle states."""
        stage = self.stages[place]
        dropped = barrier.forgotten[stage.table] = {}
        for partition in self._live():
            number, states = partition.number, partition.states[place]
            heard = stage.market_time(states)
            barrier.market_times[number] = max(heard, barrier.market_times.get(number, 0))
            found, gone = partition.forget(place)
            dropped.update({(number, key): order for key, order in found.items()})
            if found:
                log.info("idle states are forgotten", table=stage.table, partition=number, states=len(found))
                if self.tell_forgotten is not None:
                    self.tell_forgotten(gone)
            if place == len(self.stages) - 1:  # all stages know now what was heard before this barrier
                partition.market_time = barrier.market_times[number]

    def _refuse(self, received: Any, roster: Roster) -> Output:
        self.counts["refused_symbols"] += 1
        if received.partition not in self._full:
            self._full.add(received.partition)
            log.warning("a partition is full: %s", roster.objection, partition=received.partition)
        return refuse(received, roster.objection)

    def note_end(self, tp: TP, end: int) -> None:
        """Note where a partition of a topic ended when it was assigned."""
        self._of(tp.partition).ends[tp.topic] = end

    def made_anew(self) -> dict[TP, int]:
        """Let states forget what they have read of topics that were made anew; return up to where that was.

        It is told by where the partitions ended when they were assigned, so it can be asked once an epoch.
        """
        found = {
            TP(topic, partition.number): offset
            for partition in self._assigned()
            for topic, offset in partition.made_anew().items()
        }
        if found:
            self.counts["recreated"] += len(found)
            log.warning(
                "these topics end before what was read of them: they were made anew, and are read from "
                "their beginning",
                topics=sorted(f"{tp.topic}-{tp.partition}" for tp in found),
            )
        return found

    def lost_tables(self) -> list[tuple[str, int]]:
        """Return tables and partitions without states, though another table tells of records for them."""
        return [(table, each.number) for each in self._assigned() for table in each.lost_tables()]

    def _of(self, number: int) -> Partition:
        partition = self._partitions.get(number)
        if partition is None:
            partition = self._partitions[number] = Partition(number, self._kept)
        return partition

    def _live(self) -> list[Partition]:
        return [partition for partition in self._partitions.values() if partition.is_live]

    def _assigned(self) -> list[Partition]:
        """Return the partitions of which nobody asked yet what was made anew."""
        return [partition for partition in self._partitions.values() if partition.ends]


def _fault(letter: Output) -> tuple[str, str]:
    """Return the topic of a record that was refused, and what was wrong with it."""
    refused = cast("DeadLetter", letter.body)
    return refused.topic, codec.fault(refused.reason)
