"""Whatever happens to Redis, signals on Kafka go on as if nothing had, and Redis is complete afterwards."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import orjson
import pytest
from passage import Passage
from redis.asyncio import Redis
from servers import HOST, ValkeyServer, running
from workers import (
    PATIENCE,
    UNHURRIED,
    Worker,
    differing,
    expected_signals,
    lag,
    produce,
    read_signals,
    until_caught_up,
)

from pipeline import contract
from pipeline.cli.simulated.simulation import simulate
from pipeline.runtime.reading import read_topic
from pipeline.sinks.connection import connect

MOST_GROWTH_KB = 100_000
"""Of the worker's memory: what Redis does not take stays on Kafka."""
OUTAGES = [pytest.param(4, id="4s"), pytest.param(60, id="60s", marks=pytest.mark.endurance)]
SECRET = "not-to-be-shown"  # noqa: S105 - it opens nothing


class Deployment:
    """Two Valkeys, the second a replica of the first, behind the one address that a worker knows."""

    def __init__(self, primary: ValkeyServer, replica: ValkeyServer, passage: Passage) -> None:
        self.primary, self.replica, self.passage = primary, replica, passage
        self.password = None

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.passage.port}/1"

    def client(self, server: ValkeyServer | None = None) -> Redis:
        return Redis.from_url((server or self.primary).url, password=self.password)

    async def configure(self, name: str, value: object) -> None:
        async with self.client() as redis:
            await redis.config_set(name, value)


@pytest.fixture
async def deployment():
    with ExitStack() as stack:
        primary, replica = (stack.enter_context(running(ValkeyServer())) for _ in range(2))
        async with Passage(primary.port) as passage:
            yield Deployment(primary, replica, passage)


@asynccontextmanager
async def gone(deployment):
    async with deployment.client() as redis:
        await redis.save()  # what a Redis without a log would forget when it is killed
    deployment.primary.kill()
    yield "Redis cannot be reached"
    deployment.primary.start()


@asynccontextmanager
async def slow(deployment):
    deployment.passage.delay_s = 1.0  # over 20 s for all keys, each answer sooner than a worker gives up
    yield None  # nothing is wrong, it takes long
    deployment.passage.delay_s = 0.0


@asynccontextmanager
async def full(deployment):
    await deployment.configure("maxmemory", 1)
    yield "Redis is out of memory"
    await deployment.configure("maxmemory", 0)


@asynccontextmanager
async def failing_over(deployment):
    old, new = deployment.primary, deployment.replica
    async with deployment.client(new) as redis:
        await redis.replicaof(HOST, old.port)
        while (await redis.info("replication"))["master_link_status"] != "up":  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        await redis.replicaof("NO", "ONE")
    async with deployment.client(old) as redis:
        await redis.replicaof(HOST, new.port)
    yield "this is a read-only replica"
    deployment.primary, deployment.passage.target = new, new.port


@asynccontextmanager
async def wrong_password(deployment):
    await deployment.configure("requirepass", SECRET)
    await deployment.passage.cut()
    yield "Redis refuses the password"
    deployment.password = SECRET
    await deployment.configure("requirepass", "")
    deployment.password = None


FAULTS = [
    gone,
    wrong_password,
    *(pytest.param(fault, marks=pytest.mark.endurance) for fault in (slow, full, failing_over)),
]


async def test_a_slow_way_holds_back_a_command_once_however_long_it_is(deployment):
    deployment.passage.delay_s = 0.2
    async with connect(deployment.url) as redis:  # waits for an answer as long as a worker does
        assert await redis.set("long", bytes(1 << 20))


async def produce_over(settings, ticks, seconds):
    """Produce a market in a part each half second, for so long."""
    parts = 2 * seconds
    for number in range(parts):
        await produce(settings, ticks[len(ticks) * number // parts : len(ticks) * (number + 1) // parts])
        await asyncio.sleep(0.5)  # the load's own pace


def memory_kb(worker):
    status = Path(f"/proc/{worker.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


async def newest(settings, topic):
    """Return the newest message of each symbol by (timestamp, sequence), and when it was written."""
    found = {}
    async for record in read_topic(settings, topic):
        message = orjson.loads(record.value)
        order = message["timestamp"], message["sequence"]
        if order > found.get(message["symbol"], ((0, 0), None, 0))[0]:
            found[message["symbol"]] = order, message, record.timestamp / 1_000
    return [(message, written) for _, message, written in found.values()]


async def check_complete(settings, redis):
    """Compare every key with what the newest messages on Kafka imply, unless its life is over."""
    for topic, key_of, lives in (
        (contract.SIGNALS, contract.key_probability, 60),
        (contract.VELOCITY, contract.key_velocity, 600),
        (contract.POSITIONING, contract.key_open_interest, 360),
        (contract.POSITIONING, contract.key_funding, 9 * 3_600),
        (contract.REGIME, lambda _: contract.KEY_REGIME, 120),
    ):
        messages = await newest(settings, topic)
        assert messages
        for message, written in messages:
            key = key_of(message["symbol"])
            held = await place(redis, key)
            if held is None:
                assert time.time() > written + lives - 1, f"{key} is missing"
            else:
                assert held == (message["timestamp"], message["sequence"]), key


async def place(redis, key):
    if await redis.type(key) == b"hash":
        held = await redis.hgetall(key)
        return float(held[b"timestamp"]), int(held[b"sequence"])
    text = await redis.get(key)
    if text is None:
        return None
    held = orjson.loads(text)
    return held["timestamp"], held["sequence"]


async def check_histories(redis, expected):
    """Compare the alerts that each symbol's history holds with those that were to be sent."""
    for symbol in {signal["symbol"] for signal in expected.values()}:
        signals = sorted(expected.values(), key=lambda signal: signal["sequence"])
        alerts = [each["id"] for each in signals if each["symbol"] == symbol and each["signal_level"] >= 2]
        members = await redis.zrange(contract.key_signal_history(symbol), 0, -1)
        assert [orjson.loads(member)["id"] for member in members] == alerts[-1_000:]


@pytest.mark.parametrize("seconds", OUTAGES)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
async def test_trouble_with_redis_is_redis_own(settings, deployment, fault, seconds):
    ticks = list(simulate(max(20, seconds), seed=41))
    expected, half = expected_signals(ticks), len(ticks) // 2
    await produce(settings, ticks[:half])
    with Worker(settings, redis_url=deployment.url, **UNHURRIED) as worker:
        await until_caught_up(settings, (*contract.FEEDS, *contract.PROJECTED), workers=[worker])
        before = memory_kb(worker)
        async with fault(deployment) as advice:
            await produce_over(settings, ticks[half:], seconds)
            await until_caught_up(settings, workers=[worker])
            assert await lag(settings, contract.PROJECTED) > 0, "Redis was not in trouble"
            assert differing(await read_signals(settings), expected) == []
            deadline = time.monotonic() + PATIENCE
            while advice is not None and advice not in worker.text():
                assert worker.process.poll() is None
                assert time.monotonic() < deadline, f"the log does not say: {advice}"
                await asyncio.sleep(0.1)
            assert memory_kb(worker) - before < MOST_GROWTH_KB
        await until_caught_up(settings, contract.PROJECTED, workers=[worker])
        assert worker.stop() == 0
        assert SECRET not in worker.text()
    async with deployment.client() as redis:
        await check_complete(settings, redis)
        await check_histories(redis, expected)


@pytest.mark.parametrize("seconds", OUTAGES)
async def test_a_redis_that_is_gone_at_the_start_is_complete_when_it_comes(settings, deployment, seconds):
    ticks = list(simulate(max(20, seconds), seed=42))
    expected = expected_signals(ticks)
    deployment.primary.kill()
    with Worker(settings, redis_url=deployment.url, **UNHURRIED) as worker:
        await worker.until_ready()
        before = memory_kb(worker)
        await produce_over(settings, ticks, seconds)
        await until_caught_up(settings, workers=[worker])
        assert differing(await read_signals(settings), expected) == []
        assert memory_kb(worker) - before < MOST_GROWTH_KB
        deployment.primary.start()
        await until_caught_up(settings, contract.PROJECTED, workers=[worker])
        assert worker.stop() == 0
    async with deployment.client() as redis:
        await check_complete(settings, redis)
        await check_histories(redis, expected)
