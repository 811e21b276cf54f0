"""The test servers do what tests rely on."""

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as NoConnectionError
from redis.exceptions import TimeoutError as NoAnswerError


async def send_and_read_back(bootstrap: str, topic: str, value: bytes) -> list[bytes]:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        await producer.send_and_wait(topic, value)
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    async with consumer:
        found: list[bytes] = []
        while not found or found[-1] != value:
            found.append((await consumer.getone()).value)
    return found


async def create_topic(bootstrap: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 1, 1)])
    finally:
        await admin.close()


async def test_the_shared_broker_keeps_what_it_is_sent(broker):
    await create_topic(broker, "servers-shared")
    assert await send_and_read_back(broker, "servers-shared", b"kept") == [b"kept"]


@pytest.mark.apache_kafka
async def test_a_killed_broker_comes_back_with_its_data(own_broker):
    await create_topic(own_broker.bootstrap, "servers-own")
    assert await send_and_read_back(own_broker.bootstrap, "servers-own", b"before") == [b"before"]
    await asyncio.to_thread(own_broker.kill)
    await asyncio.to_thread(own_broker.restart)
    found = await send_and_read_back(own_broker.bootstrap, "servers-own", b"after")
    assert found == [b"before", b"after"]


async def test_valkey_can_be_killed_and_started_again(own_valkey):
    async with Redis.from_url(own_valkey.url, retry=None) as client:
        await client.set("name", "value")
        own_valkey.kill()
        with pytest.raises(NoConnectionError):
            await client.get("name")
        await asyncio.to_thread(own_valkey.restart)
        assert await client.get("name") is None


async def test_valkey_can_be_paused(own_valkey):
    async with Redis.from_url(own_valkey.url, socket_timeout=0.2, retry=None) as client:
        await client.set("name", "value")
        own_valkey.pause()
        with pytest.raises(NoAnswerError):
            await client.get("name")
        own_valkey.resume()
        assert await client.get("name") == b"value"
