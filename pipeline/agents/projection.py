"""The projection agent: what the pipeline sent, read back from Kafka and written to Redis.

It holds back only itself: while Redis is away its offsets stay where they are, and other agents go on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from faust.types import TP

from pipeline import contract
from pipeline.runtime.transport import BatchSchema

if TYPE_CHECKING:
    from pipeline.runtime.application import Application
    from pipeline.sinks.projection import Projection


def create_projection_agent(app: Application, projection: Projection) -> None:
    """Create the agent that projects the output topics, one batch of one partition at a time."""
    outputs = app.topic(*contract.PROJECTED, schema=BatchSchema(key_type=bytes, value_type=bytes))

    @app.agent(outputs, name="projection")
    async def project(batches: Any) -> None:
        async for batch in batches.noack().events():
            received, tp = batch.message.value, TP(batch.message.topic, batch.message.partition)
            records = [(record.topic, record.key, record.value, record.timestamp) for record in received]
            if await app.flow.within_epoch(projection.project(records)):
                app.consumer.acknowledge({tp: received[-1].offset + 1})
                app.intake.give_back_projected(tp, len(received))
