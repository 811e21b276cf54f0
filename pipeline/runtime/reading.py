"""Reading what a topic holds at this moment, outside of any consumer group."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaTimeoutError

from pipeline.messages import millis
from pipeline.runtime.connections import keep_steady
from pipeline.runtime.headers import read_any_names
from pipeline.runtime.topics import count_partitions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Mapping, Sequence

    from aiokafka import ConsumerRecord

    from pipeline.settings import Settings

PATIENCE_S: Final = 40.0
"""Seconds without a record after which the broker is given up, as aiokafka gives up a single request."""
_FETCH_MS: Final = 10


@asynccontextmanager
async def connected(settings: Settings, **more: Any) -> AsyncIterator[AIOKafkaConsumer]:
    """Yield a consumer outside of any group, with `more` of aiokafka's options.

    Its fetches are short: the broker answers one request after the other, and a fetch at the end of a
    partition, which aiokafka (0.14) sends unasked, would hold up whatever is asked of the next one.
    """
    read_any_names()
    options = settings.kafka_client_options() | more
    consumer = AIOKafkaConsumer(**options, enable_auto_commit=False, fetch_max_wait_ms=_FETCH_MS)
    keep_steady(consumer)
    try:
        await consumer.start()
        yield consumer
    finally:
        await consumer.stop()


async def read_topic(
    settings: Settings,
    topic: str,
    newest: int | None = None,
    *,
    since: float | None = None,
    only: int | None = None,
) -> AsyncIterator[ConsumerRecord]:
    """Yield what each partition of a topic holds now, in order; some that come meanwhile may follow.

    Parameters
    ----------
    newest
        Leave out all but about this many of each partition.
    since
        Leave out what is before the first record of this time (Unix seconds), or a later one.
    only
        The partition that is read; all are by default.

    Raises
    ------
    TopicsError
        There is no such topic.
    KafkaTimeoutError
        The broker went away.

    """
    numbers = range(await count_partitions(settings, topic))
    partitions = [TopicPartition(topic, number) for number in numbers if only in {None, number}]
    async with connected(settings) as consumer:
        ends = await go_back(consumer, partitions, newest, since)
        for partition in partitions:
            # Whole batches, though the end may lie within one: Tansu 0.6 names the first offset of the last
            # batch plus one as the end.
            while records := await _next(consumer, partition, ends[partition]):
                for record in records:
                    yield record


async def _next(consumer: AIOKafkaConsumer, partition: TopicPartition, end: int) -> Sequence[ConsumerRecord]:
    """Return the next records of a partition, none at its end; aiokafka (0.14) waits without end."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while await consumer.position(partition) < end:
                found: Mapping[TopicPartition, Sequence[ConsumerRecord]]
                found = await consumer.getmany(partition, timeout_ms=200)
                if partition in found:
                    return found[partition]
    except TimeoutError:
        text = f"{partition.topic}: no answer from the broker for {PATIENCE_S:.0f} s"
        raise KafkaTimeoutError(text) from None
    return ()


async def go_back(
    consumer: AIOKafkaConsumer,
    partitions: Collection[TopicPartition],
    newest: int | None = None,
    since: float | None = None,
) -> dict[TopicPartition, int]:
    """Let a consumer read partitions from where `read_topic` begins; return where each ends now."""
    ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
    consumer.assign(partitions)
    for partition, first in (await _begins(consumer, ends, since)).items():
        consumer.seek(partition, first if newest is None else max(first, ends[partition] - newest))
    return ends


async def _begins(
    consumer: AIOKafkaConsumer, ends: Mapping[TopicPartition, int], since: float | None
) -> dict[TopicPartition, int]:
    """Return where partitions begin, or where the records of a time or a later one do."""
    if since is None:
        begins: dict[TopicPartition, int] = await consumer.beginning_offsets(ends)
        return begins
    moment = max(millis(since), 0)  # Kafka knows none before
    found = await consumer.offsets_for_times(dict.fromkeys(ends, moment))
    return {each: ends[each] if place is None else place.offset for each, place in found.items()}
