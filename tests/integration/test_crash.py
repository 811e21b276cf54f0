"""Workers that are killed, join and leave: state and signals are those of a run without interruption."""

import asyncio
import signal

import pytest
from workers import (
    Worker,
    differing,
    expected_signals,
    produce,
    read_all,
    read_signals,
    read_states,
    until_caught_up,
)

from pipeline import contract
from pipeline.cli.simulation import simulate
from pipeline.runtime.topics import apply_topics

SLOW = {"max_poll_records": 200, "budget_records": 400}
"""Little at a time, so that a worker can be met in the middle."""


async def until_signals(settings, number, worker):
    while len(await read_all(settings, contract.SIGNALS)) < number:
        assert worker.process.poll() is None, "the worker ended"
        await asyncio.sleep(0.1)


async def uninterrupted(settings):
    """Return the states that one worker leaves behind which nothing happens to."""
    other = settings.model_copy(update={"app_id": f"{settings.app_id}-whole"})
    await apply_topics(other)
    with Worker(other) as worker:
        await until_caught_up(other, workers=[worker])
        assert worker.stop() == 0
    return await read_states(other)


@pytest.mark.parametrize("moments", [(40, 700, 1500)])
async def test_killed_in_mid_stream_nothing_is_lost_doubled_or_different(settings, moments):
    ticks = list(simulate(30, seed=5))
    await produce(settings, ticks)
    with Worker(settings, **SLOW) as worker:
        for moment in moments:
            await until_signals(settings, moment, worker)
            worker.kill()
            worker.start()
        await until_caught_up(settings, workers=[worker])
        assert worker.stop() == 0
    assert differing(await read_signals(settings), expected_signals(ticks)) == []
    assert differing(await read_states(settings), await uninterrupted(settings)) == []


async def test_workers_join_and_die_and_nothing_is_lost_doubled_or_different(settings):
    ticks = list(simulate(30, seed=6))
    await produce(settings, ticks)
    with Worker(settings, **SLOW) as first:
        await until_signals(settings, 40, first)
        with Worker(settings, **SLOW) as second:
            await until_signals(settings, 600, second)
            first.kill()
            await until_caught_up(settings, workers=[second])
            assert second.stop() == 0
    assert differing(await read_signals(settings), expected_signals(ticks)) == []
    assert differing(await read_states(settings), await uninterrupted(settings)) == []


async def test_a_worker_that_was_asked_to_stop_leaves_nothing_to_repeat(settings):
    ticks = list(simulate(30, seed=7))
    await produce(settings, ticks)
    with Worker(settings, **SLOW) as worker:
        await until_signals(settings, 300, worker)
        assert worker.stop() == 0
        worker.start()
        await until_caught_up(settings, workers=[worker])
        worker.signal(signal.SIGTERM)
        assert worker.process.wait(60) == 0
    ids = [message["id"] for message in await read_all(settings, contract.SIGNALS)]
    assert sorted(ids) == sorted(set(ids))
    assert set(ids) == set(expected_signals(ticks))
