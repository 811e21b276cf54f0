"""Messages into a broker: without loss, and a market as it happens."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from aiokafka import AIOKafkaProducer

from pipeline import codec
from pipeline.messages import millis
from pipeline.runtime.connections import keep_steady

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from pipeline.cli.simulated.scenario import Tick
    from pipeline.settings import Settings

_LAST_WAIT: Final = 3.0
"""Seconds for the broker to take leave."""


@asynccontextmanager
async def producer(settings: Settings, linger_ms: int = 5) -> AsyncIterator[AIOKafkaProducer]:
    """Yield a producer that loses, repeats and reorders nothing; partitions by murmur2, as Java's does."""
    sending = AIOKafkaProducer(
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
        with suppress(TimeoutError):
            await asyncio.wait_for(sending.stop(), _LAST_WAIT)


async def send_when_due(sending: AIOKafkaProducer, ticks: Iterable[Tick]) -> int:
    """Send ticks when they are due, and wait until all are delivered; return how many there were."""
    count = 0
    deliveries: deque[asyncio.Future[Any]] = deque()
    for tick in ticks:
        # Even when it is late: others want to run.
        await asyncio.sleep(max(tick.time - time.time(), 0))
        value, key = codec.encode(tick.message), tick.symbol.encode()
        deliveries.append(await sending.send(tick.topic, value, key=key, timestamp_ms=millis(tick.time)))
        count += 1
        while deliveries and deliveries[0].done():
            deliveries.popleft().result()
    await asyncio.gather(*deliveries)
    return count
