import asyncio
import math
from types import SimpleNamespace

import pytest
from aiokafka.structs import ConsumerRecord
from faust.types import TP

from pipeline import contract
from pipeline.runtime import intake as module
from pipeline.runtime.intake import LARGEST_BATCH, LONGEST_QUEUE, Intake
from pipeline.runtime.merge import LARGEST_QUEUE

OLD_MS = 1_760_000_000_000
REFERENCE = b"BTCUSDT"
CHANGELOG = TP("app-velocity-changelog", 0)
INPUTS = {TP(topic, 0) for topic in contract.INPUTS}
PROJECTED = {TP(topic, 0) for topic in contract.PROJECTED}


class Consumer:
    """Tells which partitions are caught up: all but those that lag."""

    def __init__(self):
        self.lagging = set()
        self.heard_at = math.inf
        self.answered_at = {}

    def heard(self):
        return self.heard_at

    def caught_up(self, tp):
        return tp not in self.lagging

    def answered(self, tp):
        return self.answered_at.get(tp, math.inf)


@pytest.fixture
def consumer():
    return Consumer()


@pytest.fixture
def intake(consumer):
    found = Intake(
        reference=REFERENCE,
        partitions=2,
        budget_records=10,
        budget_bytes=1_000,
        settle=dict.fromkeys(contract.INPUTS, 0.0),
    )
    found.consumer = consumer
    return found


def records(topic, count, *, partition=0, first=0, size=10, after_ms=0, key=b"K"):  # noqa: PLR0913
    return [
        ConsumerRecord(
            topic, partition, offset, OLD_MS + after_ms + offset, 0, key, b"x" * size, None, 1, size, ()
        )
        for offset in range(first, first + count)
    ]


def fetched(topic, count, **fields):
    return {TP(topic, fields.get("partition", 0)): records(topic, count, **fields)}


def offsets(batch):
    return [(record.topic, record.offset) for record in batch.value]


def test_everything_is_wanted_at_first(intake):
    active = INPUTS | PROJECTED | {CHANGELOG}
    assert intake.wanted(active) == active


@pytest.mark.parametrize(("count", "size"), [(10, 1), (1, 1_000)])
def test_a_spent_budget_stops_asking_for_inputs_but_not_for_the_rest(intake, count, size):
    intake.arrange(fetched(contract.LIQUIDATIONS, count, size=size))
    assert intake.wanted(INPUTS | PROJECTED | {CHANGELOG}) == PROJECTED | {CHANGELOG}


def test_a_budget_that_is_not_spent_stops_nothing(intake):
    intake.arrange(fetched(contract.LIQUIDATIONS, 9, size=1))
    assert intake.wanted(INPUTS) == INPUTS


def test_what_is_given_back_can_be_spent_again(intake):
    [batch] = intake.arrange(fetched(contract.LIQUIDATIONS, 10, size=20))[TP(contract.LIQUIDATIONS, 0)]
    assert (intake.records, intake.size) == (10, 200) == (len(batch.value), batch.value.size)
    assert intake.wanted(INPUTS) == set()
    intake.give_back(5, 100)
    assert (intake.records, intake.size) == (5, 100)
    assert intake.wanted(INPUTS) == INPUTS


def test_a_topic_with_too_much_waiting_is_not_asked_for_until_its_turn_comes(intake, consumer):
    consumer.lagging = {TP(contract.PRICES, 0)}
    assert intake.arrange(fetched(contract.LIQUIDATIONS, LONGEST_QUEUE)) == {}
    assert intake.records == 0  # what waits is not in flight
    assert intake.wanted(INPUTS) == INPUTS - {TP(contract.LIQUIDATIONS, 0)}
    assert TP(contract.LIQUIDATIONS, 1) in intake.wanted({TP(contract.LIQUIDATIONS, 1)})
    consumer.lagging = set()
    intake.arrange({})
    intake.give_back(LONGEST_QUEUE, 10 * LONGEST_QUEUE)
    assert intake.wanted(INPUTS) == INPUTS


def test_a_projection_that_is_behind_is_not_given_more_of_that_partition(intake):
    behind = TP(contract.SIGNALS, 0)
    intake.arrange(fetched(contract.SIGNALS, LONGEST_QUEUE))
    assert intake.wanted(INPUTS | PROJECTED) == INPUTS | PROJECTED - {behind}
    intake.give_back_projected(behind, 1)
    assert behind in intake.wanted(PROJECTED)


def test_input_records_of_a_partition_come_as_one_batch_in_the_order_of_time(intake):
    found = fetched(contract.PRICES, 2) | fetched(contract.LIQUIDATIONS, 3, after_ms=-1)
    [(tp, [batch])] = intake.arrange(found).items()
    assert offsets(batch) == [
        (contract.LIQUIDATIONS, 0),
        (contract.PRICES, 0),
        (contract.LIQUIDATIONS, 1),
        (contract.PRICES, 1),
        (contract.LIQUIDATIONS, 2),
    ]
    assert tp == TP(contract.LIQUIDATIONS, 0)


def test_a_large_batch_is_cut_and_nothing_of_it_is_lost(intake):
    half = LARGEST_BATCH // 2
    found = fetched(contract.LIQUIDATIONS, 5, size=half) | fetched(contract.PRICES, 1, after_ms=3)
    [(_, batches)] = intake.arrange(found).items()
    assert [len(batch.value) for batch in batches] == [2, 3, 1]
    assert [offset for batch in batches for offset in offsets(batch)] == [
        *[(contract.LIQUIDATIONS, number) for number in range(3)],
        (contract.PRICES, 0),
        *[(contract.LIQUIDATIONS, number) for number in (3, 4)],
    ]
    assert (intake.records, intake.size) == (6, 5 * half + 10)


def test_a_topic_with_too_many_bytes_waiting_is_not_asked_for(intake, consumer):
    consumer.lagging = {TP(contract.PRICES, 0)}
    assert intake.arrange(fetched(contract.LIQUIDATIONS, 2, size=LARGEST_QUEUE // 2)) == {}
    assert intake.wanted(INPUTS) == INPUTS - {TP(contract.LIQUIDATIONS, 0)}
    consumer.lagging = set()
    intake.arrange({})
    intake.give_back(2, LARGEST_QUEUE)
    assert intake.wanted(INPUTS) == INPUTS


def test_a_batch_lies_where_its_last_record_lies(intake):
    [(_, [batch])] = intake.arrange(fetched(contract.PRICES, 3, partition=2, first=40)).items()
    last = batch.value[-1]
    assert (batch.topic, batch.partition, batch.offset) == (contract.PRICES, 2, 42)
    assert (batch.timestamp, batch.timestamp_type) == (last.timestamp, last.timestamp_type)
    assert batch.value.size == 30


def test_records_without_a_value_weigh_nothing(intake):
    tp = TP(contract.PRICES, 0)
    empty = ConsumerRecord(contract.PRICES, 0, 0, OLD_MS, 0, b"K", None, None, 1, -1, ())
    [batch] = intake.arrange({tp: [empty]})[tp]
    assert (intake.records, intake.size, batch.value.size) == (1, 0, 0)


def test_partitions_are_arranged_each_for_itself(intake, consumer):
    consumer.lagging = {TP(contract.PRICES, 0)}
    found = fetched(contract.LIQUIDATIONS, 1) | fetched(contract.LIQUIDATIONS, 2, partition=3)
    assert set(intake.arrange(found)) == {TP(contract.LIQUIDATIONS, 3)}


def test_records_that_waited_come_once_their_turn_has_come(intake, consumer):
    consumer.lagging = {TP(contract.PRICES, 0)}
    intake.arrange(fetched(contract.LIQUIDATIONS, 2))
    [(_, [batch])] = intake.arrange(fetched(contract.PRICES, 1, after_ms=1)).items()
    assert offsets(batch) == [(contract.LIQUIDATIONS, 0), (contract.PRICES, 0)]
    consumer.lagging = set()
    [(_, [batch])] = intake.arrange({}).items()
    assert offsets(batch) == [(contract.LIQUIDATIONS, 1)]


@pytest.mark.parametrize("home", [0, 1])
@pytest.mark.parametrize("key", [REFERENCE, b" btcusdt "])
def test_where_prices_of_the_reference_lie_nothing_waits_for_the_context(intake, consumer, home, key):
    """It is made there, wherever the producer has put them."""
    consumer.lagging = {TP(contract.CONTEXT, partition) for partition in range(2)}
    waiting = fetched(contract.LIQUIDATIONS, 1) | fetched(contract.LIQUIDATIONS, 1, partition=1)
    assert intake.arrange(waiting) == {}
    [(tp, [batch])] = intake.arrange(fetched(contract.PRICES, 1, partition=home, key=key)).items()
    assert (tp.partition, offsets(batch)) == (home, [(contract.PRICES, 0), (contract.LIQUIDATIONS, 0)])
    intake.clear()  # a rebalance moves no key
    assert {tp.partition for tp in intake.arrange(waiting)} == {home}


def test_nothing_waits_for_a_context_from_elsewhere_where_there_is_no_elsewhere(consumer):
    settle = dict.fromkeys(contract.INPUTS, 0.0) | {contract.CONTEXT: 60.0}
    intake = Intake(reference=REFERENCE, partitions=1, budget_records=10, budget_bytes=1_000, settle=settle)
    intake.consumer = consumer
    assert set(intake.arrange(fetched(contract.LIQUIDATIONS, 1))) == {TP(contract.LIQUIDATIONS, 0)}


def test_nothing_settles_while_the_broker_is_away(consumer, monkeypatch):
    """Then a topic that brings nothing may be one that nobody can tell about."""
    clock = SimpleNamespace(now=1.9e9, monotonic=lambda: clock.now, time=lambda: clock.now)
    monkeypatch.setattr(module, "time", clock)
    settle = dict.fromkeys(contract.INPUTS, 3.0)
    intake = Intake(reference=REFERENCE, partitions=2, budget_records=10, budget_bytes=1_000, settle=settle)
    intake.consumer = consumer
    waiting = []
    for seconds, answered in ((0, True), (60, False), (60, False), (1, True), (1.9, True), (0.2, True)):
        clock.now += seconds
        consumer.heard_at = clock.now if answered else consumer.heard_at
        waiting.append(not intake.arrange({} if waiting else fetched(contract.LIQUIDATIONS, 1)))
    assert waiting == [True, True, True, True, True, False]


async def test_a_checkpoint_waits_for_its_interval_unless_the_budget_is_spent(intake):
    for _ in range(2):
        waiting = asyncio.create_task(intake.wait_until_full(60))
        done, _ = await asyncio.wait({waiting}, timeout=0.01)
        assert not done
        intake.spend(10, 1)
        await waiting
        intake.give_back(10, 1)


def test_changelogs_come_as_batches_outside_of_the_budget(intake):
    [batch] = intake.arrange(fetched(CHANGELOG.topic, 5))[TP(CHANGELOG.topic, 0)]
    assert [record.offset for record in batch.value] == [0, 1, 2, 3, 4]
    assert intake.records == 0


def test_output_topics_come_as_one_batch_a_partition_outside_of_the_budget(intake):
    [batch] = intake.arrange(fetched(contract.SIGNALS, 5))[TP(contract.SIGNALS, 0)]
    assert [record.offset for record in batch.value] == [0, 1, 2, 3, 4]
    assert intake.records == 0


def test_a_partition_that_brought_nothing_gives_nothing(intake):
    topics = (contract.LIQUIDATIONS, contract.SIGNALS, CHANGELOG.topic)
    assert intake.arrange({TP(topic, 0): [] for topic in topics}) == {}


def test_after_a_rebalance_nothing_waits_and_nothing_is_in_flight(intake, consumer):
    intake.arrange(fetched(contract.LIQUIDATIONS, 10, partition=3) | fetched(contract.SIGNALS, LONGEST_QUEUE))
    consumer.lagging = {TP(contract.PRICES, 0)}
    intake.arrange(fetched(contract.LIQUIDATIONS, 5))
    intake.clear()
    assert (intake.records, intake.size) == (0, 0)
    assert intake.wanted(INPUTS | PROJECTED) == INPUTS | PROJECTED
    consumer.lagging = set()
    assert intake.arrange({}) == {}


def test_patience_is_short_while_records_wait_for_their_turn(intake, consumer):
    assert intake.patience() == 1.0
    consumer.lagging = {TP(contract.PRICES, 0)}
    intake.arrange(fetched(contract.LIQUIDATIONS, 1))
    assert intake.patience() == 0.02


@pytest.mark.parametrize(
    "give_back",
    [
        lambda intake: intake.give_back(1, 1),
        lambda intake: intake.give_back_projected(TP(contract.SIGNALS, 0), 1),
        lambda intake: intake.clear(),
    ],
    ids=["checkpoint", "projection", "rebalance"],
)
async def test_whatever_is_given_back_ends_the_wait_for_room(intake, give_back):
    waiting = asyncio.create_task(intake.wait_for_room())
    await asyncio.sleep(0)
    assert not waiting.done()
    give_back(intake)
    await waiting


async def test_the_wait_for_room_ends_by_itself(intake, monkeypatch):
    monkeypatch.setattr(module, "_POLL", 0.001)
    await intake.wait_for_room()


def test_an_old_record_passes_when_the_broker_has_told_of_the_other_topics_since_it_came(intake, consumer):
    consumer.answered_at = dict.fromkeys(INPUTS, 0.0)
    assert intake.arrange(fetched(contract.LIQUIDATIONS, 1)) == {}
    consumer.answered_at = dict.fromkeys(INPUTS, math.inf)
    (batch,) = intake.arrange({})[TP(contract.LIQUIDATIONS, 0)]
    assert offsets(batch) == [(contract.LIQUIDATIONS, 0)]
