import pytest

from pipeline.runtime.lease import Lease, LeaseLostError


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class Coordinator:
    """The part of aiokafka's group coordinator that a lease listens to."""

    def __init__(self, clock, answers):
        self._clock = clock
        self._answers = answers

    async def _do_heartbeat(self):
        self._clock.now += 1.0  # the answer takes a second
        return self._answers.pop(0)


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
    lease.renew()
    clock.now += 7.0
    lease.check()


async def test_a_confirmed_heartbeat_renews_from_when_it_was_sent(clock):
    lease = Lease(10.0, clock)
    coordinator = Coordinator(clock, [True, False])
    lease.watch(coordinator)
    clock.now += 7.0
    assert await coordinator._do_heartbeat()
    clock.now = 107.0 + 7.9
    lease.check()


async def test_a_heartbeat_that_failed_renews_nothing(clock):
    lease = Lease(10.0, clock)
    coordinator = Coordinator(clock, [False])
    lease.watch(coordinator)
    clock.now += 7.5
    assert not await coordinator._do_heartbeat()
    with pytest.raises(LeaseLostError):
        lease.check()
