"""Topics that somebody deletes, makes anew or changes: a worker goes on without loss, or says what to do."""

import zlib

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewPartitions, NewTopic
from interruptions import SLOW, uninterrupted, until_signals
from test_broker_faults import until_caught_up_or_told, until_ended
from test_cli_worker import work
from test_topics import admin_does, set_config
from workers import (
    UNHURRIED,
    Worker,
    differing,
    expected_signals,
    produce,
    read_signals,
    read_states,
    until_caught_up,
)

from pipeline import codec, contract
from pipeline.cli.simulated.simulation import simulate
from pipeline.runtime.placement import partition_of
from pipeline.runtime.topic_plan import changelog_topic
from pipeline.runtime.topics import TopicsError, apply_topics, read_topics

pytestmark = pytest.mark.apache_kafka


async def delete(settings, topic):
    await admin_does(settings, lambda client: client.delete_topics([topic]))
    while topic in await read_topics(settings):
        pass


async def make_anew(settings, topic):
    await delete(settings, topic)
    assert await apply_topics(settings) == [f"created {topic}"]


async def add_partitions(settings, topic, total):
    await admin_does(settings, lambda client: client.create_partitions({topic: NewPartitions(total)}))
    while (await read_topics(settings))[topic].partitions != total:
        pass


@pytest.mark.parametrize("running", [False, pytest.param(True, marks=pytest.mark.endurance)])
async def test_an_input_that_is_made_anew_is_read_from_its_beginning(settings, running):
    ticks = list(simulate(20, seed=41))
    # Less than before: what has grown past its old end cannot be told from what was there.
    early, late = ticks[: len(ticks) * 9 // 10], ticks[len(ticks) * 9 // 10 :]
    await produce(settings, early)
    with Worker(settings, **UNHURRIED) as worker:
        await until_caught_up(settings, workers=[worker])
        if not running:
            assert worker.stop() == 0
        await make_anew(settings, contract.LIQUIDATIONS)
        await produce(settings, late)
        if not running:
            worker.start()
        await until_caught_up_or_told(settings, worker, "cascade topics check")
        assert worker.stop() == 0
        assert "they were made anew, and are read from" in worker.text()
    assert differing(await read_signals(settings), expected_signals(ticks)) == []


async def test_an_input_with_other_partitions_is_refused(settings):
    await add_partitions(settings, contract.LIQUIDATIONS, 6)
    code, errors = await work(settings)
    assert code == 1
    assert "the number of partitions is 6, not 4: set PIPELINE_PARTITIONS=6 if all topics have" in errors


async def test_an_input_that_gets_more_partitions_ends_a_worker_that_says_so(settings):
    with Worker(settings) as worker:
        await worker.until_ready()
        await add_partitions(settings, contract.LIQUIDATIONS, 6)
        code, last = await until_ended(worker)
    assert code == 1
    assert last.startswith("stopped: the input topics' partitions were not assigned together")
    assert "Run `cascade topics check`" in last


async def test_keys_that_another_partitioner_placed_are_worked_on_and_told_of(settings):
    """Also those of the reference symbol, whose context is then made elsewhere than where it belongs."""
    assert zlib.crc32(b"BTCUSDT") % settings.partitions != partition_of(b"BTCUSDT", settings.partitions)
    ticks = list(simulate(20, seed=42))
    async with AIOKafkaProducer(bootstrap_servers=settings.broker) as producer:
        for tick in ticks:
            key = tick.symbol.encode()
            await producer.send(
                tick.topic,
                codec.encode(tick.message),
                key=key,
                partition=zlib.crc32(key) % settings.partitions,
                timestamp_ms=round(tick.time * 1_000),
            )
    with Worker(settings) as worker:
        await until_caught_up(settings, workers=[worker])
        assert worker.stop() == 0
        assert "a symbol lies on another partition than its key's own: set the producer's" in worker.text()
    assert differing(await read_signals(settings), expected_signals(ticks)) == []


async def test_a_changelog_that_was_deleted_is_not_begun_empty(settings):
    ticks = list(simulate(20, seed=43))
    await produce(settings, ticks)
    with Worker(settings, **SLOW) as worker:
        await until_signals(settings, 200, worker)
        assert worker.stop() == 0
    lost = changelog_topic(settings.app_id, "velocity")
    await delete(settings, lost)
    code, errors = await work(settings)
    assert code == 1
    assert "its state is lost: set another PIPELINE_APP_ID" in errors.splitlines()[-1]
    with pytest.raises(TopicsError, match=f"{lost}: missing: its state is lost"):
        await apply_topics(settings)
    await admin_does(settings, lambda client: client.create_topics([NewTopic(lost, settings.partitions, 1)]))
    assert await apply_topics(settings) == [f"changed {lost}"]
    code, errors = await work(settings)
    assert code == 1
    assert errors.splitlines()[-1].startswith(f"stopped: {lost}-")
    assert "it ends at offset 0, and other tables tell of more: it was deleted" in errors.splitlines()[-1]
    other = settings.model_copy(update={"app_id": f"{settings.app_id}-again"})
    await apply_topics(other)
    with Worker(other) as worker:
        await until_caught_up(other, workers=[worker])
        assert worker.stop() == 0
    assert differing(await read_signals(other), expected_signals(ticks)) == []
    assert differing(await read_states(other), await uninterrupted(other)) == []


async def test_a_changelog_that_is_made_anew_under_a_worker_ends_it(settings):
    ticks = list(simulate(20, seed=44))
    await produce(settings, ticks[:-1_000])
    lost = changelog_topic(settings.app_id, "velocity")
    with Worker(settings) as worker:
        await until_caught_up(settings, workers=[worker])
        await delete(settings, lost)
        await admin_does(settings, lambda client: client.create_topics([NewTopic(lost, 4, 1)]))
        await produce(settings, ticks[-1_000:])
        code, last = await until_ended(worker)
    assert code == 1
    assert f"stopped: {lost}" in last
    assert "PIPELINE_APP_ID" in last


@pytest.mark.endurance
async def test_a_changelog_that_is_deleted_under_a_worker_at_rest_ends_it_and_is_named(settings):
    await produce(settings, simulate(20, seed=47))
    lost = changelog_topic(settings.app_id, "velocity")
    with Worker(settings) as worker:
        await until_caught_up(settings, workers=[worker])
        await delete(settings, lost)
        code, last = await until_ended(worker)
    assert code == 1
    assert last.startswith(f"stopped: {lost}-")
    assert "PIPELINE_APP_ID" in last


@pytest.mark.endurance
async def test_an_output_that_is_made_anew_under_a_worker_at_rest_gets_what_comes_next(settings):
    ticks = list(simulate(20, seed=48))
    with Worker(settings, **UNHURRIED) as worker:
        await produce(settings, ticks[:-500])
        await until_caught_up(settings, workers=[worker])
        before = await read_signals(settings)
        await make_anew(settings, contract.SIGNALS)
        await produce(settings, ticks[-500:])
        await until_caught_up(settings, workers=[worker])
        assert worker.stop() == 0
    after = await read_signals(settings)
    assert after
    assert before.keys().isdisjoint(after)
    assert differing(before | after, expected_signals(ticks)) == []


@pytest.mark.endurance
async def test_a_topic_that_takes_no_record_of_that_size_ends_a_worker_which_goes_on_later(settings):
    ticks = list(simulate(20, seed=45))
    await produce(settings, ticks)
    await set_config(settings, contract.SIGNALS, **{"max.message.bytes": "300"})
    with Worker(settings, **SLOW) as worker:
        code, last = await until_ended(worker)
        assert code == 1
        assert last.startswith(f"stopped: {contract.SIGNALS}: the broker did not take what was sent")
        assert "raise the topic's max.message.bytes" in last
        await set_config(settings, contract.SIGNALS, **{"max.message.bytes": "1048588"})
        worker.start()
        await until_caught_up(settings, workers=[worker])
        assert worker.stop() == 0
    assert differing(await read_signals(settings), expected_signals(ticks)) == []
    assert differing(await read_states(settings), await uninterrupted(settings)) == []


@pytest.mark.endurance
@pytest.mark.parametrize("topic", [contract.SIGNALS, "velocity"])
async def test_a_topic_that_is_deleted_under_the_producer_ends_the_worker(settings, topic):
    deleted = topic if topic in contract.OUTPUTS else changelog_topic(settings.app_id, topic)
    await produce(settings, list(simulate(120, seed=46)))
    # There is always a commit under way: aiokafka tries for ever with a topic that is gone.
    with Worker(settings, **SLOW, commit_interval=0.1) as worker:
        await until_signals(settings, 40, worker)
        await delete(settings, deleted)
        code, _ = await until_ended(worker)
        text = worker.text()
    assert code == 1
    [last] = [line for line in text.splitlines() if line.startswith("stopped: ")]
    # A topic that is read, too, is missed by the group: whether that or the refusal comes first is chance.
    topics, told = last.removeprefix("stopped: ").split(": ", 1)
    assert any(topic.startswith(deleted) for topic in topics.split(", "))
    assert "`cascade topics " in told
    assert "never retrieved" not in text
