from types import SimpleNamespace

import pytest
from aiokafka.errors import IllegalGenerationError, NoError, RebalanceInProgressError, UnknownMemberIdError
from aiokafka.protocol.group import HeartbeatRequest, JoinGroupRequest, SyncGroupRequest

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
