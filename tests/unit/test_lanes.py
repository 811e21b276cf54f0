"""aiokafka's own client and fetcher, with connections to a broker that has not answered yet."""

import asyncio
from types import SimpleNamespace

import pytest
from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.protocol.fetch import FetchRequest_v11
from aiokafka.protocol.metadata import MetadataResponse_v1
from waiting import until

from pipeline import contract
from pipeline.runtime import lanes
from pipeline.runtime.lanes import fetch_apart

BROKER, NOBODY = 1, -1
INPUT, OUTPUT = TopicPartition(contract.LIQUIDATIONS, 0), TopicPartition(contract.SIGNALS, 0)
SHORT_MS = 10


class Connection:
    """Keeps what is asked."""

    def __init__(self):
        self.requests = []

    def connected(self):
        return True

    def send(self, request, **_):
        self.requests.append(request.build(FetchRequest_v11))
        return asyncio.get_running_loop().create_future()

    def asked(self):
        """Return for each request how long the broker may hold it back, and its topics."""
        return [(asked.max_wait_time, [topic for topic, _ in asked.topics]) for asked in self.requests]


class Fetching:
    """A fetcher of an input and an output, and its connections; the output's leader may be away."""

    def __init__(self, leader):
        self.client = AIOKafkaClient()
        self.connections = {group: Connection() for group in (ConnectionGroup.DEFAULT, lanes.GROUP)}
        self.client._conns.update({(BROKER, group): each for group, each in self.connections.items()})
        self.subscriptions = SubscriptionState()
        self.lead(leader)

    def lead(self, leader):
        """Let the cluster's metadata tell of who leads the output's partition."""
        topics = [
            (0, tp.topic, False, [(0, tp.partition, node, [BROKER], [])])
            for tp, node in ((INPUT, BROKER), (OUTPUT, leader))
        ]
        metadata = MetadataResponse_v1([(BROKER, "localhost", 9_092, None)], BROKER, topics)
        self.client.cluster.update_metadata(metadata)

    async def start(self):
        self.subscriptions.assign_from_user({INPUT, OUTPUT})
        for tp in (INPUT, OUTPUT):
            self.subscriptions.seek(tp, 0)
        self.fetcher = Fetcher(self.client, self.subscriptions, fetch_max_wait_ms=SHORT_MS)
        fetch_apart(SimpleNamespace(_fetcher=self.fetcher, _client=self.client), {OUTPUT.topic})

    def asked(self):
        return [connection.asked() for connection in self.connections.values()]


@pytest.fixture
async def fetching(request):
    fetching = Fetching(getattr(request, "param", BROKER))
    await fetching.start()
    yield fetching
    await fetching.fetcher.close()


async def test_inputs_and_outputs_are_asked_for_at_the_same_time(fetching):
    await until(lambda: all(fetching.asked()))
    assert fetching.asked() == [[(SHORT_MS, [INPUT.topic])], [(lanes.WAIT_MS, [OUTPUT.topic])]]


@pytest.mark.parametrize("fetching", [NOBODY], indirect=True)
async def test_an_output_without_a_leader_is_asked_for_once_it_has_one(fetching):
    await until(lambda: any(fetching.asked()))
    assert fetching.asked() == [[(SHORT_MS, [INPUT.topic])], []]
    fetching.lead(BROKER)
    await until(lambda: all(fetching.asked()))
    assert fetching.asked() == [[(SHORT_MS, [INPUT.topic])], [(lanes.WAIT_MS, [OUTPUT.topic])]]
