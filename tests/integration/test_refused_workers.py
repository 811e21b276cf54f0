"""A worker that the broker will not have as a member of its group says why, and ends."""

import pytest
from test_broker_faults import until_ended
from workers import Worker, until

pytestmark = pytest.mark.apache_kafka


async def test_of_two_workers_of_one_name_the_earlier_one_ends(settings):
    with Worker(settings, group_instance_id="worker-1") as earlier:
        await earlier.until_ready()
        with Worker(settings, group_instance_id="worker-1") as later:
            code, said = await until_ended(earlier)
            assert (code, "another worker has taken the name worker-1" in said) == (1, True), said
            await until(lambda: later.partitions == {0, 1, 2, 3}, "the later one works on", [later])
            assert later.stop() == 0


async def test_a_session_timeout_that_the_broker_does_not_allow_ends_the_worker(settings):
    with Worker(settings, session_timeout=3_600.0, rebalance_timeout=3_600.0) as worker:
        code, said = await until_ended(worker)
        assert (code, "set PIPELINE_SESSION_TIMEOUT" in said) == (1, True), said
