"""The way out: messages to the broker, and the wait until the broker has confirmed them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from pipeline import codec
from pipeline.messages import Context, Signal
from pipeline.signals.statistics import Statistics

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from pipeline.features.stage import Output
    from pipeline.messages import Outgoing
    from pipeline.runtime.flow import Unit
    from pipeline.runtime.lease import Lease


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

    """

    def __init__(self, producer: Callable[[], Any], lease: Lease, partitions: int) -> None:
        self._producer = producer
        self._lease = lease
        self._partitions = range(partitions)
        self.statistics = Statistics()

    async def send_unit(self, unit: Unit, is_current: Callable[[], bool]) -> list[asyncio.Future[Any]]:
        """Hand a unit's messages to the producer while its epoch lasts; return what is to be awaited."""
        self._lease.check()
        sent, body, data = [], None, b""
        for output in unit.outputs():
            if not is_current():
                break
            if output.body is not body:
                body, data = output.body, self._encode(output.body, unit.polled)
            sent += await self._send_output(output, data, unit.partition)
        return sent

    async def _send_output(self, output: Output, data: bytes, partition: int) -> list[asyncio.Future[Any]]:
        key = output.key.encode()
        if not isinstance(output.body, Context):
            return [await self.send(output.topic, key, data, partition)]
        event_time_ms = round(output.body.timestamp * 1_000)
        return [
            await self.send(output.topic, key, data, number, timestamp_ms=event_time_ms)
            for number in self._partitions
            if number != partition
        ]

    async def send(
        self, topic: str, key: bytes, value: bytes, partition: int, *, timestamp_ms: int | None = None
    ) -> asyncio.Future[Any]:
        """Hand one record to the producer; the future gives its metadata once the broker has confirmed it."""
        future: asyncio.Future[Any] = await self._producer().send(
            topic, value, key=key, partition=partition, timestamp_ms=timestamp_ms
        )
        return future

    def _encode(self, body: Outgoing, polled: float) -> bytes:
        if isinstance(body, Signal):
            body.meta.processing_time_ms = round((time.perf_counter() - polled) * 1_000, 2)
            self.statistics.add(body)
        return codec.encode(body)
