"""What was sent before the worker had its partitions, read from the ends of the output topics."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import structlog
from aiokafka import TopicPartition

from pipeline import codec
from pipeline.runtime.reading import connected
from pipeline.web.picture import Picture

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from aiokafka import AIOKafkaConsumer

    from pipeline.messages import Outgoing
    from pipeline.settings import Settings

log = structlog.get_logger(__name__)

LONGEST: Final = 86_400
"""Seconds of the past that are read, at most."""
MOST: Final = 10_000
"""Records of each topic and partition that are read, at most."""
_TURN: Final = 100
"""Records after which others have their turn: they take a few milliseconds."""


async def read_past(
    settings: Settings, partitions: Collection[int], weights: Callable[[int], Mapping[str, float]]
) -> Picture:
    """Return the picture of partitions as their output topics tell it now; `weights` as of `Picture`."""
    picture = Picture()
    picture.weights = weights
    picture.keep(partitions)
    async with connected(settings) as consumer:
        for partition in partitions:
            found = [
                (timestamp, body)
                for topic in codec.decode_projected
                for timestamp, body in await _read(consumer, TopicPartition(topic, partition))
            ]
            found.sort(key=lambda each: each[0])
            for place, (_, body) in enumerate(found):
                picture.take(partition, body)
                if place % _TURN == 0:
                    await asyncio.sleep(0)
    return picture


async def _read(consumer: AIOKafkaConsumer, place: TopicPartition) -> list[tuple[int, Outgoing]]:
    """Return the newest records of a partition with their timestamps, oldest first."""
    consumer.assign([place])
    end = (await consumer.end_offsets([place]))[place]
    begin = (await consumer.beginning_offsets([place]))[place]
    since = round((time.time() - LONGEST) * 1_000)
    at = (await consumer.offsets_for_times({place: since}))[place]
    consumer.seek(place, max(begin, end - MOST, end if at is None else at.offset))
    found: list[tuple[int, Outgoing]] = []
    decode = codec.decode_projected[place.topic]
    while await consumer.position(place) < end:
        for record in (await consumer.getmany(place, timeout_ms=200, max_records=_TURN)).get(place, ()):
            try:
                found.append((record.timestamp, decode(record.value or b"")))
            except codec.UNREADABLE:
                continue  # of another version, or a tombstone
    return found
