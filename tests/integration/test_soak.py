"""A steady load, while workers die and come back: memory and open files stay flat, the lag goes to zero."""

import asyncio
import os
import statistics
import time
from contextlib import ExitStack, suppress
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

import pytest
from interruptions import ALL, QUICK, Load, Uninterrupted, market
from workers import Worker, until_caught_up

PAGE = os.sysconf("SC_PAGE_SIZE")
RATE = 2_000
MARKET_RATE = 150
"""Records of the simulated market a second of its own time, about."""
AS_USUAL = {"budget_records": 20_000, "max_poll_records": 2_000, "checkpoint_interval": 0.2}
MIB = 1 << 20
MOST_GROWTH, MOST_FILLING = 8 * MIB, 32 * MIB
"""By how much memory may grow in the end, and in a run so short that buffers still fill."""
MOST_FILES = 2
"""By how many open files may differ: connections to a worker that comes and goes, less than one a restart."""
SETTLING_SHARE = 0.4
"""The part of a soak in which memory may still grow: buffers, windows and caches fill."""


class Look(NamedTuple):
    """A worker at one moment: seconds since the load began, resident bytes, open files."""

    second: float
    memory: int
    files: int


class Watch:
    """Looks at a worker once a second; the worker must not end meanwhile."""

    def __init__(self, worker):
        self.process = Path(f"/proc/{worker.process.pid}")
        self.looks = []

    async def until(self, over):
        began = time.monotonic()
        while not over.is_set():
            memory = int((self.process / "statm").read_text().split()[1]) * PAGE
            files = len(list((self.process / "fd").iterdir()))
            self.looks.append(Look(time.monotonic() - began, memory, files))
            await passed(over, 1)

    @property
    def halves(self):
        """What was seen in the first and the second half of the time after settling."""
        settled = self.looks[int(len(self.looks) * SETTLING_SHARE) :]
        return settled[: len(settled) // 2], settled[len(settled) // 2 :]

    def growth(self, name):
        """Return by how much one figure is higher in the second half than in the first (medians)."""
        before, after = ([getattr(look, name) for look in looks] for looks in self.halves)
        return statistics.median(after) - statistics.median(before)


async def passed(over, seconds):
    """Wait for an event, at most so long."""
    with suppress(TimeoutError):
        await asyncio.wait_for(over.wait(), seconds)


async def restart_until(over, worker, pause):
    """Restart a worker again and again, killed one time, asked to stop the next; return how often."""
    times, ends = 0, cycle((worker.kill, worker.stop))
    await passed(over, pause)
    while not over.is_set():
        await asyncio.to_thread(next(ends))
        worker.start()
        times += 1
        await worker.until_ready()
        await passed(over, pause)
    return times


@pytest.mark.parametrize(
    ("seconds", "pause", "most"),
    [(20, 2, MOST_FILLING), pytest.param(900, 20, MOST_GROWTH, marks=pytest.mark.endurance)],
)
async def test_under_a_steady_load_with_restarts_nothing_grows_and_nothing_is_left(
    settings, seconds, pause, most
):
    settings = settings.model_copy(update=QUICK | AS_USUAL)
    ticks, over = market(seconds * RATE / MARKET_RATE, seed=8), asyncio.Event()
    with ExitStack() as stack:
        steady, other = (stack.enter_context(Worker(settings)) for _ in range(2))
        await steady.until_ready()
        watch = Watch(steady)
        async with Load(settings, ticks, RATE) as load, asyncio.TaskGroup() as group:
            group.create_task(watch.until(over))
            restarts = group.create_task(restart_until(over, other, pause))
            await load.end()
            over.set()
        tell(watch, len(ticks), restarts.result())
        await until_caught_up(settings, ALL, workers=[steady, other])
        assert [worker.stop() for worker in (steady, other)] == [0, 0]
    grown, files = watch.growth("memory"), watch.growth("files")
    assert grown < most, f"{grown / MIB:.1f} MiB more"
    assert files <= MOST_FILES
    await Uninterrupted(settings, ticks).check()


def tell(watch, messages, restarts):
    """Print what was seen, at thirty moments and in sum."""
    last = watch.looks[-1]
    for look in watch.looks[:: max(1, len(watch.looks) // 30)]:
        print(f"{look.second:6.0f} s {look.memory / MIB:8.1f} MiB {look.files} files")  # noqa: T201
    print(  # noqa: T201
        f"{messages} messages, {messages / last.second:.0f} a second, {restarts} restarts;",
        f"{watch.growth('memory') / MIB:+.2f} MiB, {watch.growth('files'):+.0f} files",
        flush=True,
    )
