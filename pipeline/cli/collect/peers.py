"""What the collectors of a venue tell each other: a feed is silent only where none of them hears it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from pipeline import contract
from pipeline.runtime.connections import keep_steady
from pipeline.web.feeds import statuses, told_of_feeds

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from pipeline.collect.collector import Collector
    from pipeline.messages import FeedStatus
    from pipeline.settings import Settings

log = structlog.get_logger(__name__)


@asynccontextmanager
async def among_peers(settings: Settings, collectors: Sequence[Collector]) -> AsyncIterator[None]:
    """Let collectors know what was told of their venues before, and what is told from now on."""
    options = settings.kafka_client_options()
    consumer = AIOKafkaConsumer(**options, auto_offset_reset="latest")
    keep_steady(consumer)
    await consumer.start()
    try:
        consumer.assign([TopicPartition(contract.FEED_STATUS, 0)])  # each has a copy
        await consumer.seek_to_end()
        by_venue = {each.venue.NAME: each for each in collectors}
        for told in await told_of_feeds(settings):
            _pass_on(told, by_venue)
        listening = asyncio.create_task(_listen(consumer, by_venue))
        yield
        listening.cancel()
        await asyncio.wait({listening})
    finally:
        await consumer.stop()


def _pass_on(told: FeedStatus, collectors: dict[str, Collector]) -> None:
    if told.exchange in collectors:
        collectors[told.exchange].hear(told)


async def _listen(consumer: AIOKafkaConsumer, collectors: dict[str, Collector]) -> None:
    try:
        async for record in consumer:
            for told in statuses(record.value):
                _pass_on(told, collectors)
    except KafkaError as error:
        log.warning("what other collectors tell cannot be read any more", reason=str(error))
