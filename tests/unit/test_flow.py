import asyncio
from contextlib import nullcontext
from dataclasses import replace

import pytest
from faust.types import TP
from scoring_cases import context
from structlog.testing import capture_logs
from worker_parts import HOME, NOW, PARTITIONS, SYMBOL, liquidation, price, record

from pipeline import SEED, codec, contract
from pipeline.engine import Engine, create_stages
from pipeline.features.states import States, read_snapshot
from pipeline.messages import micros
from pipeline.runtime.batches import Records
from pipeline.runtime.flow import Flow
from pipeline.runtime.partition import TopicRecreatedError
from pipeline.runtime.placement import MOST_TOLD, partition_of

TABLES = contract.TABLES


@pytest.fixture
async def flow():
    found = Flow(create_stages(SEED), lambda _table, _partition: {}, PARTITIONS)
    found.begin()
    return found


def take(flow, *records):
    return flow.take(Records(records))


def fold(flow, work):
    return [flow.fold(place, work) for place in range(len(flow.stages))]


async def checkpointed(flow, gone=()):
    """Return what gives the snapshots of a table's partition, as a checkpoint stores them; none of some."""
    barrier = flow.barrier()
    fold(flow, barrier)
    found = {table: {} if table in gone else await barrier.snapshots(table) for table in TABLES}
    return lambda table, number: {key: data for (at, key), data in found[table].items() if at == number}


async def test_a_unit_says_where_its_batch_ends_in_each_topic(flow):
    unit = take(flow, price(7), liquidation(3), liquidation(4), price(8))
    assert unit.offsets == {contract.PRICES: 9, contract.LIQUIDATIONS: 5}
    assert (unit.partition, unit.records, unit.epoch) == (HOME, 4, flow.epoch)
    assert unit.size == sum(len(each.value) for each in (price(7), liquidation(3), liquidation(4), price(8)))


async def test_a_unit_leads_to_what_the_engine_sends(flow):
    assert flow.newest(HOME) is None
    unit = take(flow, liquidation(0), liquidation(1, at=NOW + 1), price(0, at=NOW + 2))
    assert flow.newest(HOME) == (NOW + 2) * 1_000
    assert fold(flow, unit) == [True] * len(TABLES)
    engine = Engine()
    expected = [
        output
        for each in (liquidation(0), liquidation(1, at=NOW + 1), price(0, at=NOW + 2))
        for output in engine.process(each.topic, each.value)
    ]
    assert [(output.topic, output.message) for output in unit.outputs()] == [
        (output.topic, output.message) for output in expected
    ]


async def test_letters_are_sent_before_what_the_rest_leads_to(flow):
    unit = take(flow, liquidation(0), record(contract.PRICES, b"{]", 0))
    fold(flow, unit)
    assert [output.topic for output in unit.outputs()] == [
        contract.DEAD_LETTERS,
        contract.VELOCITY,
        contract.SIGNALS,
    ]
    assert flow.dead_letters.total() == 1


async def test_a_record_that_leads_its_own_time_is_refused(flow):
    unit = take(flow, record(contract.PRICES, price(0, at=NOW + 6).value, 0, at=NOW))
    assert unit.events == []
    assert "6.0 s ahead" in unit.letters[0].body.reason


async def test_records_batches_and_letters_are_counted(flow):
    take(flow, liquidation(0), liquidation(1))
    take(flow, record(contract.PRICES, b"", 0))
    assert flow.records == {contract.LIQUIDATIONS: 2, contract.PRICES: 1}
    assert flow.batches.counts[:2] == [1, 1]
    assert flow.dead_letters == {(contract.PRICES, "unreadable"): 1}


async def test_states_are_looked_at_only_once_all_is_recovered(flow):
    """Whoever looked earlier would find, and keep, what was read of a changelog by then."""
    fold(flow, take(flow, liquidation(0)))
    stored, recovered = await checkpointed(flow), asyncio.Event()
    again = Flow(create_stages(SEED), lambda *place: stored(*place) if recovered.is_set() else {}, PARTITIONS)
    again.begin()
    assert again.look(HOME, "velocity", SYMBOL) is None
    assert again.made_anew() == {}
    again.note_end(TP(contract.LIQUIDATIONS, HOME), 1)
    assert again.look(HOME, "velocity", SYMBOL) is None
    assert (again.symbols, again.market_time) == (0, 0)
    recovered.set()
    again.made_anew()
    assert again.look(HOME, "velocity", SYMBOL).windows.longest.count(NOW * 1_000_000) == 1
    assert again.look(HOME, "velocity", "NOBODY") is None


async def test_no_batch_is_taken_before_an_epoch_begins_or_once_it_is_closed(flow):
    flow.close()
    assert take(flow, liquidation(0)) is None
    flow.begin()
    assert take(flow, liquidation(0)) is not None
    flow.end()
    assert take(flow, liquidation(0)) is None


async def test_what_was_taken_before_the_close_goes_on(flow):
    unit = take(flow, liquidation(0))
    flow.close()
    assert fold(flow, unit) == [True] * len(TABLES)
    assert unit.outputs() != []


async def test_a_unit_of_an_older_epoch_does_nothing(flow):
    unit = take(flow, liquidation(0))
    flow.begin()
    assert fold(flow, unit) == [False] * len(TABLES)
    assert unit.outputs() == []
    barrier = flow.barrier()
    fold(flow, barrier)
    assert [await barrier.snapshots(table) for table in TABLES] == [{}] * len(TABLES)


async def test_a_new_epoch_begins_with_what_is_stored_alone(flow):
    fold(flow, take(flow, liquidation(0)))
    flow.note_end(TP(contract.LIQUIDATIONS, HOME), 1)
    flow.made_anew()
    flow.begin()
    assert flow.look(HOME, "velocity", SYMBOL) is None
    unit = take(flow, liquidation(0))
    fold(flow, unit)
    assert [output.message["sequence"] for output in unit.outputs()] == [1, 1]


async def test_a_barrier_of_an_older_epoch_takes_no_snapshots(flow):
    barrier = flow.barrier()
    flow.begin()
    fold(flow, take(flow, liquidation(0)))
    assert fold(flow, barrier) == [False] * len(TABLES)
    assert barrier.moments == {}


async def test_the_end_of_an_epoch_ends_the_wait_for_its_barriers(flow):
    first, second = flow.barrier(), flow.barrier()
    first.passed.set_result("sent")
    flow.end()
    assert (await first.passed, await second.passed) == ("sent", None)


async def test_a_barrier_holds_what_every_stage_knows_between_the_same_two_units(flow):
    """The units pass one after the other, each stage as late as can be: all see the barrier between them."""
    before, barrier, after = take(flow, liquidation(0), price(0)), flow.barrier(), take(flow, liquidation(1))
    for place in range(len(TABLES)):
        for work in (before, barrier, after):
            assert flow.fold(place, work)
    for table in ("velocity", "scoring"):
        found = read_snapshot((await barrier.snapshots(table))[HOME, SYMBOL])
        assert found.applied[contract.LIQUIDATIONS][0] == 0
    later = flow.barrier()
    fold(flow, later)
    for table in ("velocity", "scoring"):
        found = read_snapshot((await later.snapshots(table))[HOME, SYMBOL])
        assert found.applied[contract.LIQUIDATIONS][0] == 1


async def test_a_context_changes_nothing_of_what_a_barrier_holds(flow):
    """It moves the clocks of symbols that no record names."""
    fold(flow, take(flow, liquidation(0)))
    barrier, later = flow.barrier(), flow.barrier()
    fold(flow, barrier)
    fold(flow, take(flow, record(contract.CONTEXT, codec.encode(context(micros(NOW + 10))), 0, at=NOW + 10)))
    fold(flow, later)
    states = [read_snapshot((await each.snapshots("velocity"))[HOME, SYMBOL]) for each in (barrier, later)]
    assert [state.position[-1] for state in states] == [micros(NOW), micros(NOW + 7)]


async def test_a_barrier_holds_what_changed_since_the_last_alone(flow):
    fold(flow, take(flow, liquidation(0)))
    first, second = flow.barrier(), flow.barrier()
    fold(flow, first)
    fold(flow, second)
    assert (HOME, SYMBOL) in await first.snapshots("velocity")
    assert [await second.snapshots(table) for table in TABLES] == [{}] * len(TABLES)


async def test_partitions_know_nothing_of_each_other(flow):
    fold(flow, take(flow, liquidation(0, symbol="ETHUSDT", partition=1)))
    fold(flow, take(flow, liquidation(0)))
    barrier = flow.barrier()
    fold(flow, barrier)
    assert set(await barrier.snapshots("scoring")) == {(1, "ETHUSDT"), (HOME, SYMBOL)}


async def test_a_new_epoch_goes_on_from_what_was_stored(flow):
    fold(flow, take(flow, liquidation(0)))
    stored = await checkpointed(flow)
    again = Flow(create_stages(SEED), stored, PARTITIONS)
    again.begin()
    repeat, following = take(again, liquidation(0)), take(again, liquidation(1, at=NOW + 11))
    fold(again, repeat)
    fold(again, following)
    assert repeat.outputs() == []
    assert [output.message["sequence"] for output in following.outputs()] == [2, 2]


@pytest.mark.parametrize(
    ("end", "committed"), [(5, 0), (6, 7), (5, 7)], ids=["by a state", "by the group", "by both"]
)
async def test_a_topic_that_ends_before_what_was_read_of_it_is_read_anew_by_all(flow, end, committed):
    fold(flow, take(flow, liquidation(0, symbol="ETHUSDT"), liquidation(5)))
    stored = await checkpointed(flow)
    again = Flow(create_stages(SEED), stored, PARTITIONS, committed=lambda *_: committed)
    again.begin()
    again.note_end(TP(contract.LIQUIDATIONS, HOME), end)
    with capture_logs() as logs:
        assert again.made_anew() == {TP(contract.LIQUIDATIONS, HOME): max(6, committed)}
    unit = take(again, liquidation(0, symbol="ETHUSDT", at=NOW + 11))
    fold(again, unit)
    assert [output.topic for output in unit.outputs()] == [contract.VELOCITY, contract.SIGNALS]
    assert [entry["topics"] for entry in logs] == [[f"{contract.LIQUIDATIONS}-{HOME}"]]
    assert again.counts["recreated"] == 1
    assert again.made_anew() == {}, "ends are those of the assignment: what is read later lies beyond them"


@pytest.mark.parametrize(
    ("gone", "committed", "found"),
    [
        (["velocity"], 1, ["velocity"]),
        (["scoring"], 1, ["scoring"]),
        (["velocity"], 0, []),
        (["velocity", "scoring"], 1, []),
        ([], 1, []),
    ],
    ids=["upstream", "downstream", "not acknowledged yet", "nothing tells", "all are there"],
)
async def test_a_table_without_states_is_missed_when_another_tells_of_records_for_it(
    flow, gone, committed, found
):
    fold(flow, take(flow, liquidation(0)))
    stored = await checkpointed(flow, gone)
    again = Flow(create_stages(SEED), stored, PARTITIONS, committed=lambda *_: committed)
    again.begin()
    again.note_end(TP(contract.LIQUIDATIONS, HOME), 1)
    assert again.lost_tables() == [(table, HOME) for table in found]


async def test_work_that_is_done_within_the_epoch_is_said_to_be(flow):
    assert await flow.within_epoch(asyncio.sleep(0))


async def test_work_that_fails_within_the_epoch_fails(flow):
    async def fail():
        raise LookupError("key")

    with pytest.raises(LookupError, match="key"):
        await flow.within_epoch(fail())


async def test_work_is_cancelled_when_the_epoch_ends(flow):
    work = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(flow.within_epoch(work))
    await asyncio.sleep(0)
    flow.end()
    assert not await waiting
    assert work.cancelled()


async def test_work_of_an_ended_epoch_is_not_done(flow):
    flow.end()
    assert not await flow.within_epoch(asyncio.get_running_loop().create_future())


async def test_work_is_cancelled_with_whoever_waits_for_it(flow):
    work = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(flow.within_epoch(work))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert work.cancelled()


async def test_a_misplaced_key_is_counted_each_time_and_logged_once(flow):
    symbol = "MISPLACEDUSDT"
    first, second = (
        [liquidation(offset, symbol=symbol, partition=0) for offset in offsets]
        for offsets in (range(3), range(3, 6))
    )
    assert flow.counts["misplaced"] == 0
    with capture_logs() as logs:
        unit = take(flow, *first)
        take(flow, *second)
    assert flow.counts["misplaced"] == 6
    assert len(unit.events) == 3
    [entry] = logs
    assert entry["log_level"] == "warning"
    assert "murmur2" in entry["event"]
    assert (entry["topic"], entry["key"], entry["partition"]) == (contract.LIQUIDATIONS, symbol, 0)
    assert entry["expected"] != 0


async def test_a_feed_that_places_all_of_its_keys_otherwise_does_not_fill_the_log(flow):
    """Ten thousand symbols by another partitioner, as librdkafka has it, tick again and again."""
    symbols = [f"ELSEWHERE{number}" for number in range(10_000)]
    records = [liquidation(at, symbol=symbol, partition=0) for at, symbol in enumerate(symbols)]
    with capture_logs() as first:
        take(flow, *records)
    with capture_logs() as second:
        take(flow, *[replace(each, offset=each.offset + len(symbols)) for each in records])
    assert len(first) <= MOST_TOLD + 1
    assert "are not told" in first[-1]["event"]
    assert second == []
    assert flow.counts["misplaced"] > len(symbols)


async def test_keys_on_their_own_partition_and_records_without_keys_are_not_misplaced(flow):
    with capture_logs() as logs:
        take(flow, liquidation(0), record(contract.PRICES, b"{}", 0, key=None))
    assert flow.counts["misplaced"] == 0
    assert logs == []


async def test_keys_longer_than_any_symbol_are_not_remembered(flow):
    before = partition_of.cache_info().currsize
    take(flow, *[record(contract.PRICES, b"{}", place, key=b"K" * (2_000 + place)) for place in range(9)])
    assert (partition_of.cache_info().currsize, flow.counts["misplaced"]) == (before, 0)


async def test_copies_for_every_partition_are_not_misplaced(flow):
    with capture_logs() as logs:
        take(flow, record(contract.CONTROL, b"{}", 0, key=b"weights", partition=0))
        take(flow, record(contract.CONTEXT, b"{}", 0, partition=0))
    assert flow.counts["misplaced"] == 0
    assert logs == []


SENT = {
    contract.LIQUIDATIONS: liquidation(0),
    contract.PRICES: price(0),
    contract.OPEN_INTEREST: record(
        contract.OPEN_INTEREST, {"symbol": SYMBOL, "open_interest_usd": 1e9, "timestamp": NOW}, 0
    ),
    contract.FUNDING: record(contract.FUNDING, {"symbol": SYMBOL, "rate": 1e-4, "timestamp": NOW}, 0),
    contract.CONTROL: record(
        contract.CONTROL, {"setting": "weights", "version": 1, "timestamp": NOW}, 0, key=b"weights"
    ),
}


@pytest.mark.parametrize("topic", SENT)
async def test_a_stage_that_does_not_look_at_a_topic_would_change_nothing(flow, topic):
    [event] = take(flow, SENT[topic]).events
    for stage in flow.stages:
        states = States(stage.new)
        stage.step(event, states)
        assert topic in stage.topics or not states.take_snapshots(), stage.table


async def test_a_topic_made_anew_within_an_epoch_is_refused_before_any_of_it_is_used(flow):
    take(flow, *[liquidation(offset) for offset in range(100)])
    with pytest.raises(TopicRecreatedError, match=r"^liquidations-2: offset 0 came after 99: .* restart"):
        take(flow, *[liquidation(offset) for offset in range(150)])
    assert flow.records.total() == 100


@pytest.mark.parametrize(
    ("end", "offset", "refused"), [(5, 4, True), (5, 0, True), (5, 5, False), (9, 5, False), (3, 0, False)]
)
async def test_what_lies_before_the_commit_is_of_a_topic_made_anew_since_it_was_read(end, offset, refused):
    """One that ended before its commit when it was assigned is read anew by all."""
    flow = Flow(create_stages(SEED), lambda _table, _partition: {}, PARTITIONS, committed=lambda *_: 5)
    flow.begin()
    flow.note_end(TP(contract.LIQUIDATIONS, HOME), end)
    flow.made_anew()
    expected = pytest.raises(TopicRecreatedError, match=f"offset {offset} came after 4: ")
    with expected if refused else nullcontext():
        assert take(flow, liquidation(offset)).records == 1


async def test_offsets_may_fall_from_one_epoch_to_the_next(flow):
    take(flow, liquidation(5))
    flow.begin()
    assert take(flow, liquidation(0)).records == 1


async def test_a_partition_that_is_full_refuses_further_symbols_and_logs_it_once():
    flow = Flow(create_stages(SEED), lambda _table, _partition: {}, PARTITIONS, max_symbols=1)
    flow.begin()
    with capture_logs() as logs:
        unit = take(flow, *[liquidation(offset, symbol=f"FULL{offset}") for offset in range(3)])
    assert [event.symbol for event in unit.events] == ["FULL0"]
    assert [letter.body.offset for letter in unit.letters] == [1, 2]
    assert flow.counts["refused_symbols"] == flow.dead_letters.total() == 2
    assert sum("full" in entry["event"] for entry in logs) == 1
    assert take(flow, liquidation(3)).letters == []  # the reference symbol


async def test_what_is_stored_counts_towards_the_limit():
    flow = Flow(
        create_stages(SEED), lambda _table, _partition: {"A": b"", "B": b""}, PARTITIONS, max_symbols=2
    )
    flow.begin()
    unit = take(flow, liquidation(0, symbol="A"), liquidation(1, symbol="C"))
    assert [event.symbol for event in unit.events] == ["A"]


def flow_that_forgets(committed, **limits):
    """Return a flow without stored states, where of each topic so many records are committed."""
    flow = Flow(create_stages(SEED), lambda *_: {}, PARTITIONS, committed=lambda *_: committed, **limits)
    flow.begin()
    return flow


@pytest.mark.parametrize("committed", [0, 1])
async def test_idle_symbols_are_dropped_with_a_barrier_once_their_records_are_committed(committed):
    flow = flow_that_forgets(committed, max_symbols=1)
    told = []
    flow.tell_forgotten = told.extend
    fold(flow, take(flow, liquidation(0, symbol="OLD")))
    later = NOW + 9 * 86_400
    fold(flow, take(flow, price(0, at=later), price(1, at=later + 1)))
    before, barrier = flow.barrier(), flow.barrier()
    fold(flow, before)
    assert [bool(await before.snapshots(table)) for table in TABLES] == [False, True, True, True, True]
    fold(flow, barrier)
    dropped = {table for table, orders in barrier.forgotten.items() if (HOME, "OLD") in orders}
    assert dropped == ({"velocity", "scoring"} if committed else set())
    assert told == (["OLD"] if committed else [])
    refused = take(flow, liquidation(1, symbol="NEW", at=later)).letters
    assert len(refused) == (not committed)


async def test_a_stage_forgets_nothing_that_units_on_their_way_have_yet_to_tell_it_about():
    flow = flow_that_forgets(committed=9)
    before = take(flow, liquidation(0, symbol="OLD"), price(0))
    later = NOW + 9 * 86_400
    barrier, after = flow.barrier(), take(flow, price(1, at=later), price(2, at=later + 1))
    for place in range(len(TABLES)):
        for work in (before, barrier, after):
            flow.fold(place, work)
    assert barrier.forgotten == {table: {} for table in TABLES}


async def test_a_symbol_that_is_forgotten_while_a_record_of_it_is_on_its_way_keeps_its_place():
    """Else another takes it, and the symbol's further records are refused although there is state of it."""
    flow = flow_that_forgets(committed=1, max_symbols=1)
    fold(flow, take(flow, liquidation(0, symbol="OLD")))
    later = NOW + 9 * 86_400
    fold(flow, take(flow, price(0, at=later), price(1, at=later + 1)))
    before = flow.barrier()
    fold(flow, before)
    assert [bool(await before.snapshots(table)) for table in TABLES] == [False, True, True, True, True]
    forgetting, following = flow.barrier(), take(flow, liquidation(1, symbol="OLD", at=later))
    for work in (forgetting, following):
        fold(flow, work)
    assert (HOME, "OLD") in forgetting.forgotten["velocity"]
    assert take(flow, liquidation(2, symbol="NEW", at=later)).letters != []
    assert take(flow, liquidation(3, symbol="OLD", at=later)).letters == []


async def test_a_partition_that_is_full_takes_the_context_though_it_forgot_the_reference_symbol():
    """The reference symbol's own records may once have lain on a partition other than theirs."""
    flow = flow_that_forgets(committed=9, max_symbols=1)
    later = NOW + 9 * 86_400

    def told(offset):
        at = later + offset
        return record(contract.CONTEXT, codec.encode(context(micros(at))), offset, at=at)

    fold(flow, take(flow, liquidation(0)))
    fold(flow, take(flow, told(0), told(1)))
    before, forgetting = flow.barrier(), flow.barrier()
    fold(flow, before)
    for table in TABLES:
        await before.snapshots(table)
    fold(flow, forgetting)
    assert (HOME, SYMBOL) in forgetting.forgotten["velocity"]
    refused = take(flow, liquidation(1, symbol="A"), liquidation(2, symbol="B")).letters
    assert [letter.key for letter in refused] == ["B"]
    assert take(flow, told(2)).letters == []
