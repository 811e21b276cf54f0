"""Clocks that jump, records out of order, feeds that stop: no state goes back, and batches change nothing."""

import json
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import SEED, contract
from pipeline.engine import create_stages
from pipeline.features.reading import Record, read
from pipeline.features.state import SHARED
from pipeline.features.states import States, snapshot
from pipeline.messages import micros

START = 1_760_000_000.0
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
VENUES = ("binance", "bybit", "okx")
LARGEST_SNAPSHOT = 64 << 10

#: Seconds from one record to the next: bursts, steps, feeds that stop, clocks that jump forward and back.
gaps = st.sampled_from(
    [0, 0, 0.001, 0.02, 0.3, 1, 3, 29, 61, 305, 3_700, 90_000, 4e7, -0.5, -4, -70, -400, -1e5]
)
#: Seconds that a message is newer (up to what is allowed) or older than its record.
leads = st.sampled_from([0, 0, 0, 4.9, 5, 0.2, -0.1, -3, -59, -299, -301, -5_000, -5e8])
steps = st.tuples(
    st.sampled_from([*contract.FEEDS, *[contract.LIQUIDATIONS] * 2, contract.CONTROL, contract.FEED_STATUS]),
    st.sampled_from(SYMBOLS),
    gaps,
    st.lists(leads, min_size=1, max_size=4),
    st.integers(0, 10**6),
)
plans = st.lists(steps, max_size=40)


def message(topic, symbol, time, number):
    """Return a good message of a topic."""
    venue = VENUES[number % 3]
    fields = {
        contract.LIQUIDATIONS: {
            "exchange": venue,
            "side": ("long", "short")[number % 2],
            "price": 60_000.0 + number % 7,
            "quantity": 1 + number % 5,
        },
        contract.PRICES: {
            "price": 60_000.0 * (1 + number % 300 / 1e4),
            "exchange": venue,
            "volume_usd": number,
        },
        contract.OPEN_INTEREST: {"open_interest_usd": 1e9 + number * 100, "exchange": venue},
        contract.FUNDING: {"rate": number / 1e9, "exchange": venue},
        contract.CONTROL: {"setting": "weights", "version": number + 1},
        contract.FEED_STATUS: {
            "exchange": venue,
            "stream": str(number % 5),
            "from": within(time - number % 200),
            "to": within(time) if number % 2 else None,
            "reason": "cut",
        },
    }[topic]
    owner = {"symbol": symbol} if topic in contract.FEEDS else {}
    return owner | fields | {"timestamp": within(time)}


def within(time):
    return min(max(time, 946_684_800.0), 4_102_444_799.0)


def records_of(plan):
    """Return the records of a plan, whose own times jump as the messages' do."""
    clock, records = START, []
    for offset, (topic, symbol, gap, ages, number) in enumerate(plan):
        clock = min(max(clock + gap, 1e9), 4e9)
        value = [message(topic, symbol, clock + lead, number + place) for place, lead in enumerate(ages)]
        data, key = json.dumps(value).encode(), symbol.encode()
        records.append(Record(topic, data, offset, 0, key, (), round(clock * 1_000)))
    return records


class Topology:
    """The stages with their states, run on batches as a worker runs them: stage by stage."""

    def __init__(self):
        self.stages = create_stages(SEED)
        self.stored = [{} for _ in self.stages]
        self._start()

    def _start(self):
        kept = zip(self.stages, self.stored, strict=True)
        self.steps = [(stage, States(stage.new, stored)) for stage, stored in kept]

    def fold(self, records):
        events = [event for record in records for event in read(record)[0]]
        for stage, states in self.steps:
            for event in events:
                stage.step(event, states)
        return [output for event in events for output in event.outputs]

    def live(self):
        for stage, states in self.steps:
            for key, state in states.live.items():
                yield (stage.table, key), state

    def restart(self):
        """Go on from snapshots alone."""
        for (_, states), stored in zip(self.steps, self.stored, strict=True):
            stored.update(states.take_snapshots())
        self._start()


def check_promises(outputs):
    """Each key's messages of a topic are numbered without gaps, and their times never decrease.

    Those of a symbol that was idle for a week begin anew.
    """
    told = {}
    for output in outputs:
        if output.topic in contract.PROJECTED:
            told.setdefault((output.topic, output.key), []).append(
                (output.body.timestamp, output.body.sequence)
            )
    for sent in told.values():
        assert all(before <= after for (before, _), (after, _) in pairwise(sent))
        assert sent[0][1] == 1
        assert all(after in {before + 1, 1} for (_, before), (_, after) in pairwise(sent))


def clocks(topology):
    """Return by table and key when each state began, and what must never go back in it."""
    found = {}
    for (table, key), state in topology.live():
        found[table, key, "position"] = state.incarnation, state.position
        if table == "velocity" and key != SHARED:
            found[table, key, "clock"] = (
                state.incarnation,
                (state.clock, state.event_time, state.late, state.calm_from),
            )
    return found


@given(plans)
@settings(max_examples=60)
def test_no_state_goes_back_and_messages_keep_their_order(plan):
    topology, outputs, before = Topology(), [], {}
    for record in records_of(plan):
        outputs += topology.fold([record])
        after = clocks(topology)
        for place, (began, values) in before.items():
            begins, newer = after[place]
            same = begins == began and all(old <= new for old, new in zip(values, newer, strict=True))
            assert same or begins > began, place
        before = after
    check_promises(outputs)


@given(plans, st.sets(st.integers(0, 40)), st.sets(st.integers(0, 40)))
@settings(max_examples=60)
def test_batches_and_restarts_change_nothing(plan, cuts, restarts):
    records = records_of(plan)
    expected = Topology().fold(records)
    topology, outputs, begin = Topology(), [], 0
    for place in sorted(cuts | restarts | {len(records)}):
        outputs += topology.fold(records[begin:place])
        begin = place
        if place in restarts:
            topology.restart()
    assert outputs == expected


def wild(seed, number):
    """Yield plans' steps of a market that never comes to rest, most of them in bursts."""
    rng = Random(seed)
    for _ in range(number):
        gap = (
            rng.choice((0, 0, 0, 0, 0.0001, 0.001, 0.001, 0.01))
            if rng.random() < 0.9999
            else rng.uniform(-90, 400)
        )
        leads = [
            rng.choice((0, 0, -rng.random() * 60, -rng.random() * 400, 4.9))
            for _ in range(rng.choice((1, 1, 3)))
        ]
        yield (
            rng.choice((*[contract.LIQUIDATIONS] * 3, *contract.FEEDS, contract.FEED_STATUS)),
            rng.choice((*SYMBOLS, *SYMBOLS[:1] * 4)),
            gap,
            leads,
            rng.randrange(10**6),
        )


@pytest.mark.parametrize(
    ("seed", "number"), [(1, 20_000), pytest.param(2, 1_000_000, marks=pytest.mark.endurance)]
)
def test_what_is_kept_is_bounded_however_wild_the_clocks(seed, number):
    topology, outputs = Topology(), []
    clock = START
    for offset, (topic, symbol, gap, leads, drawn) in enumerate(wild(seed, number)):
        clock += gap
        value = [message(topic, symbol, clock + lead, drawn + place) for place, lead in enumerate(leads)]
        record = Record(
            topic, json.dumps(value).encode(), offset, 0, symbol.encode(), (), round(clock * 1_000)
        )
        outputs += topology.fold([record])
        if offset % 1_000 == 999:
            sizes = {place: len(snapshot(state)) for place, state in topology.live()}
            assert max(sizes.values()) <= LARGEST_SNAPSHOT, (seed, offset, sizes)
    check_promises(outputs)
    [(_, states)] = [step for step in topology.steps if step[0].table == "velocity"]
    assert states.live["BTCUSDT"].duplicates.overflow > 0  # so it was full
    assert states.live["BTCUSDT"].clock <= micros(clock + 5.001)
