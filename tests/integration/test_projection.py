"""From records on Kafka to Redis, through a worker: complete, also after Redis was away."""

import asyncio

import orjson
from interruptions import until_owned
from redis.asyncio import Redis
from workers import UNHURRIED, Worker, differing, expected_signals, produce, read_signals, until_caught_up

from pipeline import contract
from pipeline.cli.simulated.simulation import simulate

ALERT = 2


def newest_by_symbol(signals):
    newest = {}
    for signal in signals.values():
        if signal["sequence"] > newest.get(signal["symbol"], {"sequence": 0})["sequence"]:
            newest[signal["symbol"]] = signal
    return newest


async def history_ids(redis, symbol):
    members = await redis.zrange(contract.key_signal_history(symbol), 0, -1)
    return [orjson.loads(member)["id"] for member in members]


async def check_redis(url, expected, **options):
    """Compare what outlives the test's market (which lies in the past) with the signals on Kafka."""
    async with Redis.from_url(url, **options) as redis:
        for symbol in {signal["symbol"] for signal in expected.values()}:
            alerts = [
                signal["id"]
                for signal in sorted(expected.values(), key=lambda signal: signal["sequence"])
                if signal["symbol"] == symbol and signal["signal_level"] >= ALERT
            ]
            assert await history_ids(redis, symbol) == alerts
        for symbol, signal in newest_by_symbol(expected).items():
            held = orjson.loads(await redis.get(contract.key_probability(symbol)))
            assert (held["probability"], held["signal"]) == (signal["probability"], signal["signal"])
            velocity = await redis.hgetall(contract.key_velocity(symbol))
            assert velocity[b"symbol"].decode() == symbol
        regime = orjson.loads(await redis.get(contract.KEY_REGIME))
        last = max(expected.values(), key=lambda signal: signal["context"]["timestamp"] or 0)
        assert regime["market_regime"] == last["context"]["market_regime"]


async def test_what_a_worker_sends_is_in_redis(settings):
    ticks = list(simulate(30, seed=11))
    await produce(settings, ticks)
    with Worker(settings) as worker:
        await until_caught_up(settings, (*contract.FEEDS, *contract.PROJECTED), workers=[worker])
        await check_redis(settings.redis_url, expected_signals(ticks))
        assert worker.stop() == 0


async def test_without_redis_signals_go_on_and_redis_is_complete_afterwards(settings, own_valkey):
    ticks = list(simulate(30, seed=12))
    expected = expected_signals(ticks)
    await produce(settings, ticks[: len(ticks) // 2])
    with Worker(settings, redis_url=own_valkey.url, **UNHURRIED) as worker:
        await until_caught_up(settings, (*contract.FEEDS, *contract.PROJECTED), workers=[worker])
        async with Redis.from_url(own_valkey.url) as redis:
            await redis.save()  # what a Redis without a log would forget when it is killed
        own_valkey.kill()
        await produce(settings, ticks[len(ticks) // 2 :])
        await until_caught_up(settings, workers=[worker])
        assert differing(await read_signals(settings), expected) == []
        own_valkey.start()
        await until_caught_up(settings, contract.PROJECTED, workers=[worker])
        assert worker.stop() == 0
    await check_redis(own_valkey.url, expected)


async def test_workers_come_and_go_while_redis_is_away_and_it_is_complete_afterwards(settings, own_valkey):
    ticks = list(simulate(30, seed=14))
    own_valkey.stop()
    settings = settings.model_copy(update={"max_poll_records": 200})
    await produce(settings, ticks)
    with Worker(settings, redis_url=own_valkey.url) as first:
        await until_caught_up(settings, workers=[first])
        with Worker(settings, redis_url=own_valkey.url) as second:
            await until_owned(settings, first, second)
            own_valkey.start()
            assert second.stop() == 0  # with much of the outputs still to be written
        await until_caught_up(settings, (*contract.FEEDS, *contract.PROJECTED), workers=[first])
        assert first.stop() == 0
    await check_redis(own_valkey.url, expected_signals(ticks))


async def test_a_worker_starts_and_stops_while_there_is_no_redis(settings, own_valkey):
    own_valkey.stop()
    ticks = list(simulate(20, seed=13))
    await produce(settings, ticks)
    with Worker(settings, redis_url=own_valkey.url) as worker:
        await until_caught_up(settings, workers=[worker])
        while "Redis is not updated" not in worker.text():  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        assert worker.stop() == 0
    assert differing(await read_signals(settings), expected_signals(ticks)) == []
