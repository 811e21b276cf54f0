"""Workers join, leave and are restarted under load: nothing is lost, doubled or different."""

import random
from contextlib import ExitStack

import pytest
from interruptions import ALL, QUICK, Load, Uninterrupted, begin_market, generation, until_owned, until_sent
from workers import Worker, until_caught_up

MOST = 4
PATIENT = {"session_timeout": 60.0, "rebalance_timeout": 60.0}
"""So that a restart is within the session timeout on the slowest machine."""


def stop(worker):
    """Ask a worker to leave; it does so in good order."""
    assert worker.stop() == 0, worker.text()
    assert "repeats what it covered" not in worker.text()


@pytest.mark.parametrize(
    ("seed", "rounds", "seconds", "rate"),
    [(1, 1, 60, 100), pytest.param(2, 6, 900, 150, marks=pytest.mark.endurance)],
)
async def test_workers_join_and_leave_and_nothing_is_lost_doubled_or_different(
    settings, seed, rounds, seconds, rate
):
    settings, chance = settings.model_copy(update=QUICK), random.Random(seed)
    ticks, rest = await begin_market(settings, seconds, seed)
    with ExitStack() as stack:
        fleet = [stack.enter_context(Worker(settings))]
        async with Load(settings, rest, rate) as load:
            for _ in range(rounds):
                while len(fleet) < MOST:
                    fleet.append(stack.enter_context(Worker(settings)))
                    await fleet[-1].until_ready()
                    await until_sent(settings, 100)
                while len(fleet) > 1:
                    stop(fleet.pop(chance.randrange(len(fleet))))
                    await until_sent(settings, 100)
            await load.finish()
        await until_caught_up(settings, ALL, workers=fleet)
        stop(fleet[0])
    await Uninterrupted(settings, ticks).check(f"seed {seed}")


@pytest.mark.parametrize(
    ("seed", "rounds", "seconds", "rate"),
    [(3, 1, 60, 100), pytest.param(4, 10, 900, 200, marks=pytest.mark.endurance)],
)
async def test_a_rolling_restart_of_named_workers_moves_and_repeats_nothing(
    settings, seed, rounds, seconds, rate
):
    settings = settings.model_copy(update=QUICK | PATIENT)
    ticks, rest = await begin_market(settings, seconds, seed)
    with ExitStack() as stack:
        fleet = [
            stack.enter_context(Worker(settings, group_instance_id=f"worker-{number}")) for number in range(2)
        ]
        async with Load(settings, rest, rate) as load:
            await until_owned(settings, *fleet)
            began = await generation(settings)
            for number, worker in [*enumerate(fleet)] * rounds:
                await until_sent(settings, 100)
                others = [other.times_ready for other in fleet if other is not worker]
                stop(worker)
                worker.start()
                await worker.until_ready()
                assert [other.times_ready for other in fleet if other is not worker] == others, number
            await load.finish()
        await until_caught_up(settings, ALL, workers=fleet)
        assert await generation(settings) == began
        for worker in fleet:
            stop(worker)
    times = await Uninterrupted(settings, ticks).check(f"seed {seed}")
    assert {place: number for place, number in times.items() if number > 1} == {}
