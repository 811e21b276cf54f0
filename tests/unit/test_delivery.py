import asyncio
import gc
import json
import time

import pytest
from aiokafka import TopicPartition
from aiokafka.cluster import ClusterMetadata
from aiokafka.errors import (
    InvalidTimestampError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)
from aiokafka.producer.message_accumulator import MessageAccumulator
from aiokafka.record import MemoryRecords
from worker_parts import (
    HOME,
    NOW,
    PARTITIONS,
    SYMBOL,
    BrokerError,
    Clock,
    Producer,
    liquidation,
    price,
    record,
)

from pipeline import SEED, codec, contract
from pipeline.engine import create_stages
from pipeline.runtime.batches import Records
from pipeline.runtime.confirmation import NotConfirmedError
from pipeline.runtime.delivery import Delivery
from pipeline.runtime.flow import Flow
from pipeline.runtime.lease import Lease, LeaseLostError

BURST = [liquidation(offset, at=NOW + offset / 200) for offset in range(400)]
"""Two hundred liquidations a second: enough for EXTREME."""


@pytest.fixture
async def producer():
    return Producer()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def delivery(producer, clock):
    return Delivery(lambda: producer, Lease(10.0, clock), PARTITIONS)


def always():
    return True


def unit_of(*records):
    """Return a unit that has passed all stages."""
    flow = Flow(create_stages(SEED), lambda _table, _partition: {}, PARTITIONS)
    flow.begin()
    unit = flow.take(Records(records))
    for place in range(len(flow.stages)):
        flow.fold(place, unit)
    return unit


async def test_what_a_unit_led_to_is_sent_in_order_under_its_key_to_its_partition(delivery, producer):
    unit = unit_of(*BURST)
    pending = await delivery.send_unit(unit, always)
    outputs = unit.outputs()
    assert [(sending.topic, sending.key.decode()) for sending in producer.sent] == [
        (output.topic, output.key) for output in outputs
    ]
    assert {sending.partition for sending in producer.sent} == {HOME}
    assert [json.loads(sending.value) for sending in producer.sent] == [output.message for output in outputs]
    assert pending == {sending.confirmed: sending.topic for sending in producer.sent}
    assert {contract.SIGNALS, contract.ALERTS, contract.CRITICAL} <= {output.topic for output in outputs}


async def test_a_signal_is_the_same_bytes_on_each_of_its_topics(delivery, producer):
    await delivery.send_unit(unit_of(*BURST), always)
    signals = {json.loads(sending.value)["id"]: sending.value for sending in producer.of(contract.SIGNALS)}
    for topic in (contract.ALERTS, contract.CRITICAL):
        assert producer.of(topic)
        for sending in producer.of(topic):
            assert signals[json.loads(sending.value)["id"]] == sending.value


async def test_a_signal_tells_how_long_it_took_from_poll_to_producer(delivery, producer):
    unit = unit_of(liquidation(0))
    unit.polled -= 2.0
    await delivery.send_unit(unit, always)
    [sending] = producer.of(contract.SIGNALS)
    assert json.loads(sending.value)["meta"]["processing_time_ms"] >= 2_000.0


async def test_a_backlog_that_was_worked_off_is_forgotten_after_ten_seconds(delivery, monkeypatch):
    for now, event, expected in ((0, -600, 600_000), (9, 8.75, 600_000), (11, 10.75, 250), (30, None, None)):
        monkeypatch.setattr(time, "time", lambda now=now: NOW + now)
        if event is not None:
            await delivery.send_unit(unit_of(liquidation(0, at=NOW + event)), always)
        assert delivery.latency_ms(1.0) == expected


async def test_signals_are_counted_once_whatever_their_level(delivery, producer):
    await delivery.send_unit(unit_of(*BURST), always)
    report = delivery.statistics.report()
    assert report.signals_generated == len(producer.of(contract.SIGNALS))
    assert report.critical_signals == len(producer.of(contract.CRITICAL))


async def test_a_context_goes_to_every_partition_but_its_own_at_its_own_time(delivery, producer):
    await delivery.send_unit(unit_of(price(0), price(1, at=NOW + 1.2506)), always)
    contexts = producer.of(contract.CONTEXT)
    others = [partition for partition in range(PARTITIONS) if partition != HOME]
    assert [sending.partition for sending in contexts[-3:]] == others
    assert len(contexts) % len(others) == 0
    assert {sending.key for sending in contexts} == {SYMBOL.encode()}
    told = [(json.loads(sending.value)["timestamp"], sending.timestamp_ms) for sending in contexts[-3:]]
    assert told == [(NOW + 1.2506, round(NOW * 1_000) + 1_250)] * 3
    assert all(sending.timestamp_ms is None for sending in producer.sent if sending not in contexts)


async def test_a_context_of_one_partition_goes_nowhere(producer, clock):
    alone = Delivery(lambda: producer, Lease(10.0, clock), 1)
    records = [price(offset, at=NOW + offset, partition=0) for offset in range(2)]
    await alone.send_unit(unit_of(*records), always)
    assert producer.of(contract.CONTEXT) == []
    assert producer.sent != []


async def test_letters_are_sent_first_under_their_records_key(delivery, producer):
    await delivery.send_unit(unit_of(liquidation(0), record(contract.PRICES, b"{]", 3, key=b"\xff")), always)
    letter = producer.sent[0]
    assert (letter.topic, letter.key, letter.partition) == (contract.DEAD_LETTERS, b"/w==", HOME)
    assert json.loads(letter.value)["offset"] == 3


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (MessageSizeTooLargeError, "max.message.bytes"),
        (UnknownTopicOrPartitionError, "cascade topics check"),
        (TopicAuthorizationFailedError, "let the Kafka user write"),
        (InvalidTimestampError, "set this machine's clock"),
        (KafkaTimeoutError, "the broker's log"),
    ],
)
async def test_a_record_that_the_producer_cannot_take_is_told_of_with_its_topic(
    delivery, producer, monkeypatch, error, remedy
):
    async def send(*_, **__):
        await asyncio.sleep(0)
        raise error

    monkeypatch.setattr(producer, "send", send)
    with pytest.raises(NotConfirmedError, match=rf"^cascade\.signals: .*{remedy}"):
        await delivery.put(contract.SIGNALS, b"K", b"V", 3)


async def test_what_cannot_be_sent_without_the_lease_tells_of_the_lease(
    delivery, producer, clock, monkeypatch
):
    async def send(*_, **__):
        clock.now += 8.1  # it stood still while it waited for room
        raise KafkaError

    monkeypatch.setattr(producer, "send", send)
    with pytest.raises(LeaseLostError):
        await delivery.put(contract.SIGNALS, b"K", b"V", 3)


async def test_a_lost_lease_sends_nothing(delivery, producer, clock):
    unit = unit_of(liquidation(0))
    clock.now += 8.1
    with pytest.raises(LeaseLostError):
        await delivery.send_unit(unit, always)
    assert producer.sent == []
    assert delivery.statistics.report().signals_generated == 0


async def test_a_record_is_sent_where_it_is_told_and_confirmed_with_its_offset(delivery, producer):
    placed = [await delivery.put("changelog", b"BTCUSDT", codec.pack(number), 3) for number in range(2)]
    assert [each.offset for each in placed] == [0, 1]
    assert {sending.partition for sending in producer.sent} == {3}


async def test_nothing_more_is_sent_once_the_epoch_is_over(delivery, producer):
    current = [True, True, False]
    pending = await delivery.send_unit(unit_of(*BURST), lambda: current.pop(0))
    assert len(producer.sent) == len(pending) == 2


class Broker:
    """aiokafka's own accumulator behind a producer's `send`; what is drained of it is what a broker gets."""

    def __init__(self, batch_size=1_000):
        cluster = ClusterMetadata()
        cluster.leader_for_partition = lambda _: 0
        self._message_accumulator = MessageAccumulator(cluster, batch_size, 0, 30)

    async def send(self, topic, value, *, key, partition, timestamp_ms, headers=()):  # noqa: ARG002, PLR0913
        tp = TopicPartition(topic, partition)
        return await self._message_accumulator.add_message(tp, key, value, 30, timestamp_ms=timestamp_ms)

    def drain(self):
        batches, _ = self._message_accumulator.drain_by_nodes(ignore_nodes=[])
        return list(batches.get(0, {}).values())


def values(batch):
    records = MemoryRecords(bytes(batch.get_data_buffer())).next_batch()
    return [(record.key, record.value, record.timestamp) for record in records]


@pytest.fixture
async def broker():
    return Broker()


@pytest.fixture
def put(broker):
    found = Delivery(lambda: broker, Lease(10.0), PARTITIONS)

    async def put(value, topic="signals", **more):
        return (await found.put(topic, b"K", value, 2, **more)).confirmed

    return put


async def test_records_join_the_batch_that_is_being_filled_in_order(broker, put):
    futures = [await put(b"%d" % number, timestamp_ms=number) for number in range(1, 5)]
    [batch] = broker.drain()
    assert values(batch) == [(b"K", b"%d" % number, number) for number in range(1, 5)]
    assert not any(future.done() for future in futures)
    batch.done(base_offset=7)
    assert all(future.done() for future in futures)


@pytest.mark.parametrize(("base", "offsets"), [(7, [7, 8, 9]), (-1, [-1, -1, -1])])
async def test_each_record_of_a_batch_knows_where_it_lies(broker, base, offsets):
    delivery = Delivery(lambda: broker, Lease(10.0), PARTITIONS)
    placed = [await delivery.put("signals", b"K", b"%d" % number, 2) for number in range(3)]
    [batch] = broker.drain()
    batch.done(base_offset=base)
    assert [each.offset for each in placed] == offsets


async def test_a_record_after_a_drained_batch_begins_another(broker, put):
    await put(b"1")
    await put(b"2")
    [first] = broker.drain()
    later = await put(b"3")
    first.done(base_offset=0)
    assert not later.done()
    assert [value for batch in broker.drain() for _, value, _ in values(batch)] == [b"3"]


async def test_a_record_waits_for_room_when_the_batch_is_full(broker, put):
    await put(b"x" * 600)
    waiting = asyncio.ensure_future(put(b"y" * 600))
    await asyncio.sleep(0)
    assert not waiting.done()
    [first] = broker.drain()
    await waiting
    [second] = broker.drain()
    assert [[value[:1] for _, value, _ in values(batch)] for batch in (first, second)] == [[b"x"], [b"y"]]


async def test_whoever_joined_a_batch_that_fails_is_told(broker, put):
    futures = {await put(b"1"), await put(b"2"), await put(b"3")}
    assert len(futures) == 2  # of the record that began the batch, and of the batch
    [batch] = broker.drain()
    batch.failure(BrokerError("refused"))
    for future in futures:
        with pytest.raises(BrokerError):
            await future


async def test_a_failure_that_nobody_waits_for_any_more_is_not_logged_by_asyncio(broker, put):
    told = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    await put(b"1")
    await put(b"2")
    [batch] = broker.drain()
    batch.failure(BrokerError("refused"))
    del batch
    await asyncio.sleep(0)  # aiokafka lets go of it, too
    gc.collect()
    assert told == []


async def test_topics_have_batches_of_their_own(broker, put):
    await put(b"1")
    await put(b"2", topic="alerts")
    await put(b"3")
    assert [[value for _, value, _ in values(batch)] for batch in broker.drain()] == [[b"1", b"3"], [b"2"]]


async def test_what_is_not_confirmed_is_known_by_its_topics(broker):
    delivery = Delivery(lambda: broker, Lease(10.0), PARTITIONS)
    assert delivery.unconfirmed() == []
    await delivery.put("signals", b"K", b"1", 2)
    await delivery.put("signals", b"K", b"2", 0)
    await delivery.put("alerts", b"K", b"3", 2)
    batches = {(batch.tp.topic, batch.tp.partition): batch for batch in broker.drain()}
    await delivery.put("regime", b"K", b"4", 2)  # not on its way yet
    assert delivery.unconfirmed() == ["alerts", "regime", "signals"]
    batches["signals", 2].done(base_offset=0)
    batches["alerts", 2].done(base_offset=0)
    await asyncio.sleep(0)
    assert delivery.unconfirmed() == ["regime", "signals"]
