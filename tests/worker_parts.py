"""A worker without a broker: the runtime's own parts, joined as in the application, and the real agents.

Only the two edges are stand-ins. `Producer` takes the place of aiokafka's: it confirms, holds back or fails
what it is given. `Channel` takes the place of Faust's: whoever iterates over it gets what was put.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from types import SimpleNamespace
from typing import Any

import faust
from aiokafka.producer.sender import Sender
from aiokafka.structs import ConsumerRecord, RecordMetadata, TopicPartition
from faust.types import TP

from pipeline import SEED, contract
from pipeline.agents.stages import create_stage_agent
from pipeline.engine import create_stages
from pipeline.runtime.batches import Records
from pipeline.runtime.checkpoint import Checkpoint
from pipeline.runtime.delivery import Delivery
from pipeline.runtime.flow import Flow
from pipeline.runtime.intake import Intake
from pipeline.runtime.lease import Lease
from pipeline.runtime.store import SnapshotTable

PARTITIONS = 4
NOW = 1_760_000_000
SYMBOL = "BTCUSDT"
"""Lies on partition 2 of 4."""
KEY = SYMBOL.encode()
HOME = 2
CHANGELOG = "test-{}-changelog"


def record(topic, value, offset, *, partition=HOME, key=KEY, at=NOW):  # noqa: PLR0913
    """Return a record as aiokafka hands it over, written at a time in Unix seconds."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return ConsumerRecord(
        topic, partition, offset, round(at * 1_000), 0, key, data, None, len(key or b""), len(data), ()
    )


def liquidation(offset, *, at=NOW, symbol=SYMBOL, **fields):
    value = {
        "symbol": symbol,
        "exchange": "binance",
        "side": "long",
        "price": 60_000.0,
        "quantity": 1.0 + offset,
        "timestamp": at,
    }
    return record(contract.LIQUIDATIONS, value, offset, key=symbol.encode(), at=at, **fields)


def price(offset, *, at=NOW, symbol=SYMBOL, **fields):
    value = {"symbol": symbol, "price": 60_000.0, "timestamp": at}
    return record(contract.PRICES, value, offset, key=symbol.encode(), at=at, **fields)


class BrokerError(Exception):
    """What the broker says when it does not take a record."""


class Sending:
    """One record that was handed to the producer."""

    def __init__(self, topic, key, value, partition, timestamp_ms, headers, confirmed):  # noqa: PLR0913, PLR0917
        self.topic, self.key, self.value, self.partition = topic, key, value, partition
        self.timestamp_ms, self.headers = timestamp_ms, headers
        self.confirmed = confirmed


class Producer:
    """Takes records while it has room; confirms them at once, unless their topic is held back or failing."""

    def __init__(self):
        self.sent: list[Sending] = []
        self.held: set[str] = set()
        self.failing: set[str] = set()
        self._message_accumulator = SimpleNamespace(_batches={})  # no batch is being filled
        self._offsets: Counter[tuple[str, int]] = Counter()
        self._changed = asyncio.Event()
        self.room = asyncio.Event()
        self.room.set()

    async def send(self, topic, value, *, key, partition, timestamp_ms, headers=()):  # noqa: PLR0913
        await self.room.wait()
        future = asyncio.get_running_loop().create_future()
        sending = Sending(topic, key, value, partition, timestamp_ms, headers, future)
        self.sent.append(sending)
        if topic in self.failing:
            future.set_exception(BrokerError(topic))
        elif topic not in self.held:
            self.confirm(sending)
        self._changed.set()
        return future

    def confirm(self, sending):
        place = sending.topic, sending.partition
        tp, offset = TopicPartition(*place), self._offsets[place]
        self._offsets[place] += 1
        sending.confirmed.set_result(RecordMetadata(*place, tp, offset, 0, 0, 0))

    def release(self, topic):
        """Confirm what was held back of a topic, and hold nothing of it back any more."""
        self.held.discard(topic)
        for sending in self.of(topic):
            if not sending.confirmed.done():
                self.confirm(sending)

    def of(self, topic):
        return [sending for sending in self.sent if sending.topic == topic]

    async def until(self, topic, count=1):
        """Wait until so many records of a topic were handed over."""
        while len(self.of(topic)) < count:
            self._changed.clear()
            await self._changed.wait()


def create_sender(client, accumulator):
    """Return aiokafka's own sender of what an accumulator takes."""
    return Sender(
        client,
        acks=-1,
        txn_manager=None,
        message_accumulator=accumulator,
        retry_backoff_ms=1,
        request_timeout_ms=30_000,
    )


class Channel:
    """Hands over what was put, in order."""

    def __init__(self):
        self._queue: asyncio.Queue[Any] = asyncio.Queue()
        self.count = 0

    def put_nowait(self, work):
        self.count += 1
        self._queue.put_nowait(work)

    def __aiter__(self):
        return self

    async def __anext__(self):
        return await self._queue.get()


class Clock:
    """Stands until it is moved."""

    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        return self.now


class Worker:
    """The parts of one worker; `with` it, the agents of all stages run."""

    def __init__(self):
        app = faust.App("test", broker="kafka://localhost:1", web_enabled=False)
        self.clock = Clock()
        self.lease = Lease(10.0, self.clock)
        self.producer = Producer()
        self.tables = {
            name: SnapshotTable(app, name=name, key_type=bytes, value_type=bytes, partitions=PARTITIONS)
            for name in contract.TABLES
        }
        self.intake = Intake(
            reference=KEY,
            partitions=PARTITIONS,
            budget_records=1_000,
            budget_bytes=1_000_000,
            settle=dict.fromkeys(contract.INPUTS, 0.0),
        )
        self.flow = Flow(
            create_stages(SEED),
            lambda table, partition: self.tables[table].data.partition(partition),
            PARTITIONS,
            committed=lambda topic, partition: self.acknowledged.get(TP(topic, partition), 0),
        )
        self.channels = [Channel() for _ in self.flow.stages]
        self.delivery = Delivery(lambda: self.producer, self.lease, PARTITIONS)
        self.acknowledged: dict[Any, int] = {}
        self.checkpoint = Checkpoint(
            flow=self.flow,
            delivery=self.delivery,
            intake=self.intake,
            lease=self.lease,
            tables=self.tables,
            enter=self.channels[0].put_nowait,
            acknowledge=self.acknowledged.update,
            interval=0.0,
        )
        self._bodies: list[tuple[Any, Channel]] = []
        for place in range(len(self.flow.stages)):
            create_stage_agent(self, place)
        self.agents: list[asyncio.Task[None]] = []

    def agent(self, channel, name):  # noqa: ARG002 - as Faust's
        """Keep an agent's body, to run it over its channel."""

        def keep(body):
            self._bodies.append((body, channel))
            return body

        return keep

    async def __aenter__(self):
        self.flow.begin()
        self.agents = [asyncio.create_task(body(channel)) for body, channel in self._bodies]
        return self

    async def __aexit__(self, *_):
        for task in self.agents:
            task.cancel()
        await asyncio.gather(*self.agents, return_exceptions=True)

    def put(self, *records):
        """Start a batch on its way, with its share of the budget."""
        unit = self.flow.take(Records(records))
        if unit is not None:
            self.intake.spend(unit.records, unit.size)
            self.channels[0].put_nowait(unit)
        return unit

    def stored(self, table, partition=HOME):
        return self.tables[table].data.partition(partition)


async def idle():
    """Let everything run that can run without anything new from outside."""
    for _ in range(100):
        await asyncio.sleep(0)
