"""The README's programs hear signals from Redis and from Kafka."""

import asyncio
import re
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from output_records import signal
from redis.asyncio import Redis

from pipeline import codec, contract

README = (Path(__file__).parents[2] / "README.md").read_text()
REDIS_URL, KAFKA_URL = "redis://localhost:6379/1", "kafka://localhost:9092"
PROGRAMS = {
    url: next(code for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if url in code)
    for url in (REDIS_URL, KAFKA_URL)
}


@pytest.fixture
def started(monkeypatch):
    """Run a program of the README with another server, as a task of the test's loop."""
    coroutines = []
    monkeypatch.setattr(asyncio, "run", coroutines.append)

    def start(url, actual):
        exec(compile(PROGRAMS[url].replace(url, actual), "README.md", "exec"), {})  # noqa: S102
        return asyncio.create_task(coroutines.pop())

    return start


async def until_printed(capsys, text, task, send):
    """Send again and again until the program prints something; it leaves repeats out, so once."""
    printed = ""
    while text not in printed:
        assert not task.done(), task
        await send()
        await asyncio.sleep(0.05)
        printed += capsys.readouterr().out
    task.cancel()
    await asyncio.wait({task})
    return printed


async def test_the_program_for_redis_prints_alerts(started, own_valkey, capsys):
    value = codec.encode(signal(level="ALERT", probability=0.6))
    async with Redis.from_url(own_valkey.url) as redis:
        task = started(REDIS_URL, own_valkey.url)
        printed = await until_printed(
            capsys, "\n", task, lambda: redis.publish(contract.CHANNEL_ALERTS, value)
        )
    assert printed == "cascade:alerts BTCUSDT ALERT 0.6\n"


async def test_the_program_for_kafka_prints_critical_signals(started, settings, capsys):
    value = codec.encode(signal(level="CRITICAL"))
    async with AIOKafkaProducer(bootstrap_servers=settings.broker) as producer:
        task = started(KAFKA_URL, f"kafka://{settings.broker}")
        printed = await until_printed(
            capsys, "\n", task, lambda: producer.send_and_wait(contract.CRITICAL, value, key=b"BTCUSDT")
        )
    topic, name, level, reason = printed.split()
    assert (topic, level, reason) == (contract.CRITICAL, "CRITICAL", "probability")
    assert name.startswith("BTCUSDT-")
