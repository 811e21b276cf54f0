"""Many symbols: they are recovered exactly, idle ones leave, and of too many the last ones are refused."""

import asyncio
import json
from collections import Counter
from itertools import islice

import pytest
from interruptions import SLOW, uninterrupted, until_signals
from many_symbols import feed
from workers import (
    PATIENCE,
    UNHURRIED,
    Worker,
    differing,
    expected_signals,
    produce,
    read_all,
    read_newest,
    read_signals,
    read_states,
    until,
    until_caught_up,
)

from pipeline import contract
from pipeline.cli.simulated.scenario import Tick
from pipeline.cli.simulated.simulation import simulate

DAYS = 9 * 86_400.0


def later(ticks, seconds):
    """Return a market that happens later."""
    return [
        Tick(
            tick.topic,
            tick.symbol,
            tick.message | {"timestamp": tick.message["timestamp"] + seconds},
            tick.time + seconds,
        )
        for tick in ticks
    ]


async def until_forgotten(settings, symbol, worker):
    async with asyncio.timeout(PATIENCE):
        while any(key.endswith(f":{symbol}") for _, key in await read_newest(settings)):
            assert worker.process.poll() is None, "the worker ended"


@pytest.mark.endurance
async def test_symbols_that_were_forgotten_and_come_back_are_exact_whatever_is_killed(settings):
    market = list(simulate(20, seed=3))
    back = later(market, 2 * DAYS)
    between = [tick for tick in later(market, DAYS) if tick.symbol in {"BTCUSDT", "ETHUSDT"}]
    with Worker(settings, **SLOW, **UNHURRIED) as worker:
        await produce(settings, market)
        await until_caught_up(settings, workers=[worker])
        await produce(settings, between)
        await until_forgotten(settings, "SOLUSDT", worker)
        worker.kill()
        worker.start()
        await until_caught_up(settings, workers=[worker])
        before = len(await read_all(settings, contract.SIGNALS))
        await produce(settings, back)
        await until_signals(settings, before + 20, worker)
        worker.kill()
        worker.start()
        await until_caught_up(settings, workers=[worker])
        assert worker.stop() == 0
    assert differing(await read_signals(settings), expected_signals([*market, *between, *back])) == []
    assert differing(await read_states(settings), await uninterrupted(settings)) == []


async def test_of_too_many_symbols_the_last_ones_become_dead_letters(settings):
    symbols = [f"X{number}USDT" for number in range(300)]
    price = {"price": 1.0, "timestamp": 1_760_000_000.0}
    ticks = [Tick(contract.PRICES, symbol, price | {"symbol": symbol}, 1_760_000_000.0) for symbol in symbols]
    with Worker(settings, max_symbols=20) as worker:
        await produce(settings, ticks)
        await until_caught_up(settings, workers=[worker])
        worker.kill()
        worker.start()
        await produce(settings, ticks)
        await until_caught_up(settings, workers=[worker])
        assert worker.stop() == 0
        warnings = worker.text().count("a partition is full")
    letters = await read_all(settings, contract.DEAD_LETTERS)
    known = {key.partition(":")[2] for _, key in await read_newest(settings)} - {""}
    assert warnings == settings.partitions
    assert len(known) == 20 * settings.partitions
    assert all("PIPELINE_MAX_SYMBOLS" in letter["reason"] for letter in letters)
    refused = Counter(json.loads(letter["value"])["symbol"] for letter in letters)
    assert refused.keys() == set(symbols) - known
    assert min(refused.values()) >= 2


def has_fewer_partitions(worker):
    """Tell whether its newest recovery was with fewer partitions than the first one had."""
    return len(worker.recoveries()[-1].partitions) < len(worker.recoveries()[0].partitions)


async def test_a_worker_that_keeps_partitions_does_not_read_their_changelogs_again(settings):
    await produce(settings, simulate(20, seed=4))
    with Worker(settings) as first:
        await until_caught_up(settings, workers=[first])
        with Worker(settings) as second:
            await second.until_ready()
            await until(lambda: has_fewer_partitions(first), "it keeps all partitions", workers=[first])
            kept, taken = first.recoveries()[1:], second.recoveries()[-1]
            assert second.stop() == 0
        assert first.stop() == 0
    assert {found.snapshots_read for found in kept} == {0}
    assert taken.snapshots_read > 0


@pytest.mark.endurance
@pytest.mark.parametrize("symbols", [300, 5_000])
async def test_many_symbols_are_recovered_exactly(settings, symbols):
    ticks = list(islice(feed(symbols), 10 * symbols))
    half = 4 * symbols
    with Worker(settings, **UNHURRIED) as worker:
        await produce(settings, ticks[:half])
        await until_caught_up(settings, workers=[worker])
        worker.kill()
        worker.start()
        await worker.until_ready()
        recovered = worker.recoveries()[-1]
        await produce(settings, ticks[half:])
        await until_caught_up(settings, workers=[worker])
        assert worker.stop() == 0
    assert recovered.snapshots_read >= 3 * symbols
    assert recovered.seconds < 10
    assert differing(await read_signals(settings), expected_signals(ticks)) == []
    assert differing(await read_states(settings), await uninterrupted(settings)) == []
