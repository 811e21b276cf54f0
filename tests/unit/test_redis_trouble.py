"""What to do about trouble with Redis, and patience with it."""

from __future__ import annotations

import pytest
import structlog
from output_records import T0, record, velocity
from redis import exceptions
from servers import free_port

from pipeline.sinks.connection import TROUBLE, advise, connect
from pipeline.sinks.projection import Projection
from pipeline.sinks.redis import RedisSink


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (exceptions.AuthenticationError("WRONGPASS"), "set PIPELINE_REDIS_PASSWORD"),
        (exceptions.NoPermissionError("NOPERM"), "EVALSHA, SCRIPT LOAD, PUBLISH"),
        (exceptions.ResponseError("ACL failure in script: No permissions to access a channel"), "&cascade:*"),
        (exceptions.OutOfMemoryError("OOM"), "maxmemory"),
        (exceptions.ReadOnlyError("READONLY"), "PIPELINE_REDIS_URL"),
        (exceptions.MovedError("1 127.0.0.1:7000"), "PIPELINE_REDIS_CLUSTER=true"),
        (exceptions.ClusterDownError("CLUSTERDOWN"), "CLUSTER INFO"),
        (exceptions.BusyLoadingError("LOADING"), "wait"),
        (exceptions.TimeoutError("2 s"), "does not answer in time"),
        (exceptions.ConnectionError("refused"), "PIPELINE_REDIS_URL"),
        (exceptions.ConnectionError("[SSL: CERTIFICATE_VERIFY_FAILED]"), "set PIPELINE_REDIS_CA_FILE"),
        (exceptions.ConnectionError("max number of clients reached"), "raise its maxclients"),
        (exceptions.RedisClusterException("no node"), "PIPELINE_REDIS_URL"),
        (ConnectionResetError("reset"), "PIPELINE_REDIS_URL"),
        (exceptions.ResponseError("DB index is out of range"), "PIPELINE_REDIS_URL"),
        (exceptions.ResponseError("ERR something new"), "see Redis's own log"),
    ],
)
def test_trouble_says_what_to_do(error, words):
    assert isinstance(error, TROUBLE)
    assert words in advise(error)


async def test_a_trouble_that_turns_into_another_is_told_once_each():
    errors = [exceptions.ConnectionError("closed"), exceptions.AuthenticationError("WRONGPASS")] * 3

    class Sink:
        async def write(self, records):  # noqa: ARG002
            if errors:
                raise errors.pop()
            return True

    with structlog.testing.capture_logs() as logs:
        await Projection(Sink(), longest_wait_s=0.0).project([record(velocity(), T0)])
    assert [line["log_level"] for line in logs] == ["warning", "warning", "info"]
    assert {line["error"] for line in logs[:2]} == {"closed", "WRONGPASS"}


async def test_a_redis_that_takes_no_leave_in_time_is_no_trouble():
    class Client:
        async def aclose(self):
            raise exceptions.TimeoutError("Timed out closing connection after 2.0")

    await RedisSink(Client()).close()


class AwayFor:
    """A sink that is away for a number of tries."""

    def __init__(self, tries):
        self.left = tries
        self.written = []

    async def write(self, records):
        self.left -= 1
        if self.left >= 0:
            raise exceptions.ConnectionError("refused")
        self.written.append(records)
        return True


async def test_hours_without_redis_are_waited_out_with_two_lines_in_the_log():
    sink = AwayFor(2_000)
    times = iter((100.0, 200.0, 3_800.5, 3_800.5))
    projection = Projection(sink, longest_wait_s=0.0, now=lambda: next(times))
    with structlog.testing.capture_logs() as logs:
        await projection.project([("cascade.signals", None, b"", 0)])
    assert len(sink.written) == 1
    assert [line["log_level"] for line in logs] == ["warning", "info"]
    assert logs[1]["seconds_down"] == 3_600.5
    assert (projection.state, projection.since) == ("up", 3_800.5)
    assert "refused" in projection.last_error


async def test_a_redis_that_was_asked_for_nothing_is_not_said_to_be_back():
    """Of a backlog as old as its keys live nothing is left to be written: that says nothing of Redis."""
    unreachable = connect(f"redis://127.0.0.1:{free_port()}/1")
    projection = Projection(RedisSink(unreachable), longest_wait_s=0.0)
    projection.state = "down"
    with structlog.testing.capture_logs() as logs:
        await projection.project([record(velocity(), T0)])
        await projection.project([])
    assert (projection.state, projection.sink.expired, logs) == ("down", 1, [])
    await projection.close()
