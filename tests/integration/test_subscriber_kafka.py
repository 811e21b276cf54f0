"""`SignalSubscriber` on a real broker, also one that is killed."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import asynccontextmanager

import pytest
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import GroupCoordinatorNotAvailableError, TopicAlreadyExistsError
from output_records import signal
from waiting import until
from workers import PATIENCE

from pipeline import codec, contract
from pipeline.subscriber import SignalSubscriber


class Inbox:
    """A callback that remembers the sequences of each symbol."""

    def __init__(self):
        self.got = {}

    async def __call__(self, channel, data):
        assert channel == contract.CRITICAL
        self.got.setdefault(data["symbol"], []).append(data["sequence"])

    async def until(self, symbol, sequence):
        await until(lambda: sequence in self.got.get(symbol, []), patience=PATIENCE)
        return self.got[symbol]


async def create_topic(bootstrap):
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(contract.CRITICAL, 2, 1)])
    except TopicAlreadyExistsError:
        pass
    finally:
        await admin.close()


async def send(producer, sequence, symbol="BTCUSDT", partition=None):
    value = codec.encode(signal(sequence, symbol=symbol))
    await producer.send_and_wait(contract.CRITICAL, value, key=symbol.encode(), partition=partition)


@asynccontextmanager
async def subscribed(bootstrap, inbox, **options):
    subscriber = SignalSubscriber(f"kafka://{bootstrap}", **options)
    task = asyncio.create_task(subscriber.subscribe([contract.CRITICAL], inbox))
    try:
        yield subscriber
    finally:
        await subscriber.close()
        await task


async def knock(producer, inbox):
    """Send until something arrives of every partition: without a group the first fetch is the beginning."""
    waiting = {f"KNOCK{number}": number for number in await producer.partitions_for(contract.CRITICAL)}
    sequence = 0
    async with asyncio.timeout(PATIENCE):
        while waiting.keys() - inbox.got.keys():
            sequence += 1
            for symbol, partition in waiting.items():
                await send(producer, sequence, symbol, partition)
            await asyncio.sleep(0.05)


async def test_new_signals_come_once_and_in_order(broker):
    await create_topic(broker)
    inbox = Inbox()
    async with AIOKafkaProducer(bootstrap_servers=broker) as producer:
        await send(producer, 1, "OLDUSDT")
        async with subscribed(broker, inbox):
            await knock(producer, inbox)
            for sequence in (1, 2, 1, 2, 3):
                await send(producer, sequence)
            assert await inbox.until("BTCUSDT", 3) == [1, 2, 3]
    assert "OLDUSDT" not in inbox.got


async def test_a_group_goes_on_where_it_was(broker):
    await create_topic(broker)
    first, second = Inbox(), Inbox()
    options = {"group": "subscriber-test", "session_timeout_ms": 6_000, "heartbeat_interval_ms": 1_000}
    async with AIOKafkaProducer(bootstrap_servers=broker) as producer:
        async with subscribed(broker, first, **options):
            await knock(producer, first)
            await send(producer, 1, "GROUPUSDT")
            await first.until("GROUPUSDT", 1)
        await send(producer, 2, "GROUPUSDT")
        async with subscribed(broker, second, **options):
            got = await second.until("GROUPUSDT", 2)
    assert got in ([2], [1, 2])


async def committed(bootstrap, group):
    """Return where a group goes on, by partition."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        offsets = await admin.list_consumer_group_offsets(group)
        return {tp.partition: place.offset for tp, place in offsets.items()}
    except GroupCoordinatorNotAvailableError:  # a broker makes its offsets topic for the first group
        return {}
    finally:
        await admin.close()


async def test_a_group_goes_on_where_it_was_also_if_nothing_had_come(broker):
    """Else the first signal that comes to a partition while the program is away would be lost."""
    await create_topic(broker)
    first, second = Inbox(), Inbox()
    group = f"quiet-{uuid.uuid4().hex}"
    options = {"group": group, "session_timeout_ms": 6_000, "heartbeat_interval_ms": 1_000}
    async with AIOKafkaProducer(bootstrap_servers=broker) as producer:
        async with subscribed(broker, first, **options), asyncio.timeout(30):
            while (await committed(broker, group)).keys() < {0, 1}:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        assert first.got == {}
        await send(producer, 1, "FIRSTUSDT", partition=1)
        async with subscribed(broker, second, **options), asyncio.timeout(30):
            assert await second.until("FIRSTUSDT", 1) == [1]


async def test_the_clients_own_options_may_say_where_to_begin(broker):
    await create_topic(broker)
    inbox = Inbox()
    async with AIOKafkaProducer(bootstrap_servers=broker) as producer:
        await send(producer, 1, "EARLYUSDT")
    async with subscribed(broker, inbox, auto_offset_reset="earliest"), asyncio.timeout(30):
        assert await inbox.until("EARLYUSDT", 1) == [1]


async def test_an_empty_value_is_left_out(broker):
    await create_topic(broker)
    inbox = Inbox()
    async with AIOKafkaProducer(bootstrap_servers=broker) as producer, subscribed(broker, inbox):
        await knock(producer, inbox)
        await producer.send_and_wait(contract.CRITICAL, None, key=b"BTCUSDT")
        await send(producer, 9)
        assert await inbox.until("BTCUSDT", 9) == [9]


@pytest.mark.apache_kafka
async def test_signals_come_again_after_the_broker_was_killed(own_broker):
    await create_topic(own_broker.bootstrap)
    inbox = Inbox()
    async with subscribed(own_broker.bootstrap, inbox):
        async with AIOKafkaProducer(bootstrap_servers=own_broker.bootstrap) as producer:
            await knock(producer, inbox)
        await asyncio.to_thread(own_broker.kill)
        await asyncio.to_thread(own_broker.restart)
        async with AIOKafkaProducer(bootstrap_servers=own_broker.bootstrap) as producer:
            await send(producer, 1)
            assert await inbox.until("BTCUSDT", 1) == [1]


async def test_it_waits_for_a_broker_that_is_not_there_yet(own_broker):
    await create_topic(own_broker.bootstrap)
    await asyncio.to_thread(own_broker.kill)
    inbox = Inbox()
    async with subscribed(own_broker.bootstrap, inbox):
        await asyncio.to_thread(own_broker.start)
        await create_topic(own_broker.bootstrap)
        async with AIOKafkaProducer(bootstrap_servers=own_broker.bootstrap) as producer:
            await knock(producer, inbox)


async def test_a_topic_that_is_not_there_yet_is_waited_for_and_not_made(own_broker):
    """A broker would make it, with as many partitions as it likes, and no worker could start any more."""
    inbox = Inbox()
    with structlog.testing.capture_logs() as logs:
        async with subscribed(own_broker.bootstrap, inbox):
            await until(lambda: logs, patience=PATIENCE)
            await create_topic(own_broker.bootstrap)
            async with AIOKafkaProducer(bootstrap_servers=own_broker.bootstrap) as producer:
                assert await producer.partitions_for(contract.CRITICAL) == {0, 1}
                await knock(producer, inbox)
    assert [log["event"] for log in logs] == [
        "no connection to the signals, trying again",
        "the signals are connected again",
    ]
    assert logs[0]["error"] == f"{contract.CRITICAL}: missing: run `cascade topics apply`"
