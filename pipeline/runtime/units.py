"""Units of work, and the barriers between them.

A unit is one batch of one partition. It passes through the agents of the stages in their order and leaves
with its messages sent. A barrier follows the units of all partitions on the same way: when it passes a
stage, the stage's snapshots are taken, so that all of them are of the same moment, between the same two
units (as in Chandy and Lamport's snapshots, and Flink's). A state is packed later, or before it changes.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from faust.types import TP

if TYPE_CHECKING:
    from pipeline.features.event import Event, Output
    from pipeline.features.state import Order
    from pipeline.features.states import Moment
    from pipeline.runtime.batches import Records
    from pipeline.runtime.confirmation import Pending

Snapshots: TypeAlias = dict[tuple[int, str], bytes]
"""Snapshots of one table, by partition and key."""
_FEW: Final = 2
"""States that are packed in one go, at least, which takes less than half a millisecond."""
_TURNS: Final = 16
"""Into how many goes a table's partition is packed at most."""
_PAUSE: Final = 0.001


class Unit:
    """The events of one batch, what they lead to, and where the batch ends in each source topic."""

    __slots__ = ("epoch", "events", "letters", "offsets", "partition", "polled", "records", "size")

    def __init__(self, epoch: int, records: Records) -> None:
        self.epoch = epoch
        self.partition: int = records[0].partition
        self.polled = time.perf_counter()
        self.records = len(records)
        self.size = records.size
        self.events: list[Event] = []
        self.letters: list[Output] = []
        self.offsets: dict[str, int] = {}

    def outputs(self) -> list[Output]:
        """Return everything to be sent, in order."""
        return self.letters + [output for event in self.events for output in event.outputs]


class Sent:
    """What came through since the last checkpoint: where it ends, its size, what is to be confirmed."""

    def __init__(self) -> None:
        self.offsets: dict[TP, int] = {}
        self.records = self.size = 0
        self.pending: Pending = {}

    def add(self, unit: Unit, pending: Pending) -> None:
        """Add a unit whose messages were handed to the producer."""
        self.offsets.update({TP(topic, unit.partition): offset for topic, offset in unit.offsets.items()})
        self.records += unit.records
        self.size += unit.size
        self.pending |= pending


class Barrier:
    """Collects the states of all stages as they are between two units.

    `moments` are those that changed, by table and partition, `forgotten` the orders of those that were
    dropped, by table, partition and key. `passed` gives what was sent before it, once it has passed all
    stages, and None if its epoch ends first.
    """

    __slots__ = ("epoch", "forgotten", "market_times", "moments", "passed")

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.moments: dict[str, dict[int, Moment[Any]]] = {}
        self.market_times: dict[int, int] = {}
        self.forgotten: dict[str, dict[tuple[int, str], Order]] = {}
        self.passed: asyncio.Future[Sent | None] = asyncio.get_running_loop().create_future()

    async def snapshots(self, table: str) -> Snapshots:
        """Pack the states of a table, a few at a time: units pass in between.

        A unit takes the loop several turns, from the fetch to its messages: it would wait for a few states in
        each of them if nothing but turns lay between those.
        """
        moments = self.moments[table]
        for moment in moments.values():
            few = max(_FEW, len(moment.waiting) // _TURNS)
            while moment.take_some(few):  # noqa: ASYNC110 - nothing to wait for: others have their turn
                await asyncio.sleep(_PAUSE)
        return {
            (partition, key): data
            for partition, moment in moments.items()
            for key, data in moment.take_all().items()
        }
