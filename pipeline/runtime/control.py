"""Weights set at run time: records of the control topic, one copy for each partition, each with a version."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from pipeline import codec, contract
from pipeline.messages import Control
from pipeline.runtime.reading import read_topic
from pipeline.runtime.sending import producer
from pipeline.runtime.topics import count_partitions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.settings import Settings

WEIGHTS: Final = b"weights"
"""Key of the records, so that compaction keeps the newest one."""


async def read_weights(settings: Settings) -> list[Control | None]:
    """Return the newest weights of each partition, None where none were ever set."""
    newest: list[Control | None] = [None] * await count_partitions(settings, contract.CONTROL)
    async for record in read_topic(settings, contract.CONTROL):
        for message in codec.decode(contract.CONTROL, record.value).messages:
            if isinstance(message, Control) and _order(message) > _order(newest[record.partition]):
                newest[record.partition] = message
    return newest


def _order(copy: Control | None) -> tuple[float, int]:
    """Return where weights stand in the order that workers go by: they ignore what is not newer."""
    return (0.0, 0) if copy is None else (copy.timestamp, copy.version)


class InForce(NamedTuple):
    """The newest weights of some copies, None for the profile's own, and which partitions have older ones."""

    version: int
    weights: dict[str, float] | None
    behind: list[int]


def in_force(copies: Sequence[Control | None]) -> InForce:
    """Return what is in force by the copies of each partition; version 0 are the profile's weights."""
    newest = max(copies, key=_order)
    behind = [partition for partition, copy in enumerate(copies) if _order(copy) < _order(newest)]
    return InForce(0, None, behind) if newest is None else InForce(newest.version, newest.weights, behind)


async def send_weights(settings: Settings, weights: Mapping[str, float] | None) -> Control:
    """Put weights in force everywhere from now on; None goes back to the profile's.

    The version follows the newest one of any partition, so a second call also mends a first that reached
    only some of them. Those that were set by a clock that is ahead of this one are followed in time as well:
    workers ignore what is older than what they have.
    """
    copies = await read_weights(settings)
    control = Control(
        setting="weights",
        version=1 + in_force(copies).version,
        timestamp=max([time.time(), *(copy.timestamp for copy in copies if copy is not None)]),
        weights=None if weights is None else dict(weights),
    )
    value, time_ms = codec.encode(control), round(control.timestamp * 1_000)
    async with producer(settings) as sending:
        sent = [
            await sending.send(
                contract.CONTROL, value, key=WEIGHTS, partition=partition, timestamp_ms=time_ms
            )
            for partition in range(len(copies))
        ]
        await asyncio.gather(*sent)
    return control
