"""aiokafka's own client, fetcher and sender, with connections to a broker that has not answered yet."""

import asyncio
from types import SimpleNamespace

import pytest
from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.producer.message_accumulator import MessageAccumulator
from aiokafka.protocol.fetch import FetchRequest_v11
from aiokafka.protocol.metadata import MetadataResponse_v1
from waiting import until
from worker_parts import create_sender

from pipeline import contract
from pipeline.runtime import lanes
from pipeline.runtime.lanes import fetch_apart, send_apart

BROKER, NOBODY = 1, -1
INPUT, OUTPUT = TopicPartition(contract.LIQUIDATIONS, 0), TopicPartition(contract.SIGNALS, 0)
CHANGELOG = TopicPartition("app-velocity-changelog", 0)
WAIT_MS = 10


class Connection:
    """Keeps what is asked, and answers nothing."""

    def __init__(self):
        self.requests = []

    def connected(self):
        return True

    def send(self, request, **_):
        self.requests.append(request)
        return asyncio.get_running_loop().create_future()


def create_client(*leaders):
    """Return a client that knows of partitions and who leads them, and a connection for each lane."""
    client = AIOKafkaClient()
    lead(client, *leaders)
    connections = [Connection(), Connection()]
    for group, connection in zip((ConnectionGroup.DEFAULT, lanes.GROUP), connections, strict=True):
        client._conns[BROKER, group] = connection
    return client, connections


def lead(client, *leaders):
    """Let the cluster's metadata tell of who leads partitions."""
    topics = [(0, tp.topic, False, [(0, tp.partition, node, [BROKER], [])]) for tp, node in leaders]
    client.cluster.update_metadata(MetadataResponse_v1([(BROKER, "localhost", 9_092, None)], BROKER, topics))


class Fetching:
    """A fetcher of an input and an output, whose leader may be away."""

    def __init__(self, leader):
        self.client, self.connections = create_client((INPUT, BROKER), (OUTPUT, leader))
        subscriptions = SubscriptionState()
        subscriptions.assign_from_user({INPUT, OUTPUT})
        for tp in (INPUT, OUTPUT):
            subscriptions.seek(tp, 0)
        self.fetcher = Fetcher(self.client, subscriptions, fetch_max_wait_ms=WAIT_MS)
        fetch_apart(SimpleNamespace(_fetcher=self.fetcher, _client=self.client), {OUTPUT.topic})

    def asked(self):
        """Return for each lane's requests how long the broker may hold them back, and their topics."""
        return [
            [
                (built.max_wait_time, [topic for topic, _ in built.topics])
                for built in map(build, each.requests)
            ]
            for each in self.connections
        ]


def build(request):
    return request.build(FetchRequest_v11)


@pytest.fixture
async def fetching(request):
    fetching = Fetching(getattr(request, "param", BROKER))
    yield fetching
    await fetching.fetcher.close()


async def test_inputs_and_outputs_are_asked_for_at_the_same_time(fetching):
    await until(lambda: all(fetching.asked()))
    assert fetching.asked() == [[(WAIT_MS, [INPUT.topic])], [(WAIT_MS, [OUTPUT.topic])]]


@pytest.mark.parametrize("fetching", [NOBODY], indirect=True)
async def test_an_output_without_a_leader_is_asked_for_once_it_has_one(fetching):
    await until(lambda: any(fetching.asked()))
    assert fetching.asked() == [[(WAIT_MS, [INPUT.topic])], []]
    lead(fetching.client, (INPUT, BROKER), (OUTPUT, BROKER))
    await until(lambda: all(fetching.asked()))
    assert fetching.asked() == [[(WAIT_MS, [INPUT.topic])], [(WAIT_MS, [OUTPUT.topic])]]


async def test_a_signal_does_not_wait_until_a_snapshot_is_confirmed():
    client, connections = create_client((CHANGELOG, BROKER), (OUTPUT, BROKER))
    accumulator = MessageAccumulator(client.cluster, 16_384, 0, 30)
    sender = create_sender(client, accumulator)
    send_apart(SimpleNamespace(_message_accumulator=accumulator, client=client), {CHANGELOG.topic})
    await sender.start()
    await accumulator.add_message(CHANGELOG, b"K", b"V", 30)
    await until(lambda: connections[1].requests)
    await accumulator.add_message(OUTPUT, b"K", b"V", 30)
    await until(lambda: connections[0].requests)
    sent = [[topic for topic, _ in each.requests[0]._topics] for each in connections]
    assert sent == [[OUTPUT.topic], [CHANGELOG.topic]]
