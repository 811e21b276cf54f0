"""The bodies of the agents, over channels that hand them what a test puts."""

import asyncio
import gc
import weakref
from types import SimpleNamespace

import pytest
from faust.types import TP
from worker_parts import HOME, Channel, Worker, idle, liquidation

from pipeline import contract
from pipeline.agents.projection import ENOUGH, create_projection_agent
from pipeline.agents.stages import create_intake_agent
from pipeline.runtime.batches import Records

PLACE = TP(contract.SIGNALS, HOME)


class Stream:
    """Batches as Faust hands them over, without acknowledging them."""

    def __init__(self):
        self.batches = Channel()

    def noack(self):
        return self

    def events(self):
        return self.batches

    def put(self, *records):
        first = records[0]
        message = SimpleNamespace(topic=first.topic, partition=first.partition, value=Records(records))
        self.batches.put_nowait(SimpleNamespace(message=message))
        return message.value


class App:
    """What an agent asks of the application: topics, and the parts of a worker."""

    def __init__(self, worker):
        self.worker = worker
        self.flow, self.channels = worker.flow, worker.channels
        self.intake = SimpleNamespace(given_back=[])
        self.intake.give_back_projected = lambda tp, count: self.intake.given_back.append((tp, count))
        self.consumer = SimpleNamespace(acknowledge=worker.acknowledged.update)
        self.running = []

    def topic(self, *_names, schema):
        assert schema is not None
        return Stream()

    def agent(self, stream, name):
        def run(body):
            self.stream = stream
            self.running.append(asyncio.create_task(body(stream), name=name))
            return body

        return run

    def task(self, body):
        self.running.append(asyncio.create_task(body()))


@pytest.fixture
async def worker():
    async with Worker() as found:
        yield found


@pytest.fixture
async def app(worker):
    found = App(worker)
    yield found
    for task in found.running:
        task.cancel()


async def test_the_intake_starts_batches_on_their_way_through_all_stages(app, worker):
    create_intake_agent(app)
    app.stream.put(liquidation(0))
    await idle()
    assert [sending.topic for sending in worker.producer.sent] == [contract.VELOCITY, contract.SIGNALS]


async def test_the_intake_drops_what_comes_after_the_end_of_the_epoch(app, worker):
    create_intake_agent(app)
    worker.flow.close()
    app.stream.put(liquidation(0))
    await idle()
    assert worker.channels[0].count == 0


class Projection:
    """Takes records once Redis is there."""

    def __init__(self):
        self.there = asyncio.Event()
        self.writes = []
        self.begun = self.closed = False

    async def begin(self):
        self.begun = True

    async def project(self, records):
        await self.there.wait()
        self.writes.append(records)

    async def close(self):
        self.closed = True


def signal(offset):
    found = liquidation(offset)
    return SimpleNamespace(
        topic=contract.SIGNALS,
        partition=HOME,
        offset=offset,
        key=found.key,
        value=found.value,
        timestamp=found.timestamp,
    )


async def test_the_projection_acknowledges_what_redis_has(app, worker):
    projection = Projection()
    create_projection_agent(app, projection)
    app.stream.put(signal(3), signal(4))
    await idle()
    assert (worker.acknowledged, app.intake.given_back) == ({}, [])
    projection.there.set()
    await idle()
    assert [[record[0] for record in write] for write in projection.writes] == [[contract.SIGNALS] * 2]
    assert worker.acknowledged == {PLACE: 5}
    assert app.intake.given_back == [(PLACE, 2)]


async def test_batches_that_come_while_others_are_written_are_written_together(app, worker):
    projection = Projection()
    create_projection_agent(app, projection)
    app.stream.put(signal(3))
    await idle()
    for offset in range(4, 4 + ENOUGH):
        app.stream.put(signal(offset))
    app.stream.put(signal(4 + ENOUGH), signal(5 + ENOUGH))
    projection.there.set()
    await idle()
    assert [len(write) for write in projection.writes] == [1, ENOUGH, 2]
    assert worker.acknowledged == {PLACE: 6 + ENOUGH}
    assert sum(count for _, count in app.intake.given_back) == ENOUGH + 3


async def test_the_projection_acknowledges_nothing_of_an_epoch_that_ended(app, worker):
    create_projection_agent(app, Projection())
    app.stream.put(signal(3))
    await idle()
    app.stream.put(signal(4))
    worker.flow.end()
    await idle()
    assert (worker.acknowledged, app.intake.given_back) == ({}, [])
    assert not any(task.done() for task in app.running)


async def test_the_projection_goes_on_in_the_next_epoch(app, worker):
    projection = Projection()
    create_projection_agent(app, projection)
    app.stream.put(signal(3))
    await idle()
    worker.flow.begin()
    projection.there.set()
    app.stream.put(signal(3))
    await idle()
    assert worker.acknowledged == {PLACE: 4}


async def test_while_redis_is_away_from_the_start_nothing_is_kept_of_epochs_that_ended(app, worker):
    projection, batches = Projection(), []
    projection.begin = projection.there.wait
    create_projection_agent(app, projection)
    for offset in range(3):
        worker.flow.begin()
        batches.append(weakref.ref(app.stream.put(signal(offset))))
        await idle()
    gc.collect()
    assert [batch() is None for batch in batches] == [True, True, False]


@pytest.mark.parametrize("writing", [False, True])
async def test_the_projection_is_closed_when_the_worker_stops(app, writing):
    projection = Projection()
    create_projection_agent(app, projection)
    if writing:
        app.stream.put(signal(3))
    await idle()
    assert (projection.begun, projection.closed) == (True, False)
    app.running[-1].cancel()
    await idle()
    assert projection.closed
