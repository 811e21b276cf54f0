"""`/status`: what a worker is about, how far it is behind, and what is wrong."""

from __future__ import annotations

import time
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Literal

from faust.types import TP
from msgspec import Struct

from pipeline import contract
from pipeline.messages import LEVELS, seconds

if TYPE_CHECKING:
    from pipeline.runtime.application import Application, Phase
    from pipeline.runtime.health import Health
    from pipeline.sinks.projection import Projection


class PartitionStatus(Struct):
    """How far a partition is behind: records that no checkpoint covers yet, by topic and in all.

    `lag_seconds` is the age of the newest record taken while there are such records, else 0. A lag of null is
    not known yet.
    """

    partition: int
    lag: int | None
    lag_seconds: float
    topics: dict[str, int | None]


class RebalanceStatus(Struct):
    """How often partitions were assigned, and for how many seconds work rested for it."""

    count: int
    seconds: float


class CheckpointStatus(Struct):
    """For how long something has been waiting to be covered, and how long checkpoints take, in seconds."""

    age_seconds: float
    p50_seconds: float | None
    p99_seconds: float | None


class LatencyStatus(Struct):
    """From an event's own time to its signal's hand-over, of the newest 1,000 signals of the last 10 s."""

    p50_ms: float | None
    p99_ms: float | None


class RedisStatus(Struct):
    """Whether Redis takes updates, since when that is so (Unix seconds), and what waits to be written."""

    state: Literal["up", "down", "off"]
    since: float | None
    last_error: str | None
    lag: int | None


class Status(Struct):
    """A worker's status; `problems` is empty when it does its work."""

    worker: str
    app: str
    time: float
    started: float
    phase: str
    phase_seconds: float
    problems: list[str]
    partitions: list[PartitionStatus]
    lag: int | None
    lag_seconds: float
    symbols: int
    recovery_remaining: int
    rebalances: RebalanceStatus
    checkpoint: CheckpointStatus
    event_to_signal: LatencyStatus
    context_age_seconds: float | None
    redis: RedisStatus
    signals: dict[str, int]
    dead_letters: int
    counts: dict[str, int]
    versions: dict[str, str]


@cache
def versions() -> dict[str, str]:
    """Return the versions of the pipeline and of what its runtime leans on."""
    names = ("cascade-pipeline", "faust-streaming", "aiokafka", "redis", "uvloop")
    return {name: version(name) for name in names}


def report(app: Application, health: Health, projection: Projection | None) -> Status:
    """Return a worker's status."""
    partitions = of_partitions(app)
    phase: Phase = app.phase
    return Status(
        worker=str(app.conf.canonical_url),
        app=app.settings.app_id,
        time=time.time(),
        started=app.started_at,
        phase=phase,
        phase_seconds=round(time.monotonic() - app.phase_since, 3),
        problems=health.unready(),
        partitions=partitions,
        lag=total([each.lag for each in partitions]),
        lag_seconds=max((each.lag_seconds for each in partitions), default=0.0),
        symbols=app.flow.symbols,
        recovery_remaining=health.recovery_remaining,
        rebalances=RebalanceStatus(sum(app.rebalances.counts), round(app.rebalances.total, 3)),
        checkpoint=_checkpoint(app),
        event_to_signal=LatencyStatus(app.delivery.latency_ms(0.5), app.delivery.latency_ms(0.99)),
        context_age_seconds=context_age(app),
        redis=_redis(app, projection),
        signals=dict(zip(LEVELS, app.delivery.statistics.levels, strict=True)),
        dead_letters=sum(app.flow.dead_letters.values()),
        counts=dict(app.flow.counts),
        versions=versions(),
    )


def of_partitions(app: Application) -> list[PartitionStatus]:
    """Return how far each partition of a worker is behind."""
    return [_partition(app, number) for number in sorted(app.partitions)]


def context_age(app: Application) -> float | None:
    """Return how old the newest context is by this machine's clock, None without one."""
    market_time = app.flow.market_time
    return round(time.time() - seconds(market_time), 3) if market_time else None


def total(lags: list[int | None]) -> int | None:
    """Return the sum of lags, None when one of them is not known."""
    known = [lag for lag in lags if lag is not None]
    return sum(known) if len(known) == len(lags) else None


def _partition(app: Application, number: int) -> PartitionStatus:
    topics = {topic: app.consumer.lag(TP(topic, number)) for topic in contract.INPUTS}
    lag = total(list(topics.values()))
    return PartitionStatus(number, lag, _behind(app, number) if lag else 0.0, topics)


def _behind(app: Application, number: int) -> float:
    newest = app.flow.newest(number)
    return 0.0 if newest is None else round(max(0.0, time.time() - newest / 1_000), 3)


def _checkpoint(app: Application) -> CheckpointStatus:
    since, seconds = app.checkpoint.waiting_since, app.checkpoint.seconds
    age = 0.0 if since is None else round(time.monotonic() - since, 3)
    return CheckpointStatus(age, seconds.quantile(0.5), seconds.quantile(0.99))


def _redis(app: Application, projection: Projection | None) -> RedisStatus:
    if projection is None:
        return RedisStatus("off", None, None, None)
    waiting = [app.consumer.lag(tp) for tp in app.consumer.assignment() if tp.topic in contract.PROJECTED]
    return RedisStatus(projection.state, projection.since, projection.last_error, total(waiting))
