"""The way out: messages to the broker."""

from __future__ import annotations

import time
from collections import deque
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from pipeline import codec
from pipeline.contract import CONTEXT
from pipeline.messages import Context, Signal, VelocityUpdate, millis, rounded
from pipeline.runtime.confirmation import NotConfirmedError, look
from pipeline.runtime.distribution import Distribution
from pipeline.signals.statistics import Statistics

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from pipeline.messages import Outgoing
    from pipeline.runtime.confirmation import Pending
    from pipeline.runtime.lease import Lease
    from pipeline.runtime.units import Unit


LATENCY: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0)
"""Bounds of the seconds from an event to its signal."""
SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
"""Bounds of the seconds from the poll of a batch to the hand-over of all that it leads to."""

_NEWEST: Final = 1_000
_LATELY: Final = 10.0
"""Seconds in which signals were sent whose latency is told: short, that a backlog is soon forgotten."""

Headers: TypeAlias = "list[tuple[str, bytes]]"
_NO_HEADERS: Final[Headers] = []


class Placed(NamedTuple):
    """The confirmation of a record, and how far behind the offset that it names the record lies."""

    confirmed: asyncio.Future[Any]
    behind: int = 0

    @property
    def offset(self) -> int:
        """Where the record lies, once that is confirmed; -1 where the broker does not say."""
        named: int = self.confirmed.result().offset
        return named if named < 0 else named + self.behind


class Delivery:
    """Sends records through aiokafka's producer, while the lease is good.

    Parameters
    ----------
    producer
        Returns the aiokafka producer.
    lease
        Checked before anything is sent.
    partitions
        How many partitions every topic has: the context goes to each but the one that made it, which has
        it already and would else meet it again when it repeats records after a crash, before its time.

    Attributes
    ----------
    statistics
        Of the signals that were handed over.
    latency
        Seconds from the time of a symbol's newest event to the hand-over of its signal: clocks of two
        machines, and for a backlog its age.
    seconds
        From the poll of a batch to the hand-over of all that it leads to.
    observe
        Called with the partition and the message, for each that is handed over; None where nobody looks.
    trace
        Called with each unit once all of it is handed over; None where nobody traces.
    late_events, duplicates
        Liquidations that changed nothing, as symbols tell of them.

    """

    def __init__(self, producer: Callable[[], Any], lease: Lease, partitions: int) -> None:
        self._producer = producer
        self._lease = lease
        self._partitions = range(partitions)
        self.statistics = Statistics()
        self.latency = Distribution(LATENCY)
        self._newest: deque[tuple[float, float]] = deque(maxlen=_NEWEST)
        self.seconds = Distribution(SECONDS)
        self.late_events = self.duplicates = 0
        self.observe: Callable[[int, Outgoing], None] | None = None
        self.trace: Callable[[Unit], None] | None = None
        self._told: dict[str, tuple[int, int]] = {}

    async def send_unit(self, unit: Unit, is_current: Callable[[], bool]) -> Pending:
        """Hand a unit's messages to the producer while its epoch lasts; return what is to be awaited."""
        self._lease.check()
        pending: Pending = {}
        body, key, data = None, b"", b""
        for output in unit.outputs():
            if not is_current():
                break
            if output.body is not body:
                body, key, data = output.body, output.key.encode(), self._encode(output.body, unit)
            if isinstance(body, Context):
                pending |= await self._spread(body, data, unit.partition, is_current)
            else:
                placed = await self.put(output.topic, key, data, unit.partition)
                pending[placed.confirmed] = output.topic
        self.seconds.add(time.perf_counter() - unit.polled)
        if self.trace is not None:
            self.trace(unit)
        return pending

    def begin(self) -> None:
        """Begin a new epoch: what symbols tell of themselves may have grown elsewhere meanwhile."""
        self._told.clear()

    async def _spread(
        self, context: Context, data: bytes, made_in: int, is_current: Callable[[], bool]
    ) -> Pending:
        key, time_ms = context.symbol.encode(), millis(context.timestamp)
        return {
            (await self.put(CONTEXT, key, data, number, timestamp_ms=time_ms)).confirmed: CONTEXT
            for number in self._partitions
            if number != made_in and is_current()
        }

    async def put(  # noqa: PLR0913
        self,
        topic: str,
        key: bytes,
        value: bytes | None,
        partition: int,
        *,
        timestamp_ms: int | None = None,
        headers: Headers = _NO_HEADERS,
    ) -> Placed:
        """Hand one record to the producer, and return where it will lie once the broker has confirmed it.

        aiokafka (0.14) makes a future for each record and looks its topic up each time: ten times the work
        of putting the record into a batch that is being filled already, which has a future of its own.

        Raises
        ------
        LeaseLostError
            The producer cannot take it because the lease is lost.
        NotConfirmedError
            The producer cannot take it.
        """
        producer = self._producer()
        filling = producer._message_accumulator._batches.get(_place(topic, partition))
        if filling:
            batch = filling[-1]
            appended = batch._builder.append(timestamp=timestamp_ms, key=key, value=value, headers=headers)
            if appended is not None:
                return Placed(batch.future, appended.offset)
        try:
            future = await producer.send(
                topic, value, key=key, partition=partition, timestamp_ms=timestamp_ms, headers=headers
            )
        except KafkaError as error:
            self._lease.check()  # without it nothing is sent: that is then the reason to tell
            raise NotConfirmedError(topic, error) from error
        future.add_done_callback(look)
        return Placed(future)

    def unconfirmed(self) -> list[str]:
        """Return the topics of all that the broker has not confirmed yet."""
        accumulator = self._producer()._message_accumulator
        on_their_way = {batch.tp for batch in accumulator._pending_batches}
        return sorted({tp.topic for tp in on_their_way.union(accumulator._batches)})

    def _count_skipped(self, update: VelocityUpdate) -> None:
        """Count what was late or repeated since a symbol's last update of this epoch."""
        now = update.late_events, update.duplicates
        before = self._told.get(update.symbol, now)
        self._told[update.symbol] = now
        self.late_events += max(0, now[0] - before[0])
        self.duplicates += max(0, now[1] - before[1])

    def latency_ms(self, share: float) -> float | None:
        """Return a quantile of the newest signals' latencies in milliseconds, if any were sent lately."""
        since = time.time() - _LATELY
        ordered = sorted(latency for sent, latency in self._newest if sent >= since)
        if not ordered:
            return None
        return round(ordered[int(share * (len(ordered) - 1))] * 1_000, 3)

    def _encode(self, body: Outgoing, unit: Unit) -> bytes:
        if isinstance(body, Signal):
            body.meta.processing_time_ms = rounded((time.perf_counter() - unit.polled) * 1_000, 2)
            self.statistics.add(body)
            now = time.time()
            latency = now - body.meta.event_timestamp
            self.latency.add(max(0.0, latency))  # a histogram's sum never falls
            self._newest.append((now, latency))
        elif isinstance(body, VelocityUpdate):
            self._count_skipped(body)
        if self.observe is not None:
            self.observe(unit.partition, body)
        return codec.encode(body)


_place: Final = lru_cache(maxsize=4_096)(TopicPartition)
