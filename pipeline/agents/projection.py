"""The projection agent: what the pipeline sent, read back from Kafka and written to Redis.

It holds back only itself: while Redis is away its offsets stay where they are, and other agents go on.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from faust.types import TP

from pipeline import contract
from pipeline.runtime.batches import BatchSchema

if TYPE_CHECKING:
    from pipeline.runtime.application import Application
    from pipeline.sinks.projection import Projection

ENOUGH: Final = 2_000
"""Records from which a write takes no further batch."""


def create_projection_agent(app: Application, projection: Projection) -> None:
    """Create the agent that projects the output topics.

    Batches that come while others are being written wait, and are then written together: a write of many
    records takes hardly longer than one of a few.
    """
    outputs = app.topic(*contract.PROJECTED, schema=BatchSchema(key_type=bytes, value_type=bytes))
    waiting: deque[tuple[int, Any]] = deque()
    arrived = asyncio.Event()

    @app.agent(outputs, name="projection")
    async def collect(batches: Any) -> None:
        async for batch in batches.noack().events():
            if waiting and waiting[0][0] != app.flow.epoch:
                waiting.clear()  # nobody takes from it as long as Redis is away from the start
            waiting.append((app.flow.epoch, batch.message))
            arrived.set()

    async def project() -> None:
        try:
            await projection.begin()
            while True:
                if not waiting:
                    arrived.clear()
                    await arrived.wait()
                await project_some(_take(waiting, app.flow.epoch))
        finally:
            await projection.close()

    async def project_some(messages: list[Any]) -> None:
        records = [
            (record.topic, record.key, record.value, record.timestamp)
            for message in messages
            for record in message.value
        ]
        if await app.flow.within_epoch(projection.project(records)):
            for message in messages:
                _acknowledge(app, message)

    app.task(project)


def _take(waiting: deque[tuple[int, Any]], epoch: int) -> list[Any]:
    """Take what is to be written next; batches of epochs that ended are dropped."""
    taken: list[Any] = []
    size = 0
    while waiting and size < ENOUGH:
        began, message = waiting.popleft()
        if began == epoch:
            taken.append(message)
            size += len(message.value)
    return taken


def _acknowledge(app: Application, message: Any) -> None:
    tp = TP(message.topic, message.partition)
    app.consumer.acknowledge({tp: message.value[-1].offset + 1})
    app.intake.give_back_projected(tp, len(message.value))
