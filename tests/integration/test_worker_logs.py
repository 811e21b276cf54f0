"""The log of workers for machines: every line is an event, through start, rebalance, stop and crash."""

import json
from datetime import datetime

import pytest
from commands import start
from servers import HOST
from workers import PATIENCE, Worker, until

BREAKING = r"""
import sys
from pipeline.__main__ import main
from pipeline.runtime.flow import Flow
def take(*_):
    raise RuntimeError("two\nlines, to break it")
Flow.take = take
sys.argv[1:] = ["worker"]
main()
"""
LEVELS = {"debug", "info", "warning", "error", "critical"}


class BreakingWorker(Worker):
    """A worker that fails at its first batch."""

    program = ("-c", BREAKING)


def events(worker):
    """Return what a worker logged, each line of which is an event in JSON."""
    found = [json.loads(line) for line in worker.text().splitlines()]
    for event in found:
        assert event["level"] in LEVELS, event
        assert datetime.fromisoformat(event["timestamp"]).tzinfo is not None, event
        assert event["event"], event
        assert event["logger"], event
    return found


def ready(worker):
    return [event["partitions"] for event in events(worker) if event["event"] == "ready"]


async def test_start_rebalance_and_stop_are_told_in_a_line_each_and_no_event_of_the_market_is(settings):
    market = start(settings, "simulate")
    with market, Worker(settings, log="json") as first, Worker(settings, log="json") as second:
        try:
            await until(
                lambda: ready(first)[-1:] != [[0, 1, 2, 3]] and ready(second) and ready(first),
                "they do not share the partitions",
                workers=[first, second],
            )
            assert second.stop() == 0
            await until(
                lambda: ready(first)[-1] == [0, 1, 2, 3], "the first does not take over", workers=[first]
            )
            assert first.stop() == 0
        finally:
            market.kill()
        for worker in (first, second):
            last = events(worker)[-1]
            assert (last["event"], last["phase"]) == ("handed over", "stopping"), last
        told = events(first) + events(second)
        assert "rebalancing" in {event.get("phase") for event in told}
        assert [event for event in told if event["level"] not in {"info", "warning"}] == []
        assert [event for event in told if event["event"].startswith("[^")] == []
        assert len(told) < 20, told


async def test_a_crash_at_work_is_told_with_its_reason_and_its_traceback(settings):
    market = start(settings, "simulate")
    with market, BreakingWorker(settings, log="json") as worker:
        try:
            assert worker.process.wait(PATIENCE) == 1
        finally:
            market.kill()
        found = events(worker)
        assert any("Traceback" in event.get("exception", "") for event in found)
        assert (found[-1]["level"], found[-1]["event"]) == (
            "critical",
            "stopped: two\nlines, to break it",
        )


@pytest.mark.parametrize("change", [{"broker": f"{HOST}:1"}, {"profile": "missing.toml"}])
async def test_what_keeps_a_worker_from_starting_is_told_in_a_line(settings, change):
    with Worker(settings, log="json", **change) as worker:
        assert worker.process.wait(PATIENCE) in {1, 2}
        assert events(worker)[-1]["level"] == "critical"
