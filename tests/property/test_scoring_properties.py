"""Whatever arrives, in whatever order, what the scoring stage sends keeps its promises."""

from itertools import pairwise

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET
from scoring_cases import MINUTE, SECOND, START, WEIGHTS, Scoring, context, measurement, reading, silence

from pipeline import codec
from pipeline.contract import FEED_STATUS, SIGNALS
from pipeline.features.state import SHARED
from pipeline.messages import COMPONENTS
from pipeline.signals.as_of import AsOf
from pipeline.signals.feeds import Feeds
from pipeline.signals.joins import Joiner
from pipeline.signals.profile import SEED
from pipeline.signals.weights import WeightSet

SYMBOLS = ("SOLUSDT", "XRPUSDT")
VENUES = ("gate", "okx")
EVEN = dict.fromkeys(COMPONENTS, 1 / 6)
symbols = st.sampled_from(SYMBOLS)
#: Steps of the clocks: bursts, seconds, minutes, and some that go back.
steps = st.sampled_from([0, 1, 40_000, 100_000, SECOND, 10 * SECOND, MINUTE, 6 * MINUTE, -SECOND, -MINUTE])
velocities = st.sampled_from(
    [(0.0, 0.0), (9.0, -30.0), (12.0, 1.0), (25.0, 5.0), (60.0, 25.0), (120.0, 50.0)]
)
kinds = st.sampled_from(
    ["liquidation", "liquidation", "liquidation", "price", "context", "positioning", "control", "feed-status"]
)
profiles = st.sampled_from(
    [
        SEED,
        msgspec.structs.replace(
            SEED, name="every", score=msgspec.structs.replace(SEED.score, emit_interval_s=0.0)
        ),
    ]
)
plans = st.lists(st.tuples(kinds, symbols, steps, velocities, st.floats(0, 1)), max_size=40)


def events_of(feed, plan):
    """Make the events of a plan: clocks as velocity has them, some records of two messages."""
    time, clocks = START, dict.fromkeys(SYMBOLS, START)
    for version, (kind, symbol, step, (velocity, acceleration), part) in enumerate(plan, 1):
        time += step
        clocks[symbol] = max(clocks[symbol], time)
        measured = {
            "event_time": time,
            "velocity": velocity,
            "acceleration": acceleration,
            "recent": part > 0.2,
            "correlation": part,
        }
        if kind == "liquidation":
            if part < 0.1:
                yield feed.liquidation(measurement(symbol, clocks[symbol], **measured), last=False)
            yield feed.liquidation(measurement(symbol, clocks[symbol], **measured))
        elif kind == "price":
            yield feed.price(measurement(symbol, clocks[symbol], "price", **measured), symbol=symbol)
        elif kind == "context":
            clocks = {other: max(clock, time - 3 * SECOND) for other, clock in clocks.items()}
            ticks = [measurement(other, clock, "context", **measured) for other, clock in clocks.items()]
            yield feed.context(context(time, risk=1 + 9 * part), *ticks)
        elif kind == "positioning":
            yield feed.positioning(reading(time, change=part / 10), symbol=symbol)
        elif kind == "feed-status":
            now = (time - START) / SECOND
            since = now - 100 * part
            yield feed.silence(silence(since, now if step else None, now, exchange=VENUES[version % 2]))
        else:
            yield feed.control(EVEN if part > 0.5 else None, version, time)


def run(scoring, events):
    return [output for event in events for output in scoring.step(event)]


def signals_of(outputs, symbol):
    return [output.body for output in outputs if output.topic == SIGNALS and output.key == symbol]


@given(plans, profiles)
def test_sequences_have_no_gaps_and_timestamps_never_decrease(plan, profile):
    scoring = Scoring(profile)
    outputs = run(scoring, events_of(scoring.feed, plan))
    for symbol in SYMBOLS:
        sent = signals_of(outputs, symbol)
        assert [signal.sequence for signal in sent] == list(range(1, len(sent) + 1))
        timestamps = [signal.timestamp for signal in sent]
        assert timestamps == sorted(timestamps)
        assert len({signal.id for signal in sent}) == len(sent)


@given(plans)
def test_signals_keep_their_intervals(plan):
    scoring = Scoring()
    outputs = run(scoring, events_of(scoring.feed, plan))
    for symbol in SYMBOLS:
        sent = signals_of(outputs, symbol)
        for before, after in pairwise(sent):
            if after.signal_level <= before.signal_level:
                least = 10.0 if after.signal == before.signal == "NONE" else 0.1
                assert after.timestamp - before.timestamp >= least - 1e-6


@given(plans, profiles)
def test_silent_feeds_change_nothing_but_what_is_told_of_them(plan, profile):
    scoring, untold = Scoring(profile), Scoring(profile)
    for event in events_of(scoring.feed, plan):
        found = [output.body for output in scoring.step(event)]
        expected = [] if event.topic == FEED_STATUS else [output.body for output in untold.step(event)]
        assert len(found) == len(expected)
        for signal, without in zip(found, expected, strict=True):
            assert without.context.feeds is UNSET
            context_ = msgspec.structs.replace(signal.context, feeds=UNSET)
            assert codec.encode(msgspec.structs.replace(signal, context=context_)) == codec.encode(without)


@given(plans, profiles, st.data())
def test_a_snapshot_cut_anywhere_has_an_equal_future(plan, profile, data):
    whole = Scoring(profile)
    events = list(events_of(whole.feed, plan))
    expected = [run(whole, [event]) for event in events]
    cuts = [place for place in range(len(events) + 1) if not place or events[place - 1].last]
    cut = data.draw(st.sampled_from(cuts))
    first = Scoring(profile)
    run(first, events[:cut])
    second = Scoring(profile, first.states.take_snapshots())
    assert [run(second, [event]) for event in events[cut:]] == expected[cut:]
    for key in (SHARED, *SYMBOLS):
        assert second.states.get(key).freeze() == whole.states.get(key).freeze()


@given(plans, profiles, st.data())
def test_feeding_what_was_applied_already_sends_nothing(plan, profile, data):
    scoring = Scoring(profile)
    events = list(events_of(scoring.feed, plan))
    run(scoring, events)
    before = {key: scoring.states.get(key).freeze() for key in (SHARED, *SYMBOLS)}
    again = data.draw(st.integers(0, len(events)))
    assert run(scoring, events[:again]) == []
    assert {key: scoring.states.get(key).freeze() for key in (SHARED, *SYMBOLS)} == before


class ForgetfulOf:
    """Scoring that joins anew for every measurement, as if nothing were kept of the last join."""

    def __init__(self, scoring):
        self.scoring = scoring

    def step(self, event):
        for symbol in SYMBOLS:
            self.scoring.states.get(symbol).joined = None
        return self.scoring.step(event)


@given(plans, profiles)
def test_keeping_the_last_join_changes_nothing(plan, profile):
    scoring, forgetful = Scoring(profile), ForgetfulOf(Scoring(profile))
    events = list(events_of(scoring.feed, plan))
    assert [run(scoring, [event]) for event in events] == [run(forgetful, [event]) for event in events]


@settings(max_examples=50)
@given(
    st.lists(st.integers(0, 50), max_size=20).map(sorted),
    st.lists(st.integers(0, 50), max_size=20).map(sorted),
    st.lists(st.integers(0, 50), max_size=20).map(sorted),
    st.integers(0, 120),
)
def test_a_join_equals_a_search_through_everything_and_holds_until_it_says(contexts, readings, sets, clock):
    joiner = Joiner(own=WEIGHTS, context_lifetime=20, open_interest_lifetime=30, funding_lifetime=40)
    known = [AsOf(1_000, 100) for _ in range(3)]
    for time in contexts:
        known[0].add(time, context(time), 0)
    for time in readings:
        known[1].add(time, reading(time, change=time / 100), 0)
    for version, time in enumerate(sets):
        known[2].add(time, WeightSet(version, None), 0)

    def newest(times, lifetime=1_000):
        found = max((time for time in times if time <= clock), default=None)
        return None if found is None or clock - found > lifetime else found

    feeds = Feeds(5)
    found = joiner.join(clock, *known, feeds)
    assert (found.context and round(found.context.timestamp * SECOND)) == newest(contexts, 20)
    change = newest(readings, 30)
    assert found.oi_change == (None if change is None else change / 100)
    assert (found.funding_rate is None) == (newest(readings, 40) is None)
    for later in range(clock + 1, min(found.until, 200)):
        assert joiner.join(later, *known, feeds) == found
    if found.until < 200:
        assert joiner.join(found.until, *known, feeds) != found
