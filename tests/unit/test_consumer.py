"""The consumer over a partition of aiokafka's: what is fetched around a rebalance."""

import asyncio
import math
from types import SimpleNamespace

import pytest
from aiokafka.errors import IllegalStateError
from faust.types import TP
from waiting import until
from worker_parts import HOME, KEY, PARTITIONS, liquidation

from pipeline import contract
from pipeline.runtime import transport
from pipeline.runtime.intake import Intake
from pipeline.runtime.transport import Consumer, _NoBooks

PLACE = TP(contract.LIQUIDATIONS, HOME)
CHANGELOG = TP("app-velocity-changelog", HOME)


class Partition:
    """aiokafka's consumer, as far as it matters: one partition, with a position that a fetch moves on."""

    def __init__(self, committed=None):
        self.committed = committed
        self.position = committed or 0
        self.log = []
        self.taken_away = self.gone = False
        self.answers = asyncio.Event()
        self.answers.set()
        self.paused = set()
        self.asked = 0
        self._arrived = asyncio.Event()

    def arrive(self, *records):
        self.log += records
        self._arrived.set()

    async def getmany(self, _active, timeout):  # noqa: ASYNC109 - as aiokafka's
        if self.position >= len(self.log):
            self._arrived.clear()
            try:
                await asyncio.wait_for(self._arrived.wait(), timeout)
            except TimeoutError:
                return {}
        found, self.position = self.log[self.position :], len(self.log)
        return {PLACE: found}

    def assignment(self):
        return {PLACE, CHANGELOG}

    def pause(self, tps):
        self.paused |= set(tps)

    async def seek_to_committed(self):
        if self.committed:  # aiokafka goes nowhere without a commit
            self.position = self.committed
        return {PLACE: self.committed}

    async def commit(self, offsets):
        await self.answers.wait()
        if not self.taken_away:
            self.committed = offsets[PLACE]
        return not self.taken_away

    async def seek_to_beginning(self, *tps):
        assert tps == (PLACE,)
        if self.taken_away:
            raise IllegalStateError
        self.position = 0

    def caught_up(self, _):
        return self.position >= len(self.log)

    async def missing(self, topics):
        self.asked += 1
        return sorted(topics) if self.gone else []

    def place(self, _):
        return self.position, max(self.position, len(self.log))

    def heard(self):
        return math.inf

    def answered(self, _):
        return math.inf


async def nothing_anew():
    return False


def crash_of(app):
    async def crash(error):
        app.crashes.append(error)

    return crash


def consumer_of(partition):
    consumer = object.__new__(Consumer)
    intake = Intake(
        reference=KEY,
        partitions=PARTITIONS,
        budget_records=9,
        budget_bytes=9_999,
        settle=dict.fromkeys(contract.INPUTS, 0.0),
    )
    intake.consumer = consumer
    consumer.app = SimpleNamespace(
        intake=intake,
        tables=SimpleNamespace(changelog_topics={CHANGELOG.topic}),
        read_anew=nothing_anew,
        settings=SimpleNamespace(session_timeout=10.0),
        crashes=[],
    )
    consumer.app.crash = crash_of(consumer.app)
    consumer._thread, consumer._read_offset, consumer._committed_offset = partition, _NoBooks(), {}
    consumer._fetching, consumer._fetched, consumer._confirmed = asyncio.Lock(), {}, {}
    consumer.can_resume_flow, consumer.suspend_flow = asyncio.Event(), asyncio.Event()
    consumer._sought = True
    consumer.resume_flow()
    return consumer


def revoke(consumer):
    consumer.stop_flow()
    consumer._sought = consumer._placed = False


@pytest.mark.parametrize("committed", [None, 0, 2])
async def test_what_a_fetch_that_outlives_a_rebalance_brings_is_fetched_again(committed):
    partition = Partition(committed)
    partition.log = [liquidation(offset) for offset in range(committed or 0)]
    consumer = consumer_of(partition)
    fetching = asyncio.create_task(consumer._getmany({PLACE}, 1.0))
    await asyncio.sleep(0)
    revoke(consumer)
    consumer._intake.clear()
    partition.arrive(liquidation(committed or 0))
    assert await fetching == {}
    consumer.resume_flow()
    await consumer.perform_seek()
    consumer.resume_flow()
    found = await consumer._getmany({PLACE}, 0.1)
    assert [record.offset for batch in found[PLACE] for record in batch.value] == [committed or 0]


async def test_changelogs_are_not_fetched_once_their_snapshots_were_read():
    partition = Partition()
    consumer = consumer_of(partition)
    assert partition.paused == {CHANGELOG}
    revoke(consumer)
    partition.paused.clear()  # as aiokafka's assignments begin
    consumer.resume_flow()  # for the recovery
    assert not partition.paused


async def test_nothing_is_sought_while_a_fetch_is_under_way():
    partition = Partition(committed=1)
    partition.log = [liquidation(0)]
    consumer = consumer_of(partition)
    fetching = asyncio.create_task(consumer._getmany({PLACE}, 1.0))
    await asyncio.sleep(0)
    seeking = asyncio.create_task(consumer.perform_seek())
    revoke(consumer)
    await asyncio.sleep(0)
    partition.arrive(liquidation(1))
    assert await fetching == {}
    await seeking
    assert partition.position == 1


async def test_a_partition_that_is_taken_away_during_the_seek_stops_nobody():
    partition = Partition()
    partition.taken_away = True
    await consumer_of(partition).perform_seek()
    assert partition.position == 0


@pytest.mark.parametrize("committed", [None, 0, 2])
async def test_what_is_committed_is_known_from_the_assignment_on(committed):
    consumer = consumer_of(Partition(committed))
    assert consumer.committed(PLACE) == 0
    await consumer.perform_seek()
    assert consumer.committed(PLACE) == (committed or 0)


async def test_where_to_read_anew_is_sought_before_anything_is_fetched():
    partition = Partition(committed=5)
    consumer = consumer_of(partition)

    async def read_anew():
        await consumer.commit_now({PLACE: 0})
        return True

    consumer.app.read_anew = read_anew
    await consumer.perform_seek()
    assert (partition.position, consumer.committed(PLACE)) == (0, 0)


async def test_nothing_is_handed_out_between_the_seek_and_the_emptying_of_queues_that_follows_it():
    partition = Partition(committed=2)
    partition.log = [liquidation(offset) for offset in range(3)]
    consumer = consumer_of(partition)
    revoke(consumer)
    consumer.resume_flow()  # for the changelogs
    await consumer.perform_seek()
    consumer._intake.look_again()
    assert await consumer._getmany({PLACE}, 0.1) == {}
    consumer.resume_flow()  # right after Faust has emptied its queues
    found = await consumer._getmany({PLACE}, 0.1)
    assert [record.offset for batch in found[PLACE] for record in batch.value] == [2]


async def test_a_seek_of_the_fetcher_during_a_rebalance_is_not_the_end_of_a_recovery():
    partition = Partition(committed=2)
    partition.log = [liquidation(offset) for offset in range(3)]
    consumer = consumer_of(partition)
    revoke(consumer)
    seeking = asyncio.create_task(consumer.perform_seek())
    await asyncio.sleep(0)
    consumer.resume_flow()  # for the changelogs
    await seeking
    consumer.resume_flow()
    assert await consumer._getmany({PLACE}, 0.1) == {}


async def test_nothing_goes_on_before_such_a_commit_is_confirmed(monkeypatch):
    monkeypatch.setattr(transport, "_AGAIN", 0.0)
    partition = Partition(committed=5)
    consumer = consumer_of(partition)
    partition.taken_away = True
    committing = asyncio.create_task(consumer.commit_now({PLACE: 0}))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not committing.done()
    partition.taken_away = False
    await committing
    assert partition.committed == 0


async def test_what_was_refused_is_not_taken_for_committed():
    partition = Partition()
    consumer = consumer_of(partition)
    assert await consumer._commit({PLACE: 5})
    partition.taken_away = True
    assert not await consumer._commit({PLACE: 9})
    assert consumer.committed(PLACE) == 5


async def test_a_commit_that_the_broker_never_takes_ends_the_worker_and_names_the_topic():
    """aiokafka tries again for ever where a topic is gone."""
    partition = Partition()
    partition.gone = True
    partition.answers.clear()
    consumer = consumer_of(partition)
    consumer.app.settings.session_timeout = 0.01
    assert not await consumer._commit({PLACE: 5})
    [error] = consumer.app.crashes
    assert str(error).startswith(f"{PLACE.topic}: the broker takes no commits")
    assert "`cascade topics check`" in str(error)


async def test_a_commit_that_takes_its_time_is_waited_for_while_no_topic_is_gone():
    partition = Partition()
    partition.answers.clear()
    consumer = consumer_of(partition)
    consumer.app.settings.session_timeout = 0.01
    committing = asyncio.create_task(consumer._commit({PLACE: 5}))
    await until(lambda: partition.asked > 1)
    partition.answers.set()
    assert await committing
    assert (consumer.app.crashes, consumer.committed(PLACE)) == ([], 5)


async def test_a_commit_of_before_an_assignment_that_is_confirmed_late_is_not_where_that_one_began():
    """Between the seek and the first record: what was sought would seem to be of a topic made anew."""
    partition = Partition(committed=2)
    partition.answers.clear()
    consumer = consumer_of(partition)
    committing = asyncio.create_task(consumer._commit({PLACE: 5}))
    await asyncio.sleep(0)
    await consumer.perform_seek()
    partition.answers.set()
    assert await committing
    assert (partition.position, consumer.committed(PLACE)) == (2, 2)


async def test_a_commit_that_was_refused_late_does_not_keep_the_same_offset_from_being_committed():
    consumer = consumer_of(Partition(committed=2))
    await consumer.perform_seek()
    consumer._acknowledged, consumer.covered = {}, {}
    consumer._committed_offset[PLACE] = 5  # as Faust notes what it tried before the rebalance
    consumer.acknowledge({PLACE: 5})
    assert consumer._filter_committable_offsets([PLACE]) == {PLACE: 5}
    consumer.acknowledge({PLACE: 2})  # where the group is already
    assert consumer._filter_committable_offsets([PLACE]) == {}


async def test_what_no_checkpoint_covers_yet_is_behind():
    partition = Partition(committed=5)
    consumer = consumer_of(partition)
    consumer._acknowledged, consumer.covered = {}, {}
    await consumer.perform_seek()
    consumer.resume_flow()
    partition.log = [liquidation(offset) for offset in range(9)]
    assert consumer.lag(PLACE) == 4
    await consumer._getmany({PLACE}, 0.1)
    assert consumer.lag(PLACE) == 4
    consumer.acknowledge({PLACE: 9})
    assert consumer.lag(PLACE) == 0


async def test_offsets_of_which_nothing_is_left_are_not_behind():
    """Retention took what was not read yet, or a transaction's end lies there: no record is ever to come."""
    partition = Partition(committed=5)
    consumer = consumer_of(partition)
    consumer._acknowledged, consumer.covered = {}, {}
    await consumer.perform_seek()
    partition.position = 9  # aiokafka goes on where the broker's records begin
    assert consumer.lag(PLACE) == 0
