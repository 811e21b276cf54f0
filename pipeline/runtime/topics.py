"""The topics on the broker: reading, checking, creating and configuring them. Nothing here deletes one."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    KafkaError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.metadata import MetadataRequest

from pipeline import contract
from pipeline.runtime.topic_plan import (
    APPLY,
    STATE_LOST,
    Found,
    Problem,
    Topic,
    differences,
    find_problems,
    is_repartitioned,
    partitions_problem,
    wanted_topics,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

    from aiokafka import AIOKafkaConsumer
    from aiokafka.client import AIOKafkaClient

    from pipeline.settings import Settings

_TOPIC_OVERRIDE: Final = 1
"""`config_source` of a setting made for the topic itself."""
_VISIBLE_SECONDS: Final = 30.0


class TopicsError(Exception):
    """Topics cannot be made as they should be."""


NO_KAFKA: Final = (KafkaError, OSError, TopicsError)
"""What asking Kafka for what it holds raises when it does not answer, or has no such topic."""


@asynccontextmanager
async def _admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(**settings.kafka_client_options())
    await client.start()
    try:
        yield client
    finally:
        await client.close()


async def read_topics(settings: Settings) -> dict[str, Found]:
    """Return those of the wanted topics that the broker has."""
    async with _admin(settings) as client:
        return await _read(client, wanted_topics(settings))


async def count_partitions(settings: Settings, topic: str) -> int:
    """Return the number of a topic's partitions; `TopicsError` when there is no such topic."""
    async with _admin(settings) as client:
        listed = await _list_topics(client._client, [topic])
    if topic not in listed:
        raise TopicsError(f"{topic}: missing: {APPLY}")
    return len(listed[topic])


async def missing_topics(client: AIOKafkaConsumer, names: Sequence[str]) -> list[str]:
    """Ask the broker which of the topics there are, and return the others; none of them is made."""
    listed = await _list_topics(client._client, names)
    return [name for name in names if name not in listed]


async def require_topics(client: AIOKafkaConsumer, names: Sequence[str]) -> None:
    """Raise `TopicsError` unless there are all of the topics."""
    if missing := await missing_topics(client, names):
        raise TopicsError(f"{', '.join(missing)}: missing: {APPLY}")


async def _list_topics(client: AIOKafkaClient, names: Sequence[str]) -> dict[str, list[Any]]:
    """Return the partitions of those topics that there are; aiokafka's own request (0.14) would make them."""
    request = MetadataRequest(names, allow_auto_topic_creation=False)
    response = await client.send(client.get_random_node(), request)
    topics = response.to_object()["topics"]
    for topic in topics:
        _raise_if_refused(topic["topic"], topic["error_code"])
    return {
        topic["topic"]: topic["partitions"]
        for topic in topics
        if topic["error_code"] != UnknownTopicOrPartitionError.errno
    }


def _raise_if_refused(name: str, code: int) -> None:
    if code == TopicAuthorizationFailedError.errno:
        raise TopicAuthorizationFailedError(name)


async def _read(client: AIOKafkaAdminClient, wanted: Sequence[Topic]) -> dict[str, Found]:
    listed = await _list_topics(client._client, [topic.name for topic in wanted])
    names = [topic.name for topic in wanted if topic.name in listed]
    configs = await _read_configs(client, names)
    return {
        name: Found(
            len(listed[name]), min(len(partition["replicas"]) for partition in listed[name]), *configs[name]
        )
        for name in names
    }


async def _read_configs(
    client: AIOKafkaAdminClient, names: Sequence[str]
) -> dict[str, tuple[dict[str, str], dict[str, str]]]:
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    found = {}
    for response in await client.describe_configs(resources):
        for code, text, _, name, entries in response.resources:
            _raise_for(name, code, text)
            values = {entry[0]: entry[1] for entry in entries}
            found[name] = values, {entry[0]: entry[1] for entry in entries if entry[3] == _TOPIC_OVERRIDE}
    return found


async def check_topics(settings: Settings) -> list[Problem]:
    """Return what is wrong with the broker's topics; nothing when all is as the settings want it."""
    async with _admin(settings) as client:
        return await _find_problems(client, settings, await _read(client, wanted_topics(settings)))


async def _find_problems(
    client: AIOKafkaAdminClient, settings: Settings, found: Mapping[str, Found]
) -> list[Problem]:
    wanted = wanted_topics(settings)
    missing = any(topic.name not in found for topic in wanted)
    return find_problems(wanted, found, begun=missing and await _has_commits(client, settings))


async def _has_commits(client: AIOKafkaAdminClient, settings: Settings) -> bool:
    inputs = [
        TopicPartition(topic, number) for topic in contract.INPUTS for number in range(settings.partitions)
    ]
    try:
        committed = await client.list_consumer_group_offsets(settings.app_id, partitions=inputs)
        return any(place.offset >= 0 for place in committed.values())
    except GroupCoordinatorNotAvailableError:  # a broker makes its offsets topic for the first group
        return False


async def apply_topics(settings: Settings) -> list[str]:
    """Create the topics that are missing and set what differs; return what was done.

    Raises
    ------
    TopicsError
        A topic has another number of partitions, a changelog with state was deleted, or the broker refuses.
        The former are looked for before anything is changed.
    """
    wanted = wanted_topics(settings)
    async with _admin(settings) as client:
        found = await _read(client, wanted)
        _refuse_lost_state(await _find_problems(client, settings, found))
        _refuse_repartitioning(wanted, found)
        missing = [topic for topic in wanted if topic.name not in found]
        differing = [
            topic for topic in wanted if topic.name in found and differences(topic, found[topic.name])
        ]
        await _create(client, missing)
        await _configure(client, differing, found)
        await _until_visible(client, [*missing, *differing])
    return [f"created {topic.name}" for topic in missing] + [f"changed {topic.name}" for topic in differing]


def _refuse_lost_state(problems: Iterable[Problem]) -> None:
    lost = [str(problem) for problem in problems if problem.remedy == STATE_LOST]
    if lost:
        raise TopicsError("\n".join(lost))


def _refuse_repartitioning(wanted: Iterable[Topic], found: Mapping[str, Found]) -> None:
    wrong = [
        str(partitions_problem(topic, found[topic.name]))
        for topic in wanted
        if topic.name in found and is_repartitioned(topic, found[topic.name])
    ]
    if wrong:
        raise TopicsError("\n".join(wrong))


async def _create(client: AIOKafkaAdminClient, topics: Sequence[Topic]) -> None:
    if not topics:
        return
    response = await client.create_topics(
        [
            NewTopic(topic.name, topic.partitions, topic.replication_factor, topic_configs=dict(topic.config))
            for topic in topics
        ]
    )
    for name, code, text in response.topic_errors:
        if code != TopicAlreadyExistsError.errno:  # another `apply` has just made it
            _raise_for(name, code, text)


async def _configure(
    client: AIOKafkaAdminClient, topics: Sequence[Topic], found: Mapping[str, Found]
) -> None:
    if not topics:
        return
    # The request replaces all settings of a topic: those that somebody else made are sent again.
    resources = [
        ConfigResource(
            ConfigResourceType.TOPIC, topic.name, configs={**found[topic.name].overrides, **topic.config}
        )
        for topic in topics
    ]
    for response in await client.alter_configs(resources):
        for code, text, _, name in response.resources:
            _raise_for(name, code, text)


async def _until_visible(client: AIOKafkaAdminClient, topics: Sequence[Topic]) -> None:
    # There is no event to wait for: brokers hear of a change a moment after it was accepted.
    deadline = time.monotonic() + _VISIBLE_SECONDS
    while waiting := _not_visible(topics, await _read(client, topics)):
        if time.monotonic() > deadline:
            raise TopicsError(f"the broker accepted changes that it does not show: {', '.join(waiting)}")
        await asyncio.sleep(0.05)


def _not_visible(topics: Sequence[Topic], found: Mapping[str, Found]) -> list[str]:
    return [
        topic.name for topic in topics if topic.name not in found or differences(topic, found[topic.name])
    ]


def _raise_for(name: str, code: int, text: Any) -> None:
    _raise_if_refused(name, code)
    if code:
        raise TopicsError(f"{name}: {text or for_code(code).__name__}")
