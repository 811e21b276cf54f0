"""A market into a broker, as it happens."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from pipeline import codec
from pipeline.messages import millis

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiokafka import AIOKafkaProducer

    from pipeline.cli.simulated.scenario import Tick


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
