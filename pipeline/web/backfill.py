"""What was sent before the worker had its partitions, read from the ends of the output topics."""

from __future__ import annotations

import asyncio
import time
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final

from aiokafka import TopicPartition

from pipeline import codec
from pipeline.runtime.reading import connected, go_back
from pipeline.web.picture import Picture

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence

    from aiokafka import AIOKafkaConsumer

    from pipeline.messages import Outgoing
    from pipeline.settings import Settings

LONGEST: Final = 86_400
"""Seconds of the past that are read, at most."""
MOST: Final = 10_000
"""Records of each topic and partition that are read, at most."""
_TURN: Final = 100
"""Records after which others have their turn: they take a few milliseconds."""
_FETCH: Final = 1 << 18
"""Bytes of each topic that wait to be decoded, about."""


async def read_past(
    settings: Settings, partitions: Collection[int], weights: Callable[[int], Mapping[str, float]]
) -> Picture:
    """Return the picture of partitions as their output topics tell it now; `weights` as of `Picture`."""
    picture = Picture()
    picture.weights = weights
    picture.keep(partitions)
    async with connected(settings, max_partition_fetch_bytes=_FETCH) as consumer:
        for partition in partitions:
            places = [TopicPartition(topic, partition) for topic in codec.decode_projected]
            async for body in _by_time(consumer, places):
                picture.take(partition, body)
    return picture


async def _by_time(
    consumer: AIOKafkaConsumer, places: Sequence[TopicPartition]
) -> AsyncGenerator[Outgoing, None]:
    """Yield the newest messages of several topics, oldest first; no more than a few are there at once."""
    ends = await go_back(consumer, places, MOST, time.time() - LONGEST)
    sources = [_read(consumer, place, ends[place]) for place in places]
    heads: list[tuple[int, int, Outgoing]] = []

    async def look_at(number: int) -> None:
        async for timestamp, body in sources[number]:
            heappush(heads, (timestamp, number, body))
            return

    for number in range(len(sources)):
        await look_at(number)
    while heads:
        _, number, body = heappop(heads)
        yield body
        await look_at(number)


async def _read(
    consumer: AIOKafkaConsumer, place: TopicPartition, end: int
) -> AsyncGenerator[tuple[int, Outgoing], None]:
    """Yield the messages of a partition with their records' timestamps."""
    decode = codec.decode_projected[place.topic]
    while await consumer.position(place) < end:
        for record in (await consumer.getmany(place, timeout_ms=200, max_records=_TURN)).get(place, ()):
            try:
                yield record.timestamp, decode(record.value or b"")
            except codec.UNREADABLE:
                continue  # of another version, or a tombstone
        await asyncio.sleep(0)
