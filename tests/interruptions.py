"""What tests of interrupted workers share: a load, the group in the broker's books, and the comparison.

Whatever happens to workers, they have to leave behind what one engine makes of the same records: every
message, every state, and in Redis what those messages come to.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections import Counter
from contextlib import suppress
from heapq import merge
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec
import orjson
from aiokafka import AIOKafkaProducer
from redis.asyncio import Redis
from workers import (
    PATIENCE,
    Admin,
    Worker,
    differing,
    ends,
    produce,
    read_all,
    read_states,
    send,
    until,
    until_caught_up,
    without_timing,
)

from pipeline import Engine, codec, contract
from pipeline.cli.simulated.scenario import VENUES, Tick
from pipeline.cli.simulated.simulation import simulate
from pipeline.engine import EngineSnapshot
from pipeline.features.state import SHARED
from pipeline.features.states import read_snapshot
from pipeline.runtime.placement import partition_of
from pipeline.runtime.reading import read_topic
from pipeline.runtime.topics import apply_topics
from pipeline.sinks.connection import connect
from pipeline.sinks.redis import RedisSink

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.settings import Settings

QUICK: Final = {
    "session_timeout": 3.0,  # what has died is missed soon
    "heartbeat_interval": 0.5,
    "context_settle_ms": 60_000,  # whoever has to wait for a context of a dead worker waits for the next
    "merge_settle_ms": 3_000,  # longer than the rarest feed of a slow load pauses
    "max_poll_records": 200,  # a little at a time, so that a worker can be met in the middle,
    "budget_records": 600,
    "checkpoint_interval": 0.5,  # with messages sent of which no snapshot tells yet
}
SLOW: Final = {"max_poll_records": 200, "budget_records": 400}
"""Little at a time, so that a worker can be met in the middle."""
MESSAGES: Final = (*contract.PROJECTED, contract.ALERTS, contract.CRITICAL)
ALL: Final = (*contract.INPUTS, *contract.PROJECTED)
_PART: Final = 50
"""Records that a load sends at a time, if it is fast."""
_SLOW: Final = 200
"""Records a second up to which a load sends one after the other: where topics bring something so seldom that
nobody waits for them, a record has to be on the broker before those that came after it."""


def market(seconds: float, seed: int) -> list[Tick]:
    """Return a market whose feeds fall silent now and then.

    Its reference outlives it, lest all wait in the end for more of its context.
    """
    ticks = list(simulate(seconds, seed))
    begin, end = ticks[-1].time - seconds, ticks[-1].time
    ticks = list(merge(ticks, _silences(begin, end), key=_place_in_time))
    prices = [tick for tick in ticks if (tick.topic, tick.symbol) == (contract.PRICES, "BTCUSDT")]
    last = next(tick for tick in reversed(prices) if tick.message["exchange"] == VENUES[0])
    times = [ticks[-1].time + after for after in (1, 2, 3)]
    return ticks + [last._replace(message=last.message | {"timestamp": time}, time=time) for time in times]


def _silences(begin: float, end: float) -> Iterator[Tick]:
    """Yield what a collector tells of feeds: every 20 s one is found to be silent, and back 8 s later."""
    for number, silent in enumerate(range(round(begin) + 5, round(end) - 10, 20)):
        told = {
            "exchange": VENUES[number % len(VENUES)],
            "stream": "a",
            "from": silent - 2.5,
            "reason": "cut",
        }
        for back, at in ((None, silent + 0.125), (silent + 8.0, silent + 8.0)):
            yield Tick(contract.FEED_STATUS, SHARED, told | {"to": back, "timestamp": at}, at)


def _place_in_time(tick: Tick) -> tuple[float, int]:
    return tick.time, contract.INPUTS.index(tick.topic)


async def begin_market(settings: Settings, seconds: float, seed: int) -> tuple[list[Tick], list[Tick]]:
    """Produce the first half of a market; return all of it, and the rest."""
    ticks = market(seconds, seed)
    begun = len(ticks) // 2
    await produce(settings, ticks[:begun])
    return ticks, ticks[begun:]


class Load:
    """A market that is produced in the background, so many records a second, until it is hurried up."""

    def __init__(self, settings: Settings, ticks: Sequence[Tick], rate: float) -> None:
        self._settings = settings
        self._ticks = ticks
        self._rate = rate
        self._hurry = asyncio.Event()
        self.sent = 0

    async def end(self) -> None:
        """Wait until all is produced."""
        await self._task

    async def finish(self) -> None:
        """Produce the rest at once."""
        self._hurry.set()
        await self.end()

    async def _produce(self) -> None:
        began, pending = time.monotonic(), []
        async with AIOKafkaProducer(
            **self._settings.kafka_client_options(),
            acks="all",
            linger_ms=0 if self._rate <= _SLOW else 5,
            enable_idempotence=self._settings.producer_idempotence,
        ) as producer:
            for tick in self._ticks:
                pending.append(await send(producer, tick))
                self.sent += 1
                part = 1 if self._rate <= _SLOW and not self._hurry.is_set() else _PART
                if not self.sent % part:
                    await asyncio.gather(*pending)
                    pending.clear()
                    await self._pause_until(began + self.sent / self._rate)
            await asyncio.gather(*pending)

    async def _pause_until(self, moment: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._hurry.wait(), moment - time.monotonic())

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._produce())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})


class Uninterrupted:
    """What one engine makes of a market, which nothing happens to: messages by place, and states by key."""

    def __init__(self, settings: Settings, ticks: Sequence[Tick]) -> None:
        self._settings, self._ticks = settings, ticks
        self.messages: dict[tuple[str, str, int], bytes] = {}
        self.states: dict[tuple[str, str], Any] = {}

    def _run(self) -> None:
        engine, offsets = Engine(), Counter[tuple[str, int]]()
        for tick in self._ticks:
            source = tick.topic, self._partition(tick.symbol)
            for output in engine.process(tick.topic, codec.encode(tick.message), offset=offsets[source]):
                if output.topic in MESSAGES:
                    message = output.message
                    self.messages[_place(output.topic, message)] = codec.encode(message)
            offsets[source] += 1
        tables = msgspec.msgpack.decode(engine.snapshot(), type=EngineSnapshot).tables
        self.states = {
            (table, f"{number}:{key}"): read_snapshot(data)
            for table, states in tables.items()
            for key, data in states.items()
            for number in (range(self._settings.partitions) if key == SHARED else [self._partition(key)])
        }

    def _partition(self, symbol: str) -> int:
        return partition_of(symbol.encode(), self._settings.partitions)

    async def check(self, why: object = "") -> Counter[tuple[str, str, int]]:
        """Compare with it what workers have left behind; return how often each message was sent.

        `why` is what a failure should tell, such as a seed.
        """
        url = self._settings.redis_url
        held = await redis_content(url)  # first, for some of it lives for a minute: an engine may take longer
        self._run()
        found, times = await self._found()
        _compare(found, self.messages, why)
        _compare(await read_states(self._settings), self.states, why)
        _compare(held, await self._redis_content(url), why)
        return times

    async def _found(self) -> tuple[dict[tuple[str, str, int], bytes], Counter[tuple[str, str, int]]]:
        found: dict[tuple[str, str, int], bytes] = {}
        times: Counter[tuple[str, str, int]] = Counter()
        for topic in MESSAGES:
            for sent in await read_all(self._settings, topic):
                message, place = codec.encode(_timeless(sent)), _place(topic, sent)
                assert found.setdefault(place, message) == message, f"{place} differs when repeated"
                times[place] += 1
        return found, times

    async def _redis_content(self, url: str) -> dict[str, Any]:
        """Write the messages in their order to another database, and return what it holds then."""
        beside = f"{url.rpartition('/')[0]}/2"
        sink, now_ms = RedisSink(connect(beside)), round(time.time() * 1_000)
        records = [
            (topic, symbol.encode(), message, now_ms)
            for (topic, symbol, _), message in self.messages.items()
            if topic in contract.PROJECTED
        ]
        async with Redis.from_url(beside) as redis:
            await redis.flushdb()
        for begin in range(0, len(records), 1_000):
            await sink.write(records[begin : begin + 1_000])
        await sink.close()
        return await redis_content(beside)


async def until_signals(settings: Settings, number: int, worker: Worker) -> None:
    """Wait until so many signals were sent."""
    while len(await read_all(settings, contract.SIGNALS)) < number:
        assert worker.process.poll() is None, "the worker ended"
        await asyncio.sleep(0.1)


async def uninterrupted(settings: Settings) -> dict[tuple[str, str], Any]:
    """Return the states that one worker leaves behind which nothing happens to."""
    other = settings.model_copy(update={"app_id": f"{settings.app_id}-whole"})
    await apply_topics(other)
    with Worker(other) as worker:
        await until_caught_up(other, workers=[worker])
        assert worker.stop() == 0
    return await read_states(other)


def _compare(found: dict[Any, Any], expected: dict[Any, Any], why: object) -> None:
    differences = sorted(differing(found, expected))
    shown = "\n".join(differences[:5])
    assert not differences, f"{why}: {len(differences)} differ, such as\n{shown}"


async def redis_content(url: str) -> dict[str, Any]:
    """Return all that a Redis holds by key: whether it expires, and its value without how long it took."""
    async with Redis.from_url(url, decode_responses=True) as redis:
        return {key: (await redis.ttl(key) > 0, await _value(redis, key)) for key in await redis.keys()}


async def _value(redis: Redis, key: str) -> Any:
    kind = await redis.type(key)
    if kind == "hash":
        return await redis.hgetall(key)
    if kind == "string":
        return orjson.loads(await redis.get(key))
    members = [_timeless(orjson.loads(member)) for member in await redis.zrange(key, 0, -1)]
    return sorted(members, key=lambda member: (member["timestamp"], member["sequence"]))


def _place(topic: str, message: dict[str, Any]) -> tuple[str, str, int]:
    return topic, message["symbol"], message["sequence"]


def _timeless(message: dict[str, Any]) -> dict[str, Any]:
    return without_timing(message) if "meta" in message else message


async def until_owned(settings: Settings, *workers: Worker) -> None:
    """Wait until all partitions are shared out among some workers, and each has one at least."""

    def shared_out() -> bool:
        owned = [worker.partitions for worker in workers]
        return all(owned) and sorted(chain(*owned)) == list(range(settings.partitions))

    await until(shared_out, "partitions are not shared out", workers)


async def until_sent(settings: Settings, number: int) -> None:
    """Wait until workers have sent so many messages more."""
    wanted = number + sum((await ends(settings, MESSAGES)).values())
    deadline = time.monotonic() + PATIENCE
    while sum((await ends(settings, MESSAGES)).values()) < wanted:
        assert time.monotonic() < deadline, "workers send nothing"


async def group_state(settings: Settings) -> str:
    """Return the state of the workers' group, as the broker tells it: Stable, PreparingRebalance ..."""
    async with Admin(settings) as admin:
        (answer,) = await admin.describe_consumer_groups([settings.app_id])
    return str(answer.groups[0][2])


async def generation(settings: Settings) -> int:
    """Return how often the workers' group was rebalanced, from the broker's own books.

    A record of theirs about a group: key = version (2), group; value = version, kind of protocol, generation.
    """
    found = 0
    async for record in read_topic(settings, "__consumer_offsets"):
        version, name = struct.unpack_from(">h", record.key)[0], record.key[4:].decode(errors="replace")
        if version == 2 and name == settings.app_id and record.value is not None:
            (length,) = struct.unpack_from(">h", record.value, 2)
            (found,) = struct.unpack_from(">i", record.value, 4 + length)
    return found
