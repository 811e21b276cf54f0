"""The runbook's commands, run on a real broker beside a live worker that has refused a record."""

import asyncio
import itertools
from urllib.request import urlopen

import pytest
from aiokafka import AIOKafkaProducer
from commands import cascade
from runbook import commands_of
from workers import Worker, produce, read_all, until_caught_up

from pipeline import contract
from pipeline.cli.simulation import simulate

FOR_EVER = {"watch", "worker", "simulate"}


def fetch(port, path):
    """Return what a worker answers; anything but 200 is an error."""
    with urlopen(f"http://127.0.0.1:{port}{path}") as answer:
        return answer.read()


@pytest.fixture
async def worker(settings):
    """Let a worker read a market in which one price is none."""
    await produce(settings, itertools.islice(simulate(20, seed=4), 1_000))
    async with AIOKafkaProducer(bootstrap_servers=settings.broker) as producer:
        await producer.send_and_wait(contract.PRICES, b"no price", key=b"BTCUSDT")
    with Worker(settings) as running:
        await until_caught_up(settings, workers=[running])
        yield running


async def test_every_command_that_ends_does_what_it_should(settings, worker):
    ran = [words for words in commands_of("cascade") if words[0] not in FOR_EVER]
    assert len(ran) > 10
    for words in ran:
        result = await cascade(settings, *words)
        assert result.exit_code == 0, (words, result.output, result.exception)
    # What was replayed without being mended is refused again.
    await until_caught_up(settings, workers=[worker])
    assert len(await read_all(settings, contract.DEAD_LETTERS)) == 2
    for words in commands_of("curl"):
        path = words[-1].removeprefix("localhost:6066")
        assert await asyncio.to_thread(fetch, worker.settings.web_port, path), path
