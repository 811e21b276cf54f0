import asyncio
from types import SimpleNamespace

import pytest
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    IllegalGenerationError,
    InconsistentGroupProtocolError,
    InvalidSessionTimeoutError,
    KafkaError,
    UnknownMemberIdError,
)
from aiokafka.protocol.commit import OffsetCommitRequest, OffsetCommitResponse_v3
from aiokafka.protocol.group import HeartbeatRequest, LeaveGroupRequest

from pipeline.runtime import membership
from pipeline.runtime.lease import Lease, LeaseLostError
from pipeline.runtime.membership import MembershipError
from pipeline.settings import Settings

HEARTBEAT = HeartbeatRequest("group", 1, "member")
LEAVE = LeaveGroupRequest("group", "member")
COMMIT = OffsetCommitRequest("group", 1, "member", -1, [])


class Worker:
    """A lease and a coordinator that are watched, and what the worker crashed with."""

    def __init__(self, name="worker-1", answer=UnknownMemberIdError):
        self.crashes, self.pushed, self.responses, self.now = [], [], {}, 100.0
        self.lease = Lease(10.0, lambda: self.now)
        self.coordinator = SimpleNamespace(_send_req=self._answer, _push_error_to_user=self._push)
        self.answer = answer
        membership.watch(self.coordinator, Settings(group_instance_id=name), self.lease, self._crash)

    async def _answer(self, request):
        return self.responses.get(type(request)) or SimpleNamespace(error_code=self.answer.errno)

    async def _push(self, error):
        self.pushed.append(error)

    async def _crash(self, reason):
        self.crashes.append(reason)


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (InvalidSessionTimeoutError(), "set PIPELINE_SESSION_TIMEOUT"),
        (InconsistentGroupProtocolError(), "set another PIPELINE_APP_ID"),
        (GroupAuthorizationFailedError("cascade"), "let the Kafka user read the group"),
        (KafkaError("something new"), "look at the broker's log"),
    ],
)
async def test_what_the_broker_refuses_for_good_ends_the_worker_with_a_remedy(error, remedy):
    worker = Worker()
    await worker.coordinator._push_error_to_user(error)
    [reason] = worker.crashes
    assert isinstance(reason, MembershipError)
    assert "group cascade" in str(reason)
    assert remedy in str(reason)
    assert worker.pushed == [error]


async def test_a_worker_whose_name_another_has_taken_ends_and_does_not_take_it_back():
    worker = Worker()
    heartbeat = asyncio.create_task(worker.coordinator._send_req(HEARTBEAT))
    await asyncio.sleep(0)
    [reason] = worker.crashes
    assert isinstance(reason, LeaseLostError)
    with pytest.raises(LeaseLostError, match=r"taken the name worker-1: .* PIPELINE_GROUP_INSTANCE_ID"):
        worker.lease.check()
    await asyncio.sleep(0)
    assert not heartbeat.done()
    heartbeat.cancel()


@pytest.mark.parametrize(
    ("name", "answer", "request_", "silence"),
    [
        (None, UnknownMemberIdError, HEARTBEAT, 0.0),
        ("worker-1", IllegalGenerationError, HEARTBEAT, 0.0),
        ("worker-1", UnknownMemberIdError, LEAVE, 0.0),
        ("worker-1", UnknownMemberIdError, HEARTBEAT, 8.1),
    ],
    ids=["no name", "another answer", "another request", "silent for too long"],
)
async def test_nothing_else_tells_of_a_namesake(name, answer, request_, silence):
    worker = Worker(name, answer)
    worker.now += silence
    response = await asyncio.wait_for(worker.coordinator._send_req(request_), 5)
    assert response.error_code == answer.errno
    assert worker.crashes == []


async def test_a_commit_is_answered_for_each_partition_and_nothing_is_read_from_that():
    worker = Worker()
    answered = OffsetCommitResponse_v3(0, [("prices", [(0, UnknownMemberIdError.errno)])])
    worker.responses = {OffsetCommitRequest: answered}
    assert await worker.coordinator._send_req(COMMIT) is answered
    assert worker.crashes == []
