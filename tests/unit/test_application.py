import asyncio
import logging
import time
from contextlib import nullcontext
from types import SimpleNamespace

import faust
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from faust.types import TP

from pipeline import contract
from pipeline.app import create_app
from pipeline.runtime import application
from pipeline.runtime.lease import LeaseLostError
from pipeline.runtime.membership import MembershipError
from pipeline.runtime.store import ChangelogLostError
from pipeline.settings import Settings


@pytest.fixture
async def app(monkeypatch):
    found = create_app(Settings(redis_enabled=False))
    found.crashes = []

    async def crash(reason):
        found.crashes.append(reason)

    monkeypatch.setattr(found, "crash", crash)
    return found


@pytest.fixture
async def accumulator(app):
    """Return what an app's producer, which was not started, keeps for a broker."""
    app.producer._producer = AIOKafkaProducer()
    return app.producer._producer._message_accumulator


async def test_a_producer_that_cannot_send_in_time_sends_nothing_more_and_stops_the_worker(
    app, accumulator, monkeypatch
):
    monkeypatch.setattr(application, "_FLUSH_SHARE", 0.001)
    for topic in (contract.SIGNALS, contract.ALERTS):
        await accumulator.add_message(TopicPartition(topic, 0), b"K", b"V", 30)
    await asyncio.wait_for(app._producer_flush(logging.getLogger()), 10)
    [reason] = app.crashes
    assert isinstance(reason, LeaseLostError)
    told = r"^cascade\.alerts, cascade\.signals: the broker did not confirm in time .* `cascade topics check`"
    with pytest.raises(LeaseLostError, match=told):
        app.lease.check()
    await app._producer_flush(logging.getLogger())  # of the stop that follows
    assert app.crashes == [reason]


async def test_a_producer_that_sends_in_time_keeps_the_lease(app, accumulator):
    await accumulator.add_message(TopicPartition(contract.SIGNALS, 0), b"K", b"V", 30)
    [batch] = accumulator._batches[TopicPartition(contract.SIGNALS, 0)]
    asyncio.get_running_loop().call_soon(batch.done, 0)
    await app._producer_flush(logging.getLogger())
    assert app.crashes == []
    app.lease.check()


async def test_a_worker_that_polls_nothing_for_long_stays_a_member(app):
    assert app.conf.broker_max_poll_interval >= 86_400


async def test_a_topic_behind_whose_records_no_batch_has_ended_yet_is_not_said_to_hang(app, caplog):
    """A batch lies where the last of its topics' records lies; Faust looks for batches of each topic."""
    place, client, thread = TopicPartition(contract.LIQUIDATIONS, 0), AIOKafkaConsumer(), app.consumer._thread
    client.assign([place])
    client._fetcher = SimpleNamespace(_subscriptions=client._subscription)
    state = client._subscription.subscription.assignment.state_value(place)
    state.seek(1)
    state.highwater, state.timestamp = 2, time.time() * 1_000
    app.topics._acking_topics.add(contract.LIQUIDATIONS)
    thread._consumer = client
    thread.time_started = time.monotonic() - 3_600
    await app.consumer.verify_all_partitions_active()
    assert caplog.messages == []


async def test_a_rebalance_that_comes_while_the_worker_stops_closes_nothing_under_a_seek(app, monkeypatch):
    closed = []
    monkeypatch.setattr(app.consumer, "close", lambda: closed.append(True))
    app._stopped.set()
    await faust.App._on_partitions_revoked(app, set())
    await faust.App._on_partitions_assigned(app, set())
    assert closed == []


@pytest.mark.parametrize(("end", "refused"), [(0, True), (3, False), (None, True)])
async def test_a_changelog_without_states_is_lost_only_if_nothing_was_ever_written_to_it(
    app, monkeypatch, end, refused
):
    """Or if it is not there: then the group shares out none of it, and no broker tells of its end."""
    changelog = TP("cascade-velocity-changelog", 2)

    async def highwaters(*tps):
        assert end is not None
        return dict.fromkeys(tps, end)

    monkeypatch.setattr(app.flow, "lost_tables", lambda: [("velocity", 2)])
    monkeypatch.setattr(app.consumer, "highwaters", highwaters)
    monkeypatch.setattr(app.consumer, "assignment", lambda: set() if end is None else {changelog})
    app.flow.begin()
    expected = pytest.raises(ChangelogLostError, match="it ends at offset 0, and other tables tell of more")
    with expected if refused else nullcontext():
        assert not await app.read_anew()


async def test_of_several_failures_the_first_is_told_as_the_others_follow_from_it():
    found = create_app(Settings(redis_enabled=False))
    first = MembershipError("set another PIPELINE_APP_ID")
    await found.crash(first)
    await found.consumer.crash(KafkaError("whoever waited for the group is told, too"))
    assert found.crash_reason is first


@pytest.fixture
def remade(app, monkeypatch):
    """Return a topic that was made anew, and what is committed of it until all that is known is stored."""
    place = TP(contract.PRICES, 0)
    app.commits = []

    async def commit_now(offsets):
        app.commits.append(dict(offsets))

    monkeypatch.setattr(app.flow, "lost_tables", list)
    monkeypatch.setattr(app.flow, "made_anew", lambda: {place: 7})
    monkeypatch.setattr(app.consumer, "assignment", set)
    monkeypatch.setattr(app.consumer, "commit_now", commit_now)
    app.flow.begin()
    return place


@pytest.mark.parametrize("next_one_begins", [False, True])
async def test_an_epoch_that_ends_before_all_read_a_topic_anew_leaves_the_commit_that_tells_of_it(
    app, remade, monkeypatch, next_one_begins
):
    async def give_up():
        app.flow.end()
        if next_one_begins:
            app.flow.begin()

    monkeypatch.setattr(app.checkpoint, "take", give_up)
    assert not await app.read_anew()
    assert app.commits == [{remade: 7}]


async def test_once_all_read_a_topic_anew_the_commit_tells_of_its_beginning(app, remade, monkeypatch):
    async def take():
        assert app.commits == [{remade: 7}]

    monkeypatch.setattr(app.checkpoint, "take", take)
    assert await app.read_anew()
    assert app.commits == [{remade: 7}, {remade: 0}]


@pytest.mark.usefixtures("remade")
async def test_a_commit_that_tells_of_it_is_not_tried_beyond_the_epoch(app, monkeypatch):
    async def never(_offsets):
        await asyncio.Event().wait()

    async def take():
        pytest.fail("nothing of an ended epoch is stored")

    monkeypatch.setattr(app.consumer, "commit_now", never)
    monkeypatch.setattr(app.checkpoint, "take", take)
    reading = asyncio.create_task(app.read_anew())
    await asyncio.sleep(0)
    app.flow.end()
    app.flow.begin()
    assert not await asyncio.wait_for(reading, 10)


@pytest.fixture
async def stuck(app, monkeypatch):
    """A commit that the broker does not take, and that is waited for; no other is to be begun."""
    begun = []

    async def hang(*_args, **_options):
        if begun:
            pytest.fail("another commit was begun")
        begun.append(True)
        await asyncio.Event().wait()

    monkeypatch.setattr(app.consumer, "force_commit", hang)
    under_way = asyncio.create_task(app.consumer.commit())
    await asyncio.sleep(0)
    app.consumer.acknowledge({TP(contract.PRICES, 0): 7})
    yield
    assert not under_way.done()
    under_way.cancel()


@pytest.mark.usefixtures("stuck")
async def test_who_gives_up_waiting_for_a_commit_that_is_under_way_begins_no_other(app):
    """Faust (0.15) takes it for the end of that commit: a hand-over would last as long as the next one."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await app.consumer.commit_all()


@pytest.mark.usefixtures("stuck")
async def test_a_stop_waits_for_no_commit_that_the_broker_does_not_take(app):
    """The hand-over before it did, as long as it could."""
    await asyncio.wait_for(app.consumer.on_stop(), 10)


@pytest.mark.usefixtures("stuck")
async def test_a_worker_fails_with_its_agent_though_the_broker_takes_no_commit(app):
    await asyncio.wait_for(app.consumer.on_task_error(LeaseLostError("lost")), 10)


async def test_a_stop_that_comes_during_a_hand_over_waits_for_its_end(app, monkeypatch):
    """Else the checkpoint that is under way would be cut short, and its records repeated."""
    happened, taken = [], asyncio.Event()

    async def take():
        await taken.wait()
        happened.append("checkpoint")

    async def commit_all():
        happened.append("commit")

    async def stop_the_rest(_app):
        happened.append("stop")

    monkeypatch.setattr(app.checkpoint, "take", take)
    monkeypatch.setattr(app.consumer, "commit_all", commit_all)
    monkeypatch.setattr(faust.App, "on_stop", stop_the_rest)
    app.flow.begin()
    handing_over = asyncio.create_task(app.hand_over())
    await asyncio.sleep(0)
    stopping = asyncio.create_task(app.on_stop())
    await asyncio.sleep(0)
    taken.set()
    await asyncio.gather(handing_over, stopping)
    assert happened == ["checkpoint", "commit", "stop"]


async def test_a_worker_that_has_not_begun_stops_at_once(app):
    await asyncio.wait_for(app.on_stop(), 10)
