import asyncio

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaTimeoutError
from workers import Admin

from pipeline import contract
from pipeline.runtime import reading
from pipeline.runtime.misplaced import MisplacedKey, find_misplaced_keys
from pipeline.runtime.placement import partition_of
from pipeline.runtime.reading import read_topic
from pipeline.runtime.topic_plan import changelog_topic, wanted_topics
from pipeline.runtime.topics import TopicsError, apply_topics, check_topics, read_topics


async def admin_does(settings, work):
    async with Admin(settings) as client:
        return await work(client)


async def set_config(settings, topic, **values):
    resource = ConfigResource(ConfigResourceType.TOPIC, topic, configs=values)
    await admin_does(settings, lambda client: client.alter_configs([resource]))
    while not values.items() <= (await read_topics(settings))[topic].config.items():  # noqa: ASYNC110
        await asyncio.sleep(0.05)


async def test_topics_that_were_just_applied_are_as_they_should_be(settings):
    assert await check_topics(settings) == []
    assert await apply_topics(settings) == []
    found = await read_topics(settings)
    assert set(found) == {topic.name for topic in wanted_topics(settings)}
    assert {topic.partitions for topic in found.values()} == {settings.partitions}
    assert found[contract.CONTROL].config["cleanup.policy"] == "compact"


async def test_missing_topics_block_a_worker_and_are_created(settings):
    other = settings.model_copy(update={"app_id": f"{settings.app_id}-2"})
    problems = await check_topics(other)
    expected = [changelog_topic(other.app_id, table) for table in contract.TABLES]
    assert [problem.topic for problem in problems] == expected
    assert all(problem.blocking and "cascade topics apply" in problem.remedy for problem in problems)
    assert await apply_topics(other) == [f"created {name}" for name in expected]
    assert await check_topics(other) == []


async def test_two_may_apply_at_once(settings):
    for number in range(3):
        other = settings.model_copy(update={"app_id": f"{settings.app_id}-both-{number}"})
        await asyncio.gather(apply_topics(other), apply_topics(other))
        assert await check_topics(other) == []


async def test_checking_creates_nothing(settings):
    other = settings.model_copy(update={"app_id": f"{settings.app_id}-3"})
    await check_topics(other)
    names = await admin_does(settings, lambda client: client.list_topics())
    assert changelog_topic(other.app_id, "velocity") not in names


async def test_another_number_of_partitions_is_refused_before_anything_is_changed(settings):
    other = settings.model_copy(update={"app_id": f"{settings.app_id}-4", "partitions": 3})
    with pytest.raises(TopicsError, match=r"the number of partitions is 4, not 3: set PIPELINE_PARTITIONS=4"):
        await apply_topics(other)
    assert changelog_topic(other.app_id, "velocity") not in await read_topics(other)


@pytest.mark.apache_kafka
async def test_a_changelog_that_is_not_compacted_blocks_a_worker_and_is_mended(settings):
    name = changelog_topic(settings.app_id, "velocity")
    await set_config(settings, name, **{"cleanup.policy": "delete", "segment.bytes": "1048576"})
    problems = {problem.text: problem.blocking for problem in await check_topics(settings)}
    assert problems["cleanup.policy is delete, not compact"]
    assert not problems["segment.ms is 604800000, not 600000"]
    assert await apply_topics(settings) == [f"changed {name}"]
    assert await check_topics(settings) == []


@pytest.mark.apache_kafka
async def test_settings_that_somebody_else_made_are_kept(settings):
    values = {"cleanup.policy": "delete", "retention.ms": "5", "max.message.bytes": "2000000"}
    await set_config(settings, contract.PRICES, **values)
    await apply_topics(settings.model_copy(update={"input_retention_hours": 2}))
    found = (await read_topics(settings))[contract.PRICES]
    assert found.config["retention.ms"] == "7200000"
    assert found.config["max.message.bytes"] == "2000000"


async def test_a_topic_is_read_to_its_end_in_order_and_in_part(settings):
    async with AIOKafkaProducer(**settings.kafka_client_options()) as producer:
        for number in range(10):
            await producer.send_and_wait(contract.PRICES, str(number).encode(), partition=number % 2)
    values = [(record.partition, record.value) async for record in read_topic(settings, contract.PRICES)]
    assert values == [(p, str(n).encode()) for p in (0, 1) for n in range(p, 10, 2)]
    newest = [record.value async for record in read_topic(settings, contract.PRICES, newest=1)]
    assert newest == [b"8", b"9"]


async def test_all_records_of_one_batch_are_read(settings):
    async with AIOKafkaProducer(**settings.kafka_client_options(), linger_ms=100) as producer:
        sent = [
            await producer.send(contract.PRICES, str(number).encode(), partition=0) for number in range(10)
        ]
        await asyncio.gather(*sent)
    values = [record.value async for record in read_topic(settings, contract.PRICES)]
    assert values == [str(number).encode() for number in range(10)]


async def test_a_broker_that_stops_while_a_topic_is_read_is_not_waited_for_without_end(
    settings, own_broker, monkeypatch
):
    monkeypatch.setattr(reading, "PATIENCE_S", 2)
    own = settings.model_copy(update={"broker": own_broker.bootstrap, "partitions": 1})
    await apply_topics(own)
    async with AIOKafkaProducer(**own.kafka_client_options()) as producer:
        for _ in range(8):  # more than one fetch brings
            await producer.send_and_wait(contract.PRICES, bytes(900_000))
    records = read_topic(own, contract.PRICES)
    await anext(records)
    own_broker.pause()
    with pytest.raises(KafkaTimeoutError, match="prices: no answer from the broker for 2 s"):
        async for _ in records:
            pass


async def test_keys_that_lie_elsewhere_are_named(settings):
    right = partition_of(b"BTCUSDT", settings.partitions)
    wrong = (right + 1) % settings.partitions
    async with AIOKafkaProducer(**settings.kafka_client_options()) as producer:
        futures = [
            await producer.send(contract.PRICES, b"{}", key=b"BTCUSDT"),
            await producer.send(contract.PRICES, b"{}", key=b"BTCUSDT", partition=wrong),
            await producer.send(contract.PRICES, b"{}", key=b"BTCUSDT", partition=wrong),
            await producer.send(contract.PRICES, b"{}", partition=wrong),
        ]
        await asyncio.gather(*futures)
    assert await find_misplaced_keys(settings) == [MisplacedKey(contract.PRICES, b"BTCUSDT", wrong, right)]
