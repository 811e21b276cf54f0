"""What is fetched, in which order it is handed over, and how much of it may be in flight."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

from faust.types import TP

from pipeline import contract
from pipeline.runtime.batches import Batch, Records
from pipeline.runtime.merge import LONGEST_QUEUE, Merge

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LARGEST_BATCH: Final = 1 << 20
"""Bytes from which a batch is cut: while one is worked on nothing else is, not even a heartbeat."""
_PATIENCE: Final = 0.02
_POLL: Final = 1.0
_SILENCE: Final = 1.5
"""Seconds without an answer of the broker after which it counts as away."""


class Fetching(Protocol):
    """What the intake asks of the consumer."""

    def caught_up(self, tp: TP) -> bool:
        """Tell whether all known records of a partition were handed out."""

    def heard(self) -> float:
        """Return when the broker last answered, in Unix seconds."""

    def answered(self, tp: TP) -> float:
        """Return when the broker last told of a partition, in Unix milliseconds."""


class Intake:
    """Arranges fetched records into batches, one stream of them a partition.

    Parameters
    ----------
    reference, partitions
        The reference symbol, as a key, and how many partitions every topic has. Where its prices lie the
        market's context is made, so nothing waits for it there: wherever the producer has put them.
    budget_records, budget_bytes
        How much may be handed over and not yet be covered by a checkpoint.
    settle
        See `Merge`.

    """

    def __init__(
        self,
        *,
        reference: bytes,
        partitions: int,
        budget_records: int,
        budget_bytes: int,
        settle: Mapping[str, float],
    ) -> None:
        self._reference = reference
        self._makers = {0} if partitions == 1 else set[int]()
        self._budget = (budget_records, budget_bytes)
        self._settle = settle
        self._merges: dict[int, Merge] = {}
        self._room = asyncio.Event()
        self._full = asyncio.Event()
        self.consumer: Fetching
        self._looked = time.monotonic()
        self._away = 0.0
        self.clear()

    def clear(self) -> None:
        """Forget everything that was fetched or handed over."""
        self._merges.clear()
        self._projected: Counter[TP] = Counter()
        self.records = self.size = 0
        self._full.clear()
        self._room.set()

    def wanted(self, active: set[TP]) -> set[TP]:
        """Return the partitions to ask for: those with room."""
        full = self._is_full
        return {tp for tp in active if self._wants(tp, full=full)}

    def _wants(self, tp: TP, *, full: bool) -> bool:
        if tp.topic in contract.INPUTS:
            merge = self._merges.get(tp.partition)
            return not full and (merge is None or not merge.queues[tp.topic].is_full)
        return self._projected[tp] < LONGEST_QUEUE

    async def wait_for_room(self) -> None:
        """Wait until something was given back, or a moment has passed."""
        self._room.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._room.wait(), _POLL)

    def look_again(self) -> None:
        """Let whoever waits for room look again what is wanted."""
        self._room.set()

    def patience(self) -> float:
        """Return for how many seconds to wait for more: short while records wait for turn or room."""
        waits = self._is_full or any(merge.waiting for merge in self._merges.values())
        return _PATIENCE if waits else _POLL

    @property
    def _is_full(self) -> bool:
        return self.records >= self._budget[0] or self.size >= self._budget[1]

    def arrange(self, found: Mapping[TP, Sequence[Any]]) -> dict[TP, Sequence[Any]]:
        """Return what to hand over, in batches: inputs in their order, all else as it comes."""
        now = self._settling_time()
        arranged: dict[TP, Sequence[Any]] = {}
        for tp, records in found.items():
            if not records:
                continue
            if tp.topic in contract.INPUTS:
                self._take(tp, records, now)
            else:
                arranged[tp] = _batches(Records(records))
                self._projected[tp] += len(records) if tp.topic in contract.PROJECTED else 0
        for partition, merge in self._merges.items():
            if released := self._release(partition, merge, now):
                batches = _batches(released)
                arranged[TP(batches[0].topic, partition)] = batches
                self.spend(len(released), released.size)
        return arranged

    def spend(self, records: int, size: int) -> None:
        """Take part of the budget: those records are handed over."""
        self.records += records
        self.size += size
        if self._is_full:
            self._full.set()

    def give_back(self, records: int, size: int) -> None:
        """Return part of the budget: a checkpoint covers those records now."""
        self.records -= records
        self.size -= size
        if not self._is_full:
            self._full.clear()
        self._room.set()

    async def wait_until_full(self, seconds: float) -> None:
        """Wait until the budget is spent, or so long."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._full.wait(), seconds)

    def give_back_projected(self, tp: TP, records: int) -> None:
        """Note that records of an output partition were projected."""
        self._projected[tp] -= records
        self._room.set()

    def _settling_time(self) -> float:
        """Return monotonic seconds without those in which the broker was away: then nothing settles."""
        now = time.monotonic()
        if time.time() - self.consumer.heard() > _SILENCE:
            self._away += now - self._looked
        self._looked = now
        return now - self._away

    def _take(self, tp: TP, records: Sequence[Any], now: float) -> None:
        merge = self._merges.get(tp.partition)
        if merge is None:
            merge = self._merges[tp.partition] = Merge(self._settle, now)
        if tp.topic == contract.PRICES and tp.partition not in self._makers:
            keys = {record.key for record in records if record.key}
            if any(key.strip().upper() == self._reference for key in keys):
                self._makers.add(tp.partition)
        if tp.partition in self._makers:
            merge.await_no_more(contract.CONTEXT)
        merge.add(tp.topic, records, now)

    def _release(self, partition: int, merge: Merge, now: float) -> Records:
        def caught_up(topic: str) -> bool:
            return self.consumer.caught_up(TP(topic, partition))

        def answered(topic: str) -> float:
            return self.consumer.answered(TP(topic, partition))

        return Records(merge.release(caught_up, now, time.time() * 1_000, answered))


def _batches(records: Records) -> list[Batch]:
    return [Batch(part) for part in records.parts(LARGEST_BATCH)]
