"""Sending liquidations at a steady rate, and stopping the time until they, or what they lead to, are seen."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from load import liquidations
from redis.asyncio import Redis

from pipeline import codec, contract
from pipeline.messages import micros

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pipeline.settings import Settings

WARM_UP_S = 3.0
PATIENCE_S = 90.0

Key = tuple[str, int]
"""A symbol and the timestamp of its liquidation in microseconds."""
KeyOf = Callable[[dict[str, Any]], Key]
"""Says of a message which liquidation it is about."""
Source = AbstractAsyncContextManager[AsyncIterator[Key]]


class Stopwatch:
    """When each liquidation was sent, and how many milliseconds later it was seen."""

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self._now = now
        self._sent: dict[Key, float] = {}
        self.took_ms: dict[Key, float] = {}

    def send(self, key: Key) -> None:
        self._sent[key] = self._now()

    def see(self, key: Key) -> None:
        """Note that something of a liquidation is there; only the first time counts."""
        if key in self._sent:
            self.took_ms.setdefault(key, (self._now() - self._sent[key]) * 1_000)

    @property
    def missing(self) -> int:
        """How many liquidations were not seen yet."""
        return len(self._sent) - len(self.took_ms)


async def measure(
    settings: Settings, sources: Mapping[str, Source], rate: int, messages: int
) -> dict[str, list[float]]:
    """Send liquidations until all sources have seen some and for a while more, then so many that count.

    Parameters
    ----------
    sources
        Where they, or what they lead to, are to be seen; each tells the liquidations that it sees.
    rate, messages
        Messages a second, and how many are measured.

    Returns
    -------
    dict
        For each source, milliseconds from before the sending to the sight of each liquidation.

    """
    warming, measured = [{name: Stopwatch() for name in sources} for _ in range(2)]
    async with (
        AsyncExitStack() as stack,
        AIOKafkaProducer(bootstrap_servers=settings.broker, acks="all") as producer,
    ):
        watching = [
            asyncio.create_task(
                _watch(await stack.enter_async_context(source), warming[name], measured[name])
            )
            for name, source in sources.items()
        ]
        pace = Pace(producer, rate)
        async with asyncio.timeout(PATIENCE_S):
            await pace.send(warming.values(), lambda: all(watch.took_ms for watch in warming.values()))
        await pace.send(warming.values(), _after(WARM_UP_S))
        end = pace.number + messages
        await pace.send(measured.values(), lambda: pace.number >= end)
        async with asyncio.timeout(PATIENCE_S):
            while any(watch.missing for watch in measured.values()):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        for task in watching:
            task.cancel()
    return {name: list(watch.took_ms.values()) for name, watch in measured.items()}


async def _watch(keys: AsyncIterator[Key], *watches: Stopwatch) -> None:
    async for key in keys:
        for watch in watches:
            watch.see(key)


@asynccontextmanager
async def on_topic(settings: Settings, topic: str, key_of: KeyOf) -> AsyncIterator[AsyncIterator[Key]]:
    """See the messages of a topic."""
    async with AIOKafkaConsumer(topic, bootstrap_servers=settings.broker) as consumer:
        yield (key_of(orjson.loads(record.value)) async for record in consumer)


@asynccontextmanager
async def on_channel(settings: Settings, channel: str, key_of: KeyOf) -> AsyncIterator[AsyncIterator[Key]]:
    """See the messages of a Redis channel."""
    async with Redis.from_url(settings.redis_url) as redis, redis.pubsub() as subscription:
        await subscription.subscribe(channel)
        heard = subscription.listen()
        yield (key_of(orjson.loads(found["data"])) async for found in heard if found["type"] == "message")


class Pace:
    """Sends liquidations that happen now, at a steady rate."""

    def __init__(self, producer: AIOKafkaProducer, rate: int) -> None:
        self._producer = producer
        self._rate = rate
        self._liquidations = liquidations()
        self._began = time.perf_counter()
        self.number = 0

    async def send(self, stopwatches: Collection[Stopwatch], until: Callable[[], bool]) -> None:
        """Send until something is so."""
        while not until():
            await asyncio.sleep(max(0.0, self._began + self.number / self._rate - time.perf_counter()))
            self.number += 1
            message = next(self._liquidations) | {"timestamp": time.time()}
            for stopwatch in stopwatches:
                stopwatch.send(key_of_event(message))
            symbol = str(message["symbol"]).encode()
            await self._producer.send(contract.LIQUIDATIONS, codec.encode(message), key=symbol)


def _after(seconds: float) -> Callable[[], bool]:
    end = time.perf_counter() + seconds
    return lambda: time.perf_counter() >= end


def key_of_event(message: dict[str, Any]) -> Key:
    """Return the key of a liquidation."""
    return message["symbol"], micros(message["timestamp"])


def key_of_signal(message: dict[str, Any]) -> Key:
    """Return the key of the liquidation that led to a signal."""
    return message["symbol"], micros(message["meta"]["event_timestamp"])
