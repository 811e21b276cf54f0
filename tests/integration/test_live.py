"""A running worker meets what a live stream brings: poison, and settings changed at run time."""

import time

from aiokafka import AIOKafkaProducer
from workers import (
    UNHURRIED,
    Worker,
    differing,
    expected_signals,
    produce,
    read_all,
    read_signals,
    until_caught_up,
)

from pipeline import Engine, codec, contract
from pipeline.cli.simulated.scenario import Tick
from pipeline.cli.simulated.simulation import simulate

GOOD = (
    b'{"symbol": "BTCUSDT", "exchange": "okx", "side": "long", "price": 1, "quantity": 1, "timestamp": 1.7e9}'
)
POISON = {
    b"": "empty value",
    b"not json": "malformed",
    b'{"symbol": "BTCUSDT"}': "missing required field",
    GOOD.replace(b"long", b"buy"): "side",
    GOOD.replace(b"1.7e9", b"1.7e12"): "milliseconds",
    GOOD.replace(b"BTCUSDT", b"ETHUSDT"): "key",
    GOOD.replace(b'"price": 1', b'"price": 1e999'): "price",
    b"[" * 10_000: "expected",
    b"\xff\xfe": "malformed",
    GOOD[:-1] + b', "x": ' + b"[" * 50_000: "nested too deeply",
}


async def produce_raw(settings, topic, values, time_s):
    async with AIOKafkaProducer(bootstrap_servers=settings.broker) as producer:
        for value in values:
            time_ms = round(time_s * 1_000)
            await producer.send_and_wait(topic, value, key=b"BTCUSDT", timestamp_ms=time_ms)


async def test_poison_becomes_dead_letters_and_the_stream_goes_on(settings):
    ticks = list(simulate(30, seed=21))
    await produce(settings, ticks[: len(ticks) // 2])
    await produce_raw(settings, contract.LIQUIDATIONS, POISON, ticks[len(ticks) // 2].time)
    await produce(settings, ticks[len(ticks) // 2 :])
    with Worker(settings) as worker:
        await until_caught_up(settings, workers=[worker])
        assert worker.stop() == 0
    letters = await read_all(settings, contract.DEAD_LETTERS)
    assert len(letters) == len(POISON)
    for letter, reason in zip(letters, POISON.values(), strict=True):
        assert reason.lower() in letter["reason"].lower()
        assert (letter["topic"], letter["key"]) == (contract.LIQUIDATIONS, "BTCUSDT")
    assert differing(await read_signals(settings), expected_signals(ticks)) == []


async def test_weights_changed_at_run_time_reach_every_worker_and_survive_restarts(settings):
    start = time.time() - 20
    ticks = list(simulate(20, seed=22, start=start))
    weights = {"velocity": 1.0, "acceleration": 0, "volume": 0, "oi_change": 0, "funding": 0, "volatility": 0}
    control = {"setting": "weights", "version": 1, "timestamp": round(start + 10, 3), "weights": weights}
    engine = Engine()
    with Worker(settings, **UNHURRIED) as worker:
        await produce_control(settings, control)
        await until_caught_up(settings, [contract.CONTROL], workers=[worker])
        worker.kill()
        worker.start()
        await produce(settings, ticks)
        await until_caught_up(settings, workers=[worker])
        assert worker.stop() == 0
    engine.process(contract.CONTROL, control)
    signals = await read_signals(settings)
    assert differing(signals, expected_signals(ticks, engine)) == []
    versions = {signal["symbol"]: set() for signal in signals.values()}
    for signal in signals.values():
        versions[signal["symbol"]].add((signal["timestamp"] >= start + 10, signal["meta"]["weights_version"]))
    assert all(seen == {(False, 0), (True, 1)} for seen in versions.values())


async def produce_control(settings, control):
    async with AIOKafkaProducer(bootstrap_servers=settings.broker) as producer:
        for partition in range(settings.partitions):
            await producer.send_and_wait(
                contract.CONTROL, codec.encode(control), key=b"weights", partition=partition
            )


async def test_a_symbol_that_falls_quiet_comes_down_by_prices_alone(settings):
    start = time.time() - 200
    burst = [
        Tick(
            contract.LIQUIDATIONS,
            "ETHUSDT",
            {
                "symbol": "ETHUSDT",
                "exchange": "binance",
                "side": "long",
                "price": 3_000.0,
                "quantity": 1.0 + number,
                "timestamp": round(start + number * 0.01, 3),
            },
            round(start + number * 0.01, 3),
        )
        for number in range(600)
    ]
    prices = [
        Tick(
            contract.PRICES,
            "ETHUSDT",
            {"symbol": "ETHUSDT", "price": 3_000.0, "timestamp": round(start + 6 + second, 3)},
            round(start + 6 + second, 3),
        )
        for second in range(90)
    ]
    await produce(settings, burst + prices)
    with Worker(settings) as worker:
        await until_caught_up(settings, workers=[worker])
        assert worker.stop() == 0
    signals = sorted((await read_signals(settings)).values(), key=lambda signal: signal["sequence"])
    levels = [signal["signal"] for signal in signals]
    assert "ALERT" in levels
    assert levels[-1] == "NONE"
    assert signals[-1]["metrics"]["velocity"] == 0
