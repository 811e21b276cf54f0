"""Checkpoints of a worker without a broker: what is confirmed, written and acknowledged, and when."""

import asyncio
import json

import pytest
from aiokafka.errors import KafkaError
from faust.types import TP
from structlog.testing import capture_logs
from waiting import until
from worker_parts import (
    CHANGELOG,
    HOME,
    NOW,
    SYMBOL,
    Worker,
    idle,
    liquidation,
    price,
    record,
)

from pipeline import codec, contract
from pipeline.features.state import SHARED
from pipeline.features.states import read_head, read_snapshot
from pipeline.runtime import confirmation
from pipeline.runtime.confirmation import NotConfirmedError
from pipeline.runtime.lease import LeaseLostError
from pipeline.runtime.store import ORDER

CHANGELOGS = {CHANGELOG.format(table) for table in contract.TABLES}
SCORING = CHANGELOG.format("scoring")
VELOCITY = CHANGELOG.format("velocity")


@pytest.fixture
async def worker():
    async with Worker() as found:
        yield found


def written(worker):
    """Return the tables and keys written to changelogs so far, in order."""
    return [
        (sending.topic.split("-")[1], sending.key.decode())
        for sending in worker.producer.sent
        if sending.topic in CHANGELOGS
    ]


async def take_until_held(worker, topic):
    """Return a checkpoint of what was put, as far as records of a topic that wait to be confirmed."""
    worker.producer.held = {topic}
    taking = asyncio.create_task(worker.checkpoint.take())
    await worker.producer.until(topic)
    await idle()
    return taking


def signals(worker):
    """Return the signals that were sent by id, without what depends on the machine."""
    found = {}
    for sending in worker.producer.of(contract.SIGNALS):
        signal = json.loads(sending.value)
        del signal["meta"]["processing_time_ms"]
        found[signal["id"]] = signal
    return found


def silence(offset=0, at=NOW):
    value = {"exchange": "okx", "stream": "a", "from": at - 30, "to": None, "reason": "cut", "timestamp": at}
    return record(contract.FEED_STATUS, value, offset, key=b"okx", at=at)


def everything(offset=0, at=NOW):
    """Return records that touch every table, and the shared key of those that have one."""
    return [
        record(
            contract.CONTROL, {"setting": "weights", "version": offset + 1, "timestamp": at}, offset, at=at
        ),
        silence(offset, at=at),
        record(contract.FUNDING, {"symbol": SYMBOL, "rate": 0.0001, "timestamp": at}, offset, at=at),
        price(offset, at=at),
        liquidation(offset, at=at),
    ]


async def test_records_are_acknowledged_once_their_state_is_stored(worker):
    worker.put(*everything())
    await worker.checkpoint.take()
    topics = (
        contract.CONTROL,
        contract.FEED_STATUS,
        contract.FUNDING,
        contract.PRICES,
        contract.LIQUIDATIONS,
    )
    assert worker.acknowledged == {TP(topic, HOME): 1 for topic in topics}
    for table in contract.TABLES:
        assert SYMBOL in worker.stored(table) or table == "regime"
    assert {table for table, _ in written(worker)} == set(contract.TABLES)


async def test_a_state_that_is_forgotten_gets_a_tombstone_that_names_it(worker):
    worker.put(price(0, symbol="IDLEUSDT"))
    await worker.checkpoint.take()
    known = {table: worker.stored(table).get("IDLEUSDT") for table in contract.TABLES}
    orders = {table: read_head(snapshot).order for table, snapshot in known.items() if snapshot is not None}
    assert orders
    for offset in (1, 2):  # the first tells all stages how late it is
        worker.put(price(offset, at=NOW + 9 * 86_400))
        await worker.checkpoint.take()
    tombstones = [sending for sending in worker.producer.sent if sending.value is None]
    assert {sending.topic: dict(sending.headers) for sending in tombstones} == {
        CHANGELOG.format(table): {ORDER: codec.pack(order)} for table, order in orders.items()
    }
    assert {(sending.key, sending.partition) for sending in tombstones} == {(b"IDLEUSDT", HOME)}
    assert not any("IDLEUSDT" in worker.stored(table) for table in contract.TABLES)


async def test_what_is_stored_is_what_was_written(worker):
    worker.put(*everything())
    await worker.checkpoint.take()
    for sending in worker.producer.sent:
        if sending.topic in CHANGELOGS:
            table = sending.topic.split("-")[1]
            assert worker.stored(table, sending.partition)[sending.key.decode()] == sending.value
    assert worker.tables["velocity"].data.persisted_offset(TP(VELOCITY, HOME)) >= 0


async def test_nothing_is_written_or_acknowledged_before_the_signals_are_confirmed(worker):
    worker.put(liquidation(0))
    taking = await take_until_held(worker, contract.SIGNALS)
    assert (written(worker), worker.acknowledged, taking.done()) == ([], {}, False)
    worker.producer.release(contract.SIGNALS)
    await taking
    assert worker.acknowledged == {TP(contract.LIQUIDATIONS, HOME): 1}


async def test_tables_are_written_downstream_first_and_shared_keys_after_symbols(worker):
    worker.put(*everything())
    await worker.checkpoint.take()
    order = written(worker)
    tables = [table for table, _ in order]
    assert tables == sorted(tables, key=list(reversed(contract.TABLES)).index)
    for table in contract.TABLES:
        keys = [key for name, key in order if name == table]
        assert keys == sorted(keys, key=lambda key: key == SHARED)
    assert ("scoring", SHARED) in order
    assert order.index(("scoring", SHARED)) < order.index(("velocity", SYMBOL))


@pytest.mark.parametrize("table", contract.TABLES)
async def test_a_table_waits_until_those_downstream_of_it_are_confirmed(worker, table):
    changelog = CHANGELOG.format(table)
    worker.put(*everything())
    taking = await take_until_held(worker, changelog)
    upstream = contract.TABLES[: contract.TABLES.index(table)]
    assert not {name for name, _ in written(worker)} & set(upstream)
    assert (worker.acknowledged, taking.done()) == ({}, False)
    worker.producer.release(changelog)
    await taking
    assert {name for name, _ in written(worker)} == set(contract.TABLES)
    assert worker.acknowledged != {}


async def test_a_shared_key_waits_until_the_symbols_of_its_table_are_confirmed(worker):
    worker.put(*everything())
    taking = await take_until_held(worker, SCORING)
    assert [key for table, key in written(worker) if table == "scoring"] == [SYMBOL]
    worker.producer.release(SCORING)
    await taking
    assert [key for table, key in written(worker) if table == "scoring"] == [SYMBOL, SHARED]


@pytest.mark.parametrize("failing", [contract.SIGNALS, contract.VELOCITY, *sorted(CHANGELOGS)])
async def test_a_failed_confirmation_acknowledges_nothing(worker, failing):
    worker.producer.failing = {failing}
    worker.put(*everything())
    with pytest.raises(NotConfirmedError, match=f"^{failing}: the broker did not take"):
        await worker.checkpoint.take()
    assert worker.acknowledged == {}
    assert worker.intake.records == len(everything())
    for sending in worker.producer.sent:  # whatever else failed at the same time was not awaited any more
        if sending.confirmed.done():
            sending.confirmed.exception()


async def test_after_a_failed_checkpoint_no_later_one_acknowledges_past_it(worker):
    worker.producer.failing = {contract.SIGNALS}
    worker.put(liquidation(0))
    with pytest.raises(NotConfirmedError):
        await worker.checkpoint.take()
    worker.producer.failing = set()
    worker.put(liquidation(1))
    await worker.checkpoint.take()
    assert worker.acknowledged == {}
    assert written(worker) == []


async def test_what_was_sent_while_a_checkpoint_failed_is_not_acknowledged_by_the_next(worker):
    """Its states are dropped with the others: a hand-over that waits for its turn has nothing to store."""
    worker.producer.held = {SCORING}
    worker.put(liquidation(0))
    taking = asyncio.create_task(worker.checkpoint.take())
    await worker.producer.until(SCORING)
    worker.put(liquidation(1, at=NOW + 11))
    await worker.producer.until(contract.SIGNALS, 2)
    await idle()
    handing_over = asyncio.create_task(worker.checkpoint.take())
    await idle()
    [sending] = worker.producer.of(SCORING)
    sending.confirmed.set_exception(KafkaError())
    with pytest.raises(NotConfirmedError):
        await taking
    await handing_over
    assert worker.acknowledged == {}


async def test_a_failed_signal_leaves_the_state_unwritten(worker):
    worker.producer.failing = {contract.SIGNALS}
    worker.put(liquidation(0))
    with pytest.raises(NotConfirmedError):
        await worker.checkpoint.take()
    assert written(worker) == []


async def test_the_budget_is_given_back(worker):
    unit = worker.put(*everything())
    assert (worker.intake.records, worker.intake.size) == (len(everything()), unit.size)
    await worker.checkpoint.take()
    assert (worker.intake.records, worker.intake.size) == (0, 0)


async def test_a_checkpoint_covers_what_came_before_it_alone(worker):
    worker.put(liquidation(0))
    taking = asyncio.create_task(worker.checkpoint.take())
    await asyncio.sleep(0)  # the barrier is on its way
    later = worker.put(liquidation(1))
    await taking
    assert worker.acknowledged == {TP(contract.LIQUIDATIONS, HOME): 1}
    assert worker.intake.records == later.records
    for table in ("velocity", "scoring"):
        assert read_snapshot(worker.stored(table)[SYMBOL]).applied[contract.LIQUIDATIONS][0] == 0
    await worker.checkpoint.take()
    assert worker.acknowledged == {TP(contract.LIQUIDATIONS, HOME): 2}
    assert worker.intake.records == 0
    for table in ("velocity", "scoring"):
        assert read_snapshot(worker.stored(table)[SYMBOL]).applied[contract.LIQUIDATIONS][0] == 1


async def test_a_key_is_written_once_however_many_batches_touched_it(worker):
    for offset in range(20):
        worker.put(liquidation(offset))
    await worker.checkpoint.take()
    assert written(worker) == [("scoring", SYMBOL), ("velocity", SYMBOL)]
    assert worker.acknowledged == {TP(contract.LIQUIDATIONS, HOME): 20}


async def test_a_checkpoint_of_nothing_acknowledges_nothing(worker):
    await worker.checkpoint.take()
    assert (worker.producer.sent, worker.acknowledged) == ([], {})


async def test_checkpoints_are_taken_one_after_the_other(worker):
    worker.producer.held = {SCORING}
    worker.put(liquidation(0))
    first = asyncio.create_task(worker.checkpoint.take())
    await worker.producer.until(SCORING)
    worker.put(liquidation(1))
    second = asyncio.create_task(worker.checkpoint.take())
    await idle()
    assert len(worker.producer.of(SCORING)) == 1
    worker.producer.release(SCORING)
    await asyncio.gather(first, second)
    assert worker.acknowledged == {TP(contract.LIQUIDATIONS, HOME): 2}
    offsets = [
        read_snapshot(sending.value).applied[contract.LIQUIDATIONS][0]
        for sending in worker.producer.of(SCORING)
    ]
    assert offsets == [0, 1]


async def test_a_delivered_unit_makes_a_checkpoint_due(worker):
    running = asyncio.create_task(worker.checkpoint.run())
    await idle()
    assert worker.producer.sent == []
    worker.put(liquidation(0))
    await worker.producer.until(VELOCITY)
    await idle()
    assert worker.acknowledged == {TP(contract.LIQUIDATIONS, HOME): 1}
    worker.put(liquidation(1))
    await worker.producer.until(VELOCITY, 2)
    await idle()
    assert worker.acknowledged == {TP(contract.LIQUIDATIONS, HOME): 2}
    taken = worker.channels[0].count
    await idle()
    assert worker.channels[0].count == taken  # nothing new: no more checkpoints
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_spent_budget_does_not_wait_for_the_interval(worker):
    """Nothing more is read before the checkpoint gives it back."""
    worker.checkpoint._interval = 3_600.0
    running = asyncio.create_task(worker.checkpoint.run())
    worker.put(liquidation(0))
    await idle()
    assert worker.acknowledged == {TP(contract.LIQUIDATIONS, HOME): 1}, "after a quiet time it waits for none"
    worker.put(liquidation(1))
    await idle()
    assert worker.acknowledged == {TP(contract.LIQUIDATIONS, HOME): 1}
    worker.put(*(liquidation(2 + number) for number in range(999)))
    await until(lambda: worker.acknowledged == {TP(contract.LIQUIDATIONS, HOME): 1_001})
    running.cancel()


async def test_an_epoch_that_ends_while_signals_are_confirmed_writes_and_acknowledges_nothing(worker):
    worker.put(liquidation(0))
    taking = await take_until_held(worker, contract.SIGNALS)
    worker.flow.begin()
    worker.producer.release(contract.SIGNALS)
    await taking
    assert (written(worker), worker.acknowledged) == ([], {})


async def test_a_checkpoint_that_was_given_up_is_not_counted_and_nothing_waits_since_it_began(worker):
    worker.put(liquidation(0))
    taking = await take_until_held(worker, contract.SIGNALS)
    worker.flow.begin()
    worker.checkpoint.forget()
    worker.put(price(0))
    await idle()
    waiting_since = worker.checkpoint.waiting_since
    worker.producer.release(contract.SIGNALS)
    await taking
    assert sum(worker.checkpoint.seconds.counts) == 0
    assert worker.checkpoint.waiting_since == waiting_since


@pytest.mark.parametrize("table", ["scoring", "velocity"])
async def test_an_epoch_that_ends_while_state_is_confirmed_stores_and_acknowledges_nothing(worker, table):
    changelog = CHANGELOG.format(table)
    worker.put(liquidation(0))
    taking = await take_until_held(worker, changelog)
    worker.flow.begin()
    # The partition went to another worker meanwhile: what is known of it must not seem to be complete.
    await worker.tables[table].data.on_rebalance(set(), {TP(changelog, HOME)}, set())
    worker.producer.release(changelog)
    await taking
    assert worker.acknowledged == {}
    assert worker.stored(table) == {}
    assert worker.tables[table].data.persisted_offset(TP(changelog, HOME)) is None


async def test_an_epoch_that_ends_before_a_shared_key_is_written_leaves_it_unwritten(worker):
    worker.put(*everything())
    taking = await take_until_held(worker, SCORING)
    worker.flow.begin()
    worker.producer.release(SCORING)
    await taking
    assert written(worker) == [("scoring", SYMBOL)]


async def test_an_epoch_that_ends_with_a_barrier_on_its_way_ends_its_checkpoint(worker):
    worker.put(liquidation(0))
    taking = asyncio.create_task(worker.checkpoint.take())
    await asyncio.sleep(0)
    worker.flow.begin()
    await taking
    await idle()
    assert (worker.producer.sent, worker.acknowledged) == ([], {})


async def test_what_was_sent_in_an_ended_epoch_is_not_acknowledged_in_the_next(worker):
    worker.put(liquidation(0))
    await worker.producer.until(contract.SIGNALS)
    await idle()
    worker.flow.end()
    worker.checkpoint.forget()
    worker.flow.begin()
    worker.put(price(0))
    await worker.checkpoint.take()
    assert worker.acknowledged == {TP(contract.PRICES, HOME): 1}


async def test_a_unit_whose_epoch_ends_while_it_is_sent_is_not_acknowledged_in_the_next(worker):
    worker.producer.room.clear()
    worker.put(liquidation(0))
    await idle()
    worker.flow.begin()
    worker.producer.room.set()
    await idle()
    worker.put(price(0))
    await worker.checkpoint.take()
    assert worker.acknowledged == {TP(contract.PRICES, HOME): 1}


async def test_a_lost_lease_sends_nothing(worker):
    worker.clock.now += 8.1
    worker.put(liquidation(0))
    await idle()
    assert worker.producer.sent == []
    with pytest.raises(LeaseLostError):
        worker.agents[-1].result()


async def test_a_lease_lost_while_signals_are_confirmed_writes_and_acknowledges_nothing(worker):
    worker.put(liquidation(0))
    taking = await take_until_held(worker, contract.SIGNALS)
    worker.clock.now += 8.1
    worker.producer.release(contract.SIGNALS)
    with pytest.raises(LeaseLostError):
        await taking
    assert (written(worker), worker.acknowledged) == ([], {})


async def test_a_lease_lost_between_two_tables_writes_no_more_of_them(worker):
    worker.put(liquidation(0))
    taking = await take_until_held(worker, SCORING)
    worker.clock.now += 8.1
    worker.producer.release(SCORING)
    with pytest.raises(LeaseLostError):
        await taking
    assert ({table for table, _ in written(worker)}, worker.acknowledged) == ({"scoring"}, {})


async def test_another_worker_goes_on_from_what_was_stored(worker):
    records = [liquidation(offset, at=NOW + 11 * offset) for offset in range(20)]
    records.insert(5, silence(at=NOW + 50))
    async with Worker() as whole:
        whole.put(*records)
        await whole.checkpoint.take()
    worker.put(*records[:11])
    await worker.checkpoint.take()
    worker.put(*records[11:16])  # sent, and neither stored nor acknowledged
    await idle()
    async with Worker() as other:
        for table in contract.TABLES:
            other.stored(table).update(worker.stored(table))
        other.put(*records[9:])  # two more than have to be repeated
        await other.checkpoint.take()
        first, second, expected = signals(worker), signals(other), signals(whole)
        assert first | second == second | first == expected
        assert first.keys() & second.keys()
        assert ["feeds" in signal["context"] for signal in expected.values()] == [False] * 5 + [True] * 15
        for table in contract.TABLES:
            assert other.stored(table) == whole.stored(table)


@pytest.mark.parametrize("topic", [contract.SIGNALS, SCORING])
async def test_a_broker_that_does_not_confirm_is_told_of_and_waited_for(worker, monkeypatch, topic):
    monkeypatch.setattr(confirmation, "_SLOW", 0.01)
    worker.producer.held = {topic}
    worker.put(liquidation(0))
    with capture_logs() as logs:
        taking = asyncio.create_task(worker.checkpoint.take())
        while len(logs) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        worker.producer.release(topic)
        await taking
    assert {(entry["event"].partition(":")[0], *entry["topics"]) for entry in logs} == {
        ("the broker does not confirm what was sent", topic)
    }
    assert worker.acknowledged


@pytest.mark.parametrize("topic", [contract.SIGNALS, SCORING])
async def test_who_stops_waiting_for_a_confirmation_does_not_cancel_it(worker, topic):
    worker.put(liquidation(0))
    taking = await take_until_held(worker, topic)
    taking.cancel()
    await asyncio.wait({taking})
    [sending] = worker.producer.of(topic)
    assert not sending.confirmed.cancelled()


async def take_without_room(worker):
    """Begin a checkpoint of nine symbols that waits for room; return it and how much was sent before."""
    worker.put(*[liquidation(0, at=NOW + number, symbol=f"S{number}USDT") for number in range(9)])
    await idle()
    before = len(worker.producer.sent)
    worker.producer.room.clear()
    taking = asyncio.create_task(worker.checkpoint.take())
    await idle()
    return taking, before


async def test_an_epoch_that_ends_while_snapshots_wait_for_room_stores_nothing_more(worker):
    taking, before = await take_without_room(worker)
    worker.flow.end()
    worker.flow.begin()
    worker.producer.room.set()
    await taking
    assert len(worker.producer.sent[before:]) <= 1  # one was on its way


async def test_a_lease_that_ends_while_snapshots_wait_for_room_stores_nothing_more(worker):
    taking, before = await take_without_room(worker)
    worker.clock.now += 60
    worker.producer.room.set()
    with pytest.raises(LeaseLostError):
        await taking
    assert len(worker.producer.sent[before:]) <= 1


async def test_a_barrier_whose_checkpoint_was_given_up_stops_nobody(worker):
    taking = asyncio.create_task(worker.checkpoint.take())
    await asyncio.sleep(0)
    barrier = next(iter(worker.flow._barriers))
    taking.cancel()
    await worker.checkpoint.deliver(barrier)
    await asyncio.wait({taking})


async def test_a_confirmation_that_fails_without_the_lease_tells_of_the_lease(worker):
    worker.producer.failing = {contract.SIGNALS}
    worker.put(liquidation(0))
    await idle()
    worker.lease.give_up("too slow")
    with pytest.raises(LeaseLostError, match="too slow"):
        await worker.checkpoint.take()
