"""Commands on a Kafka that allows their user what the README says; less ends a worker with advice."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import AsyncExitStack

import pytest
from aiokafka.errors import TopicAuthorizationFailedError
from exchanges import Exchange
from secured import GuardedKafkaServer, authority
from servers import running
from test_broker_faults import until_ended
from test_collect import collecting, frames, now_ms, until_there
from waiting import until
from workers import (
    PATIENCE,
    TEST_APP,
    Worker,
    delete_topics,
    differing,
    expected_signals,
    produce,
    read_all,
    read_signals,
    until_caught_up,
)

from pipeline import contract
from pipeline.cli.simulated.simulation import simulate
from pipeline.runtime.topic_plan import wanted_topics
from pipeline.runtime.topics import apply_topics
from pipeline.settings import Settings
from pipeline.subscriber import SignalSubscriber

pytestmark = pytest.mark.java

RIGHTS = ("read", "write", "describe configs")
"""What the README says of every topic."""


@pytest.fixture(scope="module")
def trusted(tmp_path_factory):
    return authority(tmp_path_factory.mktemp("trusted"))


@pytest.fixture(scope="module")
def kafka(trusted):
    with running(GuardedKafkaServer(trusted[0])) as server:
        yield server


@pytest.fixture
async def unlimited(kafka):
    """Return settings of a user who may do everything, where the worker's user has its rights."""
    found = Settings(broker=kafka.plain, app_id=f"{TEST_APP}{uuid.uuid4().hex[:8]}", input_retention_hours=-1)
    await delete_topics(found)
    await apply_topics(found)
    for topic in wanted_topics(found):
        for operation in RIGHTS:
            await kafka.allow(operation, topic.name)
    await kafka.allow("read", found.app_id, "group")
    return found


@pytest.fixture
def settings(kafka, trusted, unlimited):
    return Settings(
        **kafka.connection(trusted[1]),
        redis_enabled=False,
        session_timeout=6.0,
        app_id=unlimited.app_id,
        input_retention_hours=-1,
    )


async def test_a_worker_needs_no_rights_but_those_that_are_told(settings, unlimited):
    ticks = list(simulate(20, seed=33))
    await produce(unlimited, ticks)
    with Worker(settings) as worker:
        await until_caught_up(unlimited, workers=[worker])
        assert worker.stop() == 0
    assert differing(await read_signals(unlimited), expected_signals(ticks)) == []


async def test_topics_are_applied_with_the_rights_that_are_told(kafka, settings):
    other = settings.model_copy(update={"app_id": f"{settings.app_id}-2", "output_retention_hours": 1})
    for topic in wanted_topics(other):
        for operation in (*RIGHTS, "create", "alter configs"):
            await kafka.allow(operation, topic.name)
    await kafka.allow("read", other.app_id, "group")
    done = await apply_topics(other)
    assert {line.partition(" ")[0] for line in done} == {"created", "changed"}


async def test_a_collector_needs_no_rights_but_those_that_are_told(kafka, unlimited, settings):
    async with AsyncExitStack() as stack:
        for topic in contract.FEEDS:
            await stack.enter_async_context(kafka.denied("read", topic))
        for topic in (*contract.FEEDS, contract.FEED_STATUS):
            await stack.enter_async_context(kafka.denied("describe configs", topic))
        exchange = await stack.enter_async_context(Exchange("bybit").running())
        options = ("bybit", "--symbols", "BTCUSDT", *exchange.options)
        process = stack.enter_context(collecting(settings, *options))
        await until(lambda: exchange.sockets, "not connected", 60)
        await exchange.send(frames(now_ms())["bybit"])
        await until_there(unlimited, 1, [process])
        assert await read_all(unlimited, contract.FEED_STATUS)


@pytest.mark.parametrize(
    ("topic", "operation", "words"),
    [
        (contract.PRICES, "read", "TopicAuthorizationFailedError: prices (let the"),
        (contract.SIGNALS, "write", "let the Kafka user write to it"),
        (
            contract.OPEN_INTEREST,
            "describe",
            "TopicAuthorizationFailedError: open-interest (let the Kafka user",
        ),
        (contract.FUNDING, "describe configs", "TopicAuthorizationFailedError: funding (let the"),
    ],
)
async def test_a_right_that_is_missing_ends_a_worker_and_is_named(  # noqa: PLR0913, PLR0917
    kafka, unlimited, settings, topic, operation, words
):
    await produce(unlimited, simulate(20, seed=33))
    async with kafka.denied(operation, topic):
        with Worker(settings) as worker:
            code, said = await until_ended(worker)
    assert (code, words in said) == (1, True), said


@pytest.mark.parametrize("operation", ["read", "describe"])
async def test_a_right_that_is_missing_ends_a_subscription_and_the_topic_is_named(kafka, settings, operation):
    options = settings.kafka_client_options()
    subscriber = SignalSubscriber("kafka://" + ",".join(options.pop("bootstrap_servers")), **options)
    async with kafka.denied(operation, contract.ALERTS):
        with pytest.raises(TopicAuthorizationFailedError, match=contract.ALERTS):
            await asyncio.wait_for(subscriber.subscribe([contract.SIGNALS, contract.ALERTS], print), PATIENCE)
