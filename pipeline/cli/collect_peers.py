"""What the collectors of a venue tell each other: a feed is silent only where none of them hears it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from pipeline import contract
from pipeline.web.feeds import decode_status, told_of_feeds

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from pipeline.collect.collector import Collector
    from pipeline.settings import Settings

log = structlog.get_logger(__name__)


@asynccontextmanager
async def among_peers(settings: Settings, collectors: Sequence[Collector]) -> AsyncIterator[None]:
    """Let collectors know what was told of their venues before, and what is told from now on."""
    options = settings.kafka_client_options()
    consumer = AIOKafkaConsumer(contract.FEED_STATUS, **options, auto_offset_reset="latest")
    await consumer.start()
    try:
        await consumer.seek_to_end()
        before = await told_of_feeds(settings)
        for each in collectors:
            each.resume(before)
        listening = asyncio.create_task(_listen(consumer, {each.venue.NAME: each for each in collectors}))
        yield
        listening.cancel()
        await asyncio.wait({listening})
    finally:
        await consumer.stop()


async def _listen(consumer: AIOKafkaConsumer, collectors: dict[str, Collector]) -> None:
    try:
        async for record in consumer:
            try:
                told = decode_status(record.value or b"")
            except msgspec.MsgspecError:
                continue
            if told.exchange in collectors:
                collectors[told.exchange].hear(told)
    except KafkaError as error:
        log.warning("what other collectors tell cannot be read any more", reason=str(error))
