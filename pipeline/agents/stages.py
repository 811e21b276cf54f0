"""The agents of the stages: positioning, volatility, regime, velocity and scoring, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline import contract
from pipeline.runtime.batches import BatchSchema

if TYPE_CHECKING:
    from pipeline.runtime.application import Application


def create_intake_agent(app: Application) -> None:
    """Create the agent that decodes batches of all input topics and starts them on their way."""
    inputs = app.topic(*contract.INPUTS, schema=BatchSchema(key_type=bytes, value_type=bytes))
    first = app.channels[0]

    @app.agent(inputs, name="intake")
    async def intake(batches: Any) -> None:
        async for batch in batches.noack().events():
            unit = app.flow.take(batch.message.value)
            if unit is not None:
                first.put_nowait(unit)


def create_stage_agent(app: Application, place: int) -> None:
    """Create the agent of the stage at a place: it folds units, and hands them to the next one."""
    name = app.flow.stages[place].table
    following = app.channels[place + 1] if place + 1 < len(app.channels) else None

    @app.agent(app.channels[place], name=name)
    async def stage(units: Any) -> None:
        async for unit in units:
            if not app.flow.fold(place, unit):
                continue
            if following is not None:
                following.put_nowait(unit)
            else:
                await app.checkpoint.deliver(unit)
