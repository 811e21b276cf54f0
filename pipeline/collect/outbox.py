"""The way to Kafka: bounded, in order, and each message is confirmed before it is forgotten."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from itertools import chain, compress
from typing import TYPE_CHECKING, Final, TypeAlias

import structlog
from aiokafka.errors import KafkaError

from pipeline import codec, contract
from pipeline.messages import millis

if TYPE_CHECKING:
    from aiokafka import AIOKafkaProducer

    from pipeline.collect.venue import Feed
    from pipeline.messages import FeedStatus

log = structlog.get_logger(__name__)

_Record: TypeAlias = tuple[str, bytes, bytes, int, int | None]
"""Topic, key, value, the event's time in milliseconds, and the partition, if it is not the key's."""
MOST_WAITING: Final = 50_000
"""Prices, open interest and funding rates that may wait: the oldest go first, the next says more."""
_PART: Final = 500
_AGAIN: Final = 1.0
"""Seconds until Kafka is tried again."""


class Outbox:
    """Messages on their way to Kafka.

    While Kafka is slow or away liquidations wait, however many there are; of the rest the oldest are dropped
    beyond `most`.

    Parameters
    ----------
    producer
        The way to Kafka.
    most
        How many may wait; None for any number.
    partitions
        How many every topic has: what is told of a feed concerns the symbols of all.

    Attributes
    ----------
    dropped
        How many were dropped.
    sent
        How many Kafka confirmed.

    """

    def __init__(
        self, producer: AIOKafkaProducer, most: int | None = MOST_WAITING, *, partitions: int = 1
    ) -> None:
        self._producer = producer
        self._partitions = range(partitions)
        self._events: deque[_Record] = deque()
        self._states: deque[_Record] = deque(maxlen=most)
        self._came = asyncio.Event()
        self._closed = False
        self._under_way: list[_Record] = []
        self.dropped = self.sent = 0

    @property
    def waiting(self) -> int:
        """How many messages wait for Kafka, or for its confirmation."""
        return len(self._events) + len(self._states) + len(self._under_way)

    def waiting_by_topic(self) -> Counter[str]:
        """Return the same by topic."""
        return Counter(topic for topic, *_ in chain(self._under_way, self._events, self._states))

    def put(self, topic: str, message: Feed) -> None:
        """Take a message; topics are merged by their records' times."""
        value, time_ms = codec.encode(message), millis(message.timestamp)
        record = topic, message.symbol.encode(), value, time_ms, None
        if topic == contract.LIQUIDATIONS:
            self._events.append(record)
        else:
            self.dropped += len(self._states) == self._states.maxlen
            self._states.append(record)
        self._came.set()

    def tell(self, status: FeedStatus) -> None:
        """Take what is told of a feed."""
        key, value, time_ms = status.exchange.encode(), codec.encode(status), millis(status.told)
        self._events.extend((contract.FEED_STATUS, key, value, time_ms, copy) for copy in self._partitions)
        self._came.set()

    def close(self) -> None:
        """Let `run` end once all that waits is confirmed."""
        self._closed = True
        self._came.set()

    async def run(self) -> None:
        """Send what comes until it is closed; not to be cancelled, for what is on its way would be lost."""
        while not self._closed or self.waiting:
            await self._came.wait()
            self._came.clear()
            await self.flush()

    async def flush(self) -> None:
        """Send all that waits; not to be cancelled, either."""
        while self.waiting:
            queue = self._events or self._states
            await self._send([queue.popleft() for _ in range(min(_PART, len(queue)))])

    async def _send(self, part: list[_Record]) -> None:
        """Send until all is confirmed, and nothing twice that was: a volume would count twice."""
        while part:
            self._under_way = part
            part = await self._unconfirmed(part)
            self.sent += len(self._under_way) - len(part)
            self._under_way = part
            if part:
                await asyncio.sleep(_AGAIN)

    async def _unconfirmed(self, part: list[_Record]) -> list[_Record]:
        """Send records, and return those that Kafka did not confirm."""
        on_the_way, errors = [], list[BaseException]()
        try:
            for topic, key, value, time_ms, partition in part:
                on_the_way.append(
                    await self._producer.send(
                        topic, value, key=key, partition=partition, timestamp_ms=time_ms
                    )
                )
        except KafkaError as error:
            errors.append(error)
        results = await asyncio.gather(*on_the_way, return_exceptions=True)
        refused = [isinstance(result, BaseException) for result in results]
        errors += compress(results, refused)
        for unforeseen in errors:
            if not isinstance(unforeseen, KafkaError):
                raise unforeseen
        if errors:
            log.warning("Kafka does not take messages, they wait", waiting=self.waiting, error=str(errors[0]))
        return [*compress(part, refused), *part[len(results) :]]
