"""`cascade worker` as a process of its own: what it says, and where."""

import asyncio
import sys

from workers import Worker, produce, until_caught_up

from pipeline import contract
from pipeline.cli.simulated.simulation import simulate


async def work(settings, **changes):
    """Run a worker that is expected to end by itself; return its exit code and what it said on stderr."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pipeline", "worker"),
        stderr=asyncio.subprocess.PIPE,
        env=settings.model_copy(update=changes).child_environment(),
    )
    _, errors = await process.communicate()
    return process.returncode, errors.decode()


async def test_without_topics_a_worker_ends_and_says_how_to_make_them(settings):
    code, errors = await work(settings, app_id=f"{settings.app_id}-b")
    assert code == 1
    assert errors.splitlines()[-1] == "the topics are not as they have to be: run `cascade topics apply`"


async def test_with_other_partitions_a_worker_ends_and_does_not_send_anybody_to_apply(settings):
    code, errors = await work(settings, partitions=3)
    assert code == 1
    last = errors.splitlines()[-1]
    assert last.startswith("the topics are not as they have to be: set PIPELINE_PARTITIONS=4 if all topics")


class ClosingWorker(Worker):
    """A worker that complains of what it leaves unclosed."""

    program = ("-W", "always::ResourceWarning", *Worker.program)


async def test_a_worker_writes_its_log_and_nothing_else_and_leaves_nothing_open(settings):
    await produce(settings, list(simulate(20, seed=1)))
    with ClosingWorker(settings, log="json") as worker:
        await until_caught_up(settings, (*contract.FEEDS, *contract.PROJECTED), workers=[worker])
        assert worker.stop() == 0
        lines = worker.text().splitlines()
        assert lines
        assert [line for line in lines if not line.startswith("{")] == []
