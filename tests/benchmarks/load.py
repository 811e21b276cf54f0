"""The messages of every benchmark: single liquidations of 50 symbols on 3 venues, the same every time."""

from __future__ import annotations

import random
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from pipeline import codec, contract
from pipeline.runtime.topics import apply_topics

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pipeline.settings import Settings

SYMBOLS = ["BTCUSDT", "ETHUSDT", "SOLUSDT", *(f"C{number}USDT" for number in range(47))]
VENUES = ["binance", "bybit", "okx"]
BUSY = 10
"""Symbols that get 70% of the messages."""
START_MS = 1_760_000_000_000
SEED = 7


class Keyed(NamedTuple):
    """A message as it lies on Kafka."""

    key: bytes
    value: bytes


def liquidations(seed: int = SEED) -> Iterator[dict[str, object]]:
    """Yield liquidations for ever, 10 ms of event time apart on average."""
    chance = random.Random(seed)
    time_ms = START_MS
    while True:
        time_ms += chance.randint(0, 20)
        price = 60_000 * (1 + 0.001 * chance.gauss(0, 1))
        quantity = round(chance.lognormvariate(0, 1.5), 3) or 0.001
        yield {
            "symbol": chance.choice(SYMBOLS[:BUSY] if chance.random() < 0.7 else SYMBOLS),
            "exchange": chance.choice(VENUES),
            "side": chance.choice(["long", "short"]),
            "price": price,
            "quantity": quantity,
            "value_usd": price * quantity,
            "timestamp": time_ms / 1_000,
        }


def keyed(count: int) -> Iterator[Keyed]:
    """Yield that many liquidations as JSON, keyed by symbol."""
    for message in islice(liquidations(), count):
        yield Keyed(str(message["symbol"]).encode(), codec.encode(message))


def in_arrays(count: int, size: int) -> Iterator[Keyed]:
    """Yield that many liquidations in arrays of one symbol each: full ones, and what is left at the end."""
    waiting: dict[str, list[dict[str, object]]] = {}
    for message in islice(liquidations(), count):
        array = waiting.setdefault(str(message["symbol"]), [])
        array.append(message)
        if len(array) == size:
            yield _array(waiting.pop(str(message["symbol"])))
    yield from map(_array, waiting.values())


def _array(messages: list[dict[str, object]]) -> Keyed:
    return Keyed(str(messages[0]["symbol"]).encode(), codec.encode(messages))


async def load(settings: Settings, messages: Iterable[Keyed]) -> int:
    """Create the pipeline's topics, lay messages on the input topic, and return how many there were."""
    await apply_topics(settings)
    async with AIOKafkaProducer(
        bootstrap_servers=settings.broker, linger_ms=20, compression_type="lz4", enable_idempotence=True
    ) as producer:
        count = 0
        for message in messages:
            await producer.send(contract.LIQUIDATIONS, message.value, key=message.key)
            count += 1
    lying = sum((await end_offsets(settings, contract.LIQUIDATIONS)).values())
    if lying != count:
        raise RuntimeError(f"{count} messages were sent and {lying} lie on the topic")
    return count


async def end_offsets(settings: Settings, topic: str) -> dict[TopicPartition, int]:
    """Return where the partitions of a topic end."""
    async with AIOKafkaConsumer(bootstrap_servers=settings.broker) as consumer:
        return await consumer.end_offsets([TopicPartition(topic, n) for n in range(settings.partitions)])
