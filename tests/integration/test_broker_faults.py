"""A broker that goes away or stands still under a working worker: nothing is lost, doubled or different."""

import asyncio
import signal
import time

import pytest
from interruptions import SLOW, uninterrupted, until_sent, until_signals
from workers import (
    PATIENCE,
    Worker,
    cpu_seconds,
    differing,
    expected_signals,
    produce,
    read_signals,
    read_states,
    until,
    until_caught_up,
)

from pipeline.cli.simulated.simulation import simulate

pytestmark = pytest.mark.apache_kafka

AWAY = "Unable connect to node"
STALL = 6.0
"""Seconds for which a broker stands still: the fault itself, not a wait."""
PATIENT = {
    "session_timeout": 80.0,
    "rebalance_timeout": 80.0,
    "merge_settle_ms": 3_000,
    "context_settle_ms": 10_000,  # the context waits for its own feeds first
}
"""A worker that no fault of the broker makes give up its lease, and that waits for what producers send anew:
after a fault each topic comes when its leader is back."""


async def until_it_waits_calmly(worker):
    """Wait until the log has said twice more, ten seconds apart, that the broker is away: idle till then."""
    seen, began, used = worker.text().count(AWAY), time.monotonic(), cpu_seconds(worker.process.pid)
    await until(lambda: worker.text().count(AWAY) >= seen + 2, "the worker misses no broker", [worker])
    assert cpu_seconds(worker.process.pid) - used < (time.monotonic() - began) / 2, "it is busy with waiting"


async def until_ended(worker):
    """Wait until the worker ends by itself; return its exit code and the last line of its log."""
    code = await asyncio.to_thread(worker.process.wait, PATIENCE)
    return code, worker.text().splitlines()[-1]


async def until_caught_up_or_told(settings, worker, reason):
    """Wait until all is processed; a worker that ends says why, and goes on when it is started again."""
    try:
        await until_caught_up(settings, workers=[worker])
    except AssertionError:
        code, last = await until_ended(worker)
        assert (code, reason in last) == (1, True), last
        worker.start()
        await until_caught_up(settings, workers=[worker])


async def assert_whole(settings, ticks):
    assert differing(await read_signals(settings), expected_signals(ticks)) == []
    assert differing(await read_states(settings), await uninterrupted(settings)) == []


async def test_a_worker_goes_on_when_the_broker_is_restarted_killed_or_stalled(own_broker, own_settings):
    ticks = list(simulate(30, seed=31))
    begun = len(ticks) // 2
    await produce(own_settings, ticks[:begun])
    with Worker(own_settings, **PATIENT, **SLOW) as worker:
        await until_signals(own_settings, 40, worker)
        await asyncio.to_thread(own_broker.stop)
        await until_it_waits_calmly(worker)
        await asyncio.to_thread(own_broker.start)
        await until_signals(own_settings, 600, worker)
        await asyncio.to_thread(own_broker.kill)
        await asyncio.to_thread(own_broker.start)
        await until_signals(own_settings, 1_200, worker)
        producing = asyncio.create_task(produce(own_settings, ticks[begun:]))
        await until_sent(own_settings, 1)  # it has to be at work when the broker stands still
        own_broker.pause()
        await asyncio.sleep(STALL)
        own_broker.resume()
        await producing
        await until_caught_up(own_settings, workers=[worker])
        assert worker.stop() == 0
    await assert_whole(own_settings, ticks)


async def test_a_worker_is_stopped_though_the_broker_is_away(own_broker, own_settings):
    """Whatever was on its way then, and is waited for."""
    ticks = list(simulate(30, seed=31))
    await produce(own_settings, ticks)
    with Worker(own_settings, **SLOW) as worker:
        await until_signals(own_settings, 40, worker)
        await asyncio.to_thread(own_broker.kill)
        await until(lambda: AWAY in worker.text(), "the worker misses no broker", [worker])
        worker.signal(signal.SIGTERM)
        code, last = await until_ended(worker)
        assert (code, "stopped: " in last) == (1, True), last
        await asyncio.to_thread(own_broker.start)
        worker.start()
        await until_caught_up(own_settings, workers=[worker])
        assert worker.stop() == 0
    await assert_whole(own_settings, ticks)


@pytest.mark.endurance
@pytest.mark.parametrize(("session_timeout", "seconds"), [(6.0, 12.0), (10.0, 20.0), (60.0, 20.0)])
async def test_a_broker_that_stalls_for_seconds_costs_nothing(
    own_broker, own_settings, session_timeout, seconds
):
    """A worker may end once it is told that it is no member any more."""
    settings = own_settings.model_copy(
        update={"session_timeout": session_timeout, "rebalance_timeout": session_timeout}
    )
    ticks = list(simulate(30, seed=33))
    await produce(settings, ticks)
    with Worker(settings, **SLOW) as worker:
        await until_signals(settings, 100, worker)
        own_broker.pause()
        await asyncio.sleep(seconds)
        own_broker.resume()
        await until_caught_up_or_told(settings, worker, "stopped: no heartbeat was confirmed")
        assert worker.stop() == 0
    await assert_whole(settings, ticks)
