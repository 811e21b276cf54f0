"""Sending to topics from outside of a worker: nothing is lost, repeated or reordered."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from aiokafka import AIOKafkaProducer

from pipeline.runtime.confirmation import look
from pipeline.runtime.connections import keep_steady

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pipeline.settings import Settings

_LAST_WAIT: Final = 3.0
"""Seconds for the broker to take leave."""


class Producer(AIOKafkaProducer):  # type: ignore[misc]
    """A producer whose deliveries may be forgotten: where one failed, the others need not be told."""

    async def send(self, *args: Any, **options: Any) -> asyncio.Future[Any]:
        """Return, once there is room for it, the delivery of a record."""
        delivery: asyncio.Future[Any] = await super().send(*args, **options)
        delivery.add_done_callback(look)
        return delivery


@asynccontextmanager
async def producer(settings: Settings, linger_ms: int = 5) -> AsyncIterator[Producer]:
    """Yield a producer that loses, repeats and reorders nothing; partitions by murmur2, as Java's does."""
    sending = Producer(
        **settings.kafka_client_options(),
        enable_idempotence=settings.producer_idempotence,
        acks="all",
        linger_ms=linger_ms,
    )
    keep_steady(sending)
    try:
        await sending.start()
        yield sending
    finally:  # what had to arrive was waited for; what nobody waited for is no reason to hang
        try:
            await asyncio.wait_for(sending.stop(), _LAST_WAIT)
        except TimeoutError:
            await sending.client.close()
