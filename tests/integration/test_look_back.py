"""What a worker reads of the past of its partitions: as it was sent, and never all of it at once."""

import time
import tracemalloc
from contextlib import contextmanager

import pytest
from aiokafka import AIOKafkaProducer

from pipeline import Engine, codec, contract
from pipeline.cli.simulated.simulation import simulate
from pipeline.signals.profile import SEED
from pipeline.web.backfill import read_past
from pipeline.web.picture import Picture


def weights(_partition):
    return SEED.score.weights


@pytest.fixture(scope="module")
def sent():
    """Messages of each projected topic, in the order in which they were sent."""
    engine = Engine()
    return [
        (output.topic, codec.encode(output.body))
        for tick in simulate(180, seed=4)
        for output in engine.process(tick.topic, [tick.message])
        if output.topic in contract.PROJECTED
    ]


async def produce(settings, sent):
    """Send messages, one a millisecond, to the first partition of their topics."""
    began = round(time.time() * 1_000) - len(sent)
    async with AIOKafkaProducer(**settings.kafka_client_options()) as producer:
        for place, (topic, value) in enumerate(sent):
            await producer.send(topic, value, partition=0, timestamp_ms=began + place)


@contextmanager
def most_memory():
    """Yield a list that holds, afterwards, by how many bytes memory was larger than in the end, at most."""
    found = []
    tracemalloc.start()
    try:
        yield found
        now, most = tracemalloc.get_traced_memory()
        found.append(most - now)
    finally:
        tracemalloc.stop()


def decoded(sent):
    return [codec.decode_projected[topic](value) for topic, value in sent]


def shown(picture):
    symbols = {
        name: (each.signal, each.velocity, each.volatility, each.positioning, each.history.since(0.0))
        for name, each in picture.symbols.items()
    }
    return symbols, picture.newest(0, None, 10_000, changes=False), picture.regime, list(picture.changes)


async def test_the_past_is_read_in_the_order_in_which_it_was_sent_and_bit_by_bit(settings, sent):
    await produce(settings, sent)
    with most_memory() as at_once:
        bodies = decoded(sent)
        del bodies
    with most_memory() as in_reading:
        picture = await read_past(settings, {0}, weights)
    expected = Picture()
    expected.weights = weights
    expected.keep({0})
    for body in decoded(sent):
        expected.take(0, body)
    assert shown(picture) == shown(expected)
    assert in_reading[0] < at_once[0] / 2
