"""Sending liquidations at a steady rate, and stopping the time until they are seen on a topic."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from load import liquidations

from pipeline import codec, contract
from pipeline.messages import micros

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.settings import Settings

WARM_UP_S = 3.0
PATIENCE_S = 90.0

Key = tuple[str, int]
"""A symbol and the timestamp of its liquidation in microseconds."""


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
    settings: Settings, topic: str, key: Callable[[dict[str, Any]], Key], rate: int, messages: int
) -> list[float]:
    """Send liquidations until they are seen on a topic and for a while more, then so many that count.

    Parameters
    ----------
    topic
        Where they, or what they lead to, are to be seen.
    key
        Says of a message of that topic which liquidation it is about.
    rate, messages
        Messages a second, and how many are measured.

    Returns
    -------
    list
        Milliseconds from before the sending to the sight of each.

    """
    warming, measured = Stopwatch(), Stopwatch()

    def see(message: dict[str, Any]) -> None:
        about = key(message)
        warming.see(about)
        measured.see(about)

    async with (
        AIOKafkaConsumer(topic, bootstrap_servers=settings.broker) as consumer,
        AIOKafkaProducer(bootstrap_servers=settings.broker, acks="all") as producer,
    ):
        reading = asyncio.create_task(_read(consumer, see))
        pace = Pace(producer, rate)
        async with asyncio.timeout(PATIENCE_S):
            await pace.send(warming, lambda: bool(warming.took_ms))
        await pace.send(warming, _after(WARM_UP_S))
        end = pace.number + messages
        await pace.send(measured, lambda: pace.number >= end)
        async with asyncio.timeout(PATIENCE_S):
            while measured.missing:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        reading.cancel()
    return list(measured.took_ms.values())


class Pace:
    """Sends liquidations that happen now, at a steady rate."""

    def __init__(self, producer: AIOKafkaProducer, rate: int) -> None:
        self._producer = producer
        self._rate = rate
        self._liquidations = liquidations()
        self._began = time.perf_counter()
        self.number = 0

    async def send(self, stopwatch: Stopwatch, until: Callable[[], bool]) -> None:
        """Send until something is so."""
        while not until():
            await asyncio.sleep(max(0.0, self._began + self.number / self._rate - time.perf_counter()))
            self.number += 1
            message = next(self._liquidations) | {"timestamp": time.time()}
            stopwatch.send(key_of_event(message))
            symbol = str(message["symbol"]).encode()
            await self._producer.send(contract.LIQUIDATIONS, codec.encode(message), key=symbol)


async def _read(consumer: AIOKafkaConsumer, see: Callable[[dict[str, Any]], None]) -> None:
    async for record in consumer:
        see(orjson.loads(record.value))


def _after(seconds: float) -> Callable[[], bool]:
    end = time.perf_counter() + seconds
    return lambda: time.perf_counter() >= end


def key_of_event(message: dict[str, Any]) -> Key:
    """Return the key of a liquidation."""
    return message["symbol"], micros(message["timestamp"])


def key_of_signal(message: dict[str, Any]) -> Key:
    """Return the key of the liquidation that led to a signal."""
    return message["symbol"], micros(message["meta"]["event_timestamp"])
