"""Workers are killed (`kill -9`) at random moments under load: nothing is lost, doubled or different."""

import asyncio
import random
import time
from collections import Counter
from contextlib import ExitStack
from datetime import UTC, datetime

import pytest
from interruptions import ALL, QUICK, Uninterrupted, group_state, market, until_owned, until_sent
from workers import PATIENCE, Worker, produce, until, until_caught_up

MOMENTS = ("mid-stream", "rebalance", "recovery")
SECONDS_A_KILL = 20
"""How much of a market there is for each kill."""
MOST_SENT = 150
"""Messages of such a part after which a worker is killed, at most: even a calm one leads to twice as many."""
LONGEST_REBALANCE = 5 * QUICK["session_timeout"]
"""Seconds after a kill in which its rebalance is over for certain."""
TODAY = datetime.now(tz=UTC).toordinal()


class Killer:
    """Kills workers of a fleet, each time at another kind of moment, and starts them again at once."""

    def __init__(self, settings, fleet, seed):
        self.settings, self.fleet = settings, fleet
        self.chance = random.Random(seed)
        self.killed = Counter()

    async def kill(self, parts):
        """Kill once for each part of a market: first at each kind of moment, then as chance has it."""
        moments = [*MOMENTS, *self.chance.choices(MOMENTS, k=len(parts) - len(MOMENTS))]
        for moment, part in zip(moments, parts, strict=True):
            if moment == "mid-stream":
                await until_owned(self.settings, *self.fleet)
            producing = asyncio.create_task(produce(self.settings, part))
            while not await self._kill_at(moment):
                pass
            await producing

    async def _kill_at(self, moment):
        """Kill a worker; return whether it was at such a moment, which may have passed meanwhile."""
        choose = {
            "mid-stream": self._working,
            "rebalance": self._rebalancing,
            "recovery": self._recovering,
        }
        async with asyncio.timeout(PATIENCE):
            found = await choose[moment]()
        victim = found or self.chance.choice(self.fleet)
        victim.kill()
        met = bool(found) and (moment != "recovery" or is_recovering(victim))
        victim.start()
        self.killed[moment if met else f"after {moment}"] += 1
        return met

    async def _working(self):
        await until_sent(self.settings, self.chance.randint(1, MOST_SENT))
        return self.chance.choice(self.fleet)

    async def _recovering(self):
        """Wait for a worker that reads its state; after every kill there is one."""
        found = await until(
            lambda: [worker for worker in self.fleet if is_recovering(worker)],
            "nobody recovers",
            every_s=0.002,
        )
        await asyncio.sleep(self.chance.uniform(0, 0.02))
        return self.chance.choice(found)

    async def _rebalancing(self):
        """Wait for a rebalance; None when there is none any more: on a busy machine it may go unseen."""
        deadline = time.monotonic() + LONGEST_REBALANCE
        while not (await group_state(self.settings)).endswith("Rebalance"):
            if time.monotonic() > deadline:
                return None
            await asyncio.sleep(0.01)
        await asyncio.sleep(self.chance.uniform(0, 0.1))
        return self.chance.choice(self.fleet)


def is_recovering(worker):
    """Tell from its log whether a worker reads snapshots that others have written."""
    return "recovering: state is read" in worker.text().rpartition("] ready ")[2]


@pytest.mark.parametrize(
    ("seed", "workers", "kills"),
    [
        (1, 2, 3),
        pytest.param(TODAY, 2, 3, marks=pytest.mark.endurance),
        *(pytest.param(seed, 3, 20, marks=pytest.mark.endurance) for seed in (2, 3, TODAY + 1_000_000)),
    ],
)
async def test_killed_at_random_nothing_is_lost_doubled_or_different(settings, seed, workers, kills):
    settings = settings.model_copy(update=QUICK)
    ticks = market(kills * SECONDS_A_KILL, seed)
    begun = len(ticks) // 2
    size = begun // (kills + 1) + 1
    *parts, rest = (ticks[begin : begin + size] for begin in range(begun, len(ticks), size))
    await produce(settings, ticks[:begun])
    with ExitStack() as stack:
        fleet = [stack.enter_context(Worker(settings)) for _ in range(workers)]
        killer = Killer(settings, fleet, seed)
        await killer.kill(parts)
        await produce(settings, rest)
        await until_owned(settings, *fleet)
        await until_caught_up(settings, ALL, workers=fleet)
        assert [worker.stop() for worker in fleet] == [0] * workers
        times = await Uninterrupted(settings, ticks).check(f"seed {seed}: {killer.killed}")
    repeats = sum(times.values()) - len(times)
    print(f"seed {seed}: killed {dict(killer.killed)}; {len(times)} messages, {repeats} repeats")  # noqa: T201
