"""A worker that stood still while another took over must not undo what that one did."""

import asyncio
import random
import signal
from contextlib import ExitStack

import pytest
from interruptions import (
    ALL,
    QUICK,
    Load,
    Uninterrupted,
    begin_market,
    redis_content,
    until_owned,
    until_sent,
)
from workers import Worker, committed, ends, produce, until, until_caught_up

from pipeline import contract
from pipeline.runtime.topic_plan import changelog_topic

LOST = "no heartbeat was confirmed"


def check_end(zombie):
    """A worker that has ended did so for the right reason, and says so."""
    assert zombie.process.poll() == 1, zombie.text()[-2_000:]
    assert f"\nstopped: {LOST}" in zombie.text(), zombie.text()[-2_000:]


async def until_noticed(zombie, times_ready):
    """Wait until a worker that was continued has ended, or is a member again; return whether it ended."""
    await until(
        lambda: zombie.process.poll() is not None or zombie.times_ready > times_ready,
        "the worker does not notice that it stood still",
    )
    if zombie.process.poll() is None:
        return False
    check_end(zombie)
    return True


async def traces(settings):
    """Return all that a worker can leave behind: in Kafka by offsets, commits, and the content of Redis."""
    changelogs = [changelog_topic(settings.app_id, table) for table in contract.TABLES]
    written = await ends(settings, [*contract.OUTPUTS, contract.CONTEXT, *changelogs])
    return written, await committed(settings), await redis_content(settings.redis_url)


async def test_a_worker_that_stood_still_leaves_alone_what_another_did(settings):
    settings = settings.model_copy(update=QUICK)
    ticks, rest = await begin_market(settings, 60, seed=9)
    with Worker(settings) as zombie, Worker(settings) as heir:
        await until_owned(settings, zombie, heir)
        await until_sent(settings, 100)
        zombie.signal(signal.SIGSTOP)
        await produce(settings, rest)
        await until_owned(settings, heir)
        await until_caught_up(settings, ALL, workers=[heir])
        before, ready = await traces(settings), zombie.times_ready
        zombie.signal(signal.SIGCONT)
        ended = await until_noticed(zombie, ready)
        assert await traces(settings) == before
        assert heir.stop() == 0
        assert ended or zombie.stop() == 0
    await Uninterrupted(settings, ticks).check()


@pytest.mark.parametrize(
    ("seed", "rounds", "seconds", "rate"),
    [
        pytest.param(10, 2, 60, 100, marks=pytest.mark.endurance),
        pytest.param(11, 20, 900, 150, marks=pytest.mark.endurance),
    ],
)
async def test_workers_that_stand_still_under_load_leave_nothing_different(
    settings, seed, rounds, seconds, rate
):
    settings, chance = settings.model_copy(update=QUICK), random.Random(seed)
    ticks, rest = await begin_market(settings, seconds, seed)
    with ExitStack() as stack:
        fleet = [stack.enter_context(Worker(settings)) for _ in range(2)]
        async with Load(settings, rest, rate) as load:
            for number in range(rounds):
                await until_owned(settings, *fleet)
                await until_sent(settings, chance.randint(1, 100))
                zombie, heir = chance.sample(fleet, 2)
                stand_still = for_some_time if number % 2 else until_another_has_all
                if await stand_still(settings, chance, zombie, heir):
                    zombie.start()
            await load.finish()
        await until_owned(settings, *fleet)
        await until_caught_up(settings, ALL, workers=fleet)
        assert [worker.stop() for worker in fleet] == [0, 0]
    await Uninterrupted(settings, ticks).check(f"seed {seed}")


async def until_another_has_all(settings, chance, zombie, heir):
    """Stop a worker until another works for it; return whether it ends then."""
    zombie.signal(signal.SIGSTOP)
    ready = zombie.times_ready
    await until_owned(settings, heir)
    await until_sent(settings, chance.randint(1, 100))
    zombie.signal(signal.SIGCONT)
    return await until_noticed(zombie, ready)


async def for_some_time(settings, chance, zombie, _):
    """Stop a worker for about the session timeout, then ask it to end: it may be a member still or not."""
    zombie.signal(signal.SIGSTOP)
    await asyncio.sleep(chance.uniform(0.2, 1.2) * settings.session_timeout)
    zombie.signal(signal.SIGCONT)
    if zombie.stop():
        check_end(zombie)
    return True
