import asyncio
from types import SimpleNamespace

import pytest
from aiokafka import TopicPartition
from aiokafka.cluster import ClusterMetadata
from aiokafka.errors import (
    IllegalGenerationError,
    KafkaError,
    MessageSizeTooLargeError,
    NoError,
    RebalanceInProgressError,
    RequestTimedOutError,
    UnknownMemberIdError,
)
from aiokafka.producer.message_accumulator import MessageAccumulator
from aiokafka.protocol.group import HeartbeatRequest, JoinGroupRequest, SyncGroupRequest
from waiting import until
from worker_parts import create_sender

from pipeline.runtime.lease import Lease, LeaseLostError


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


HEARTBEAT = HeartbeatRequest("group", 1, "member")
SYNC = SyncGroupRequest("group", 1, "member", None, [])
JOIN = JoinGroupRequest("group", 10_000, 30_000, "member", None, "consumer", [])


class Coordinator:
    """The part of aiokafka's group coordinator that a lease listens to."""

    def __init__(self, clock, answer=NoError):
        self._clock = clock
        self._answer = answer

    async def _send_req(self, _):
        self._clock.now += 1.0  # the answer takes a second
        return SimpleNamespace(error_code=self._answer.errno)


@pytest.fixture
def clock():
    return Clock()


def test_a_lease_is_good_for_most_of_the_session_timeout(clock):
    lease = Lease(10.0, clock)
    clock.now += 7.9
    lease.check()
    clock.now += 0.2
    with pytest.raises(LeaseLostError, match=r"no heartbeat was confirmed for 8\.1 s"):
        lease.check()


def test_a_renewed_lease_is_good_again(clock):
    lease = Lease(10.0, clock)
    clock.now += 7.0
    lease.renew(clock.now)
    clock.now += 7.0
    lease.check()


@pytest.mark.parametrize("request_", [HEARTBEAT, SYNC], ids=["heartbeat", "sync"])
@pytest.mark.parametrize("answer", [NoError, RebalanceInProgressError])
async def test_a_confirmed_membership_renews_from_when_it_was_asked_for(clock, request_, answer):
    lease = Lease(10.0, clock)
    coordinator = Coordinator(clock, answer)
    lease.watch(coordinator)
    clock.now += 7.0
    assert (await coordinator._send_req(request_)).error_code == answer.errno
    clock.now = 107.0 + 7.9
    lease.check()
    clock.now = 107.0 + 8.1
    with pytest.raises(LeaseLostError):
        lease.check()


@pytest.mark.parametrize(
    ("request_", "answer"),
    [(HEARTBEAT, UnknownMemberIdError), (SYNC, IllegalGenerationError), (JOIN, NoError)],
    ids=["heartbeat", "sync", "join"],
)
async def test_nothing_else_renews_it(clock, request_, answer):
    lease = Lease(10.0, clock)
    coordinator = Coordinator(clock, answer)
    lease.watch(coordinator)
    clock.now += 7.5
    await coordinator._send_req(request_)
    with pytest.raises(LeaseLostError):
        lease.check()


class Client:
    """The connection of aiokafka's sender: notes what is sent, and gives the answers that it is told to."""

    def __init__(self):
        self.requests = []
        self.answers = asyncio.Queue()
        self._metadata = None

    async def send(self, _node, request):
        self.requests.append(request)
        raise await self.answers.get()

    async def _maybe_wait_metadata(self):
        pass

    def force_metadata_update(self):
        done = asyncio.get_running_loop().create_future()
        done.set_result(True)
        return done


@pytest.fixture
async def sending():
    """Return aiokafka's own accumulator and sender, with a record on its way."""
    cluster = ClusterMetadata()
    cluster.leader_for_partition = lambda _: 0
    accumulator, client = MessageAccumulator(cluster, 1_000, 0, 30), Client()
    sender = create_sender(client, accumulator)
    yield SimpleNamespace(accumulator=accumulator, client=client, sender=sender)
    await sender.close()


async def send(sending, topic="changelog"):
    return await sending.accumulator.add_message(TopicPartition(topic, 0), b"K", b"V", 30)


async def test_what_was_handed_over_before_is_not_sent_again_without_the_lease(clock, sending):
    lease = Lease(10.0, clock)
    lease.guard(sending.sender)
    await sending.sender.start()
    future = await send(sending)
    await until(lambda: sending.client.requests)
    clock.now += 60  # cut off for a minute
    sending.client.answers.put_nowait(RequestTimedOutError())
    with pytest.raises(KafkaError):
        await asyncio.wait_for(future, 10)
    assert len(sending.client.requests) == 1


async def test_a_lease_without_which_something_was_not_sent_stays_lost(clock, sending):
    lease = Lease(10.0, clock)
    lease.guard(sending.sender)
    clock.now += 8.1
    await sending.sender.start()
    with pytest.raises(KafkaError):
        await asyncio.wait_for(await send(sending), 10)
    lease.renew(clock.now)
    with pytest.raises(LeaseLostError, match=r"no heartbeat was confirmed for 8\.1 s"):
        lease.check()


async def test_with_the_lease_it_is_sent_again(clock, sending):
    lease = Lease(10.0, clock)
    lease.guard(sending.sender)
    await sending.sender.start()
    future = await send(sending)
    sending.client.answers.put_nowait(RequestTimedOutError())
    await until(lambda: len(sending.client.requests) == 2)
    assert not future.done()
    sending.client.answers.put_nowait(MessageSizeTooLargeError())
    with pytest.raises(MessageSizeTooLargeError):
        await asyncio.wait_for(future, 10)


def test_a_lease_that_was_given_up_is_lost_for_the_reason_told(clock):
    lease = Lease(10.0, clock)
    lease.give_up("too slow")
    lease.renew(clock.now)
    with pytest.raises(LeaseLostError, match=r"^too slow$"):
        lease.check()
