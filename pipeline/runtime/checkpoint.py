"""Checkpoints: what makes a crash harmless.

For the units that came through since the last one, a checkpoint waits until their messages are confirmed by
the broker; writes the snapshot of every state that changed, downstream tables first, each confirmed before
the next table; and only then acknowledges the source records. So, killed at any instruction,

- no acknowledged record is missing from the state;
- no state is ahead of its messages;
- no state is ahead of one downstream of it, which could then miss what it has to hear, nor of one beside
  it that looks at it.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, TypeAlias

from faust.types import TP

from pipeline import codec, contract
from pipeline.features.state import SHARED
from pipeline.runtime.confirmation import all_confirmed
from pipeline.runtime.delivery import Headers
from pipeline.runtime.distribution import Distribution
from pipeline.runtime.store import ORDER
from pipeline.runtime.units import Barrier, Sent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pipeline.runtime.delivery import Delivery, Placed
    from pipeline.runtime.flow import Flow
    from pipeline.runtime.intake import Intake
    from pipeline.runtime.lease import Lease
    from pipeline.runtime.store import SnapshotTable
    from pipeline.runtime.units import Snapshots, Unit


_Record: TypeAlias = tuple[tuple[int, str], bytes | None, Headers]
"""What is written to a changelog: partition and key, a snapshot or nothing, and headers."""
SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Bounds of what a checkpoint may take."""


class Checkpoint:
    """Takes checkpoints, one at a time.

    Parameters
    ----------
    flow, delivery, intake, lease, tables
        Parts of the same worker; tables by name.
    enter
        Puts a barrier behind the units that are on their way.
    acknowledge
        Notes from where to read on, by partition.
    interval
        Seconds from one checkpoint to the next, unless the budget is spent before.

    Attributes
    ----------
    seconds
        How long checkpoints took that were not given up.
    snapshot_bytes
        How much was written to changelogs.
    trace
        Called with the seconds that each of these took, and what it covers; None where nobody traces.
    waiting_since
        Since when something waits to be covered, in monotonic seconds; None when nothing does.

    """

    def __init__(  # noqa: PLR0913
        self,
        *,
        flow: Flow,
        delivery: Delivery,
        intake: Intake,
        lease: Lease,
        tables: Mapping[str, SnapshotTable],
        enter: Callable[[Barrier], None],
        acknowledge: Callable[[Mapping[TP, int]], None],
        interval: float,
    ) -> None:
        self._flow = flow
        self._delivery = delivery
        self._intake = intake
        self._lease = lease
        self._tables = tables
        self._enter = enter
        self._acknowledge = acknowledge
        self._interval = interval
        self._lock = asyncio.Lock()
        self._due = asyncio.Event()
        self._sent = Sent()
        self.seconds = Distribution(SECONDS)
        self.snapshot_bytes = 0
        self.waiting_since: float | None = None
        self.trace: Callable[[float, Sent], None] | None = None

    async def deliver(self, work: Unit | Barrier) -> None:
        """End the way of a unit: send what it led to. A barrier closes what came before it."""
        if isinstance(work, Barrier):
            closed, self._sent = self._sent, Sent()
            if not work.passed.done():  # whoever took the checkpoint may have given up
                work.passed.set_result(closed)
            return
        pending = await self._delivery.send_unit(work, lambda: work.epoch == self._flow.epoch)
        if work.epoch == self._flow.epoch:
            self._sent.add(work, pending)
            self._due.set()
            if self.waiting_since is None:
                self.waiting_since = time.monotonic()

    async def run(self) -> None:
        """Take checkpoints for ever: at once after a quiet time, at the interval under load.

        A budget that is spent does not wait for the interval: nothing is read before it is given back.
        """
        while True:
            await self._due.wait()
            await self.take()
            await self._intake.wait_until_full(self._interval)

    async def take(self) -> None:
        """Take a checkpoint of everything that is on its way; give up silently when the epoch ends."""
        async with self._lock:
            self._due.clear()
            began = time.monotonic()
            barrier = self._flow.barrier()
            self._enter(barrier)
            try:
                sent = await barrier.passed
                if sent is not None and await self._confirm(barrier, sent):
                    self._note(began, sent)
            except BaseException:
                self._flow.end()  # its snapshots are spent: what comes after it must not be acknowledged,
                self.forget()  # nor what was sent meanwhile
                self._lease.check()  # without it nothing is confirmed: that is then the reason to tell
                raise

    def _note(self, began: float, sent: Sent) -> None:
        """Note a checkpoint that is complete, and since when what came meanwhile waits for the next."""
        seconds = time.monotonic() - began
        self.seconds.add(seconds)
        if self.trace is not None:
            self.trace(seconds, sent)
        self.waiting_since = began if self._due.is_set() else None

    def forget(self) -> None:
        """Forget what was sent in an epoch that ended."""
        self._sent = Sent()
        self._due.clear()
        self.waiting_since = None

    async def _confirm(self, barrier: Barrier, sent: Sent) -> bool:
        """Confirm, store and acknowledge; return whether the epoch lasted until then."""
        await all_confirmed(sent.pending)
        for name in reversed(contract.TABLES):
            await self._write(self._tables[name], barrier)
            await self._bury(self._tables[name], barrier)
        if barrier.epoch != self._flow.epoch:
            return False
        self._acknowledge(sent.offsets)
        self._intake.give_back(sent.records, sent.size)
        return True

    async def _write(self, table: SnapshotTable, barrier: Barrier) -> None:
        """Write a table's snapshots, those that other keys' states look at last: they may lag, not lead."""
        snapshots = await barrier.snapshots(table.name)
        shared = {place: data for place, data in snapshots.items() if place[1] == SHARED}
        await self._write_group(
            table, {place: snapshots[place] for place in snapshots.keys() - shared}, barrier.epoch
        )
        await self._write_group(table, shared, barrier.epoch)

    async def _bury(self, table: SnapshotTable, barrier: Barrier) -> None:
        """Write tombstones of forgotten states; each names its state, lest it buries a newer one."""
        orders = barrier.forgotten[table.name].items()
        tombstones = [(place, None, [(ORDER, codec.pack(order))]) for place, order in orders]
        await self._send(table, tombstones, barrier.epoch)

    async def _write_group(self, table: SnapshotTable, snapshots: Snapshots, epoch: int) -> None:
        changelog = table.changelog_topic_name
        sent = await self._send(table, [(place, data, []) for place, data in snapshots.items()], epoch)
        if epoch == self._flow.epoch:
            for ((partition, key), data), placed in zip(snapshots.items(), sent, strict=True):
                table.data.put(TP(changelog, partition), key, data, placed.offset)

    async def _send(self, table: SnapshotTable, records: Iterable[_Record], epoch: int) -> list[Placed]:
        """Write to a changelog as long as the epoch lasts: then others own its partitions."""
        changelog = table.changelog_topic_name
        sent: list[Placed] = []
        for (partition, key), data, headers in records:
            if epoch != self._flow.epoch:
                break
            self._lease.check()
            sent.append(await self._delivery.put(changelog, key.encode(), data, partition, headers=headers))
            self.snapshot_bytes += len(data or b"")
        else:
            await all_confirmed(dict.fromkeys((placed.confirmed for placed in sent), changelog))
        return sent
