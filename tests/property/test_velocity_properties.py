"""Properties of the velocity stage over random sequences of events."""

from math import isfinite

from hypothesis import given
from hypothesis import strategies as st
from velocity_cases import GRACE, START, SYMBOL, Feed, Oracle, context, liquidation, price

from pipeline import codec
from pipeline.messages import Liquidation, Price, micros

SYMBOLS = (SYMBOL, "SOLUSDT", "BTCUSDT")
steps = st.lists(
    st.tuples(
        st.sampled_from(["liquidation"] * 5 + ["price"] * 2 + ["context", "price and context"]),
        st.sampled_from([0, 1, 20, 300, 1_500, 20_000, 70_000, 400_000]),  # milliseconds since the last one
        st.sampled_from([0, 0, 0, 3, 200, 4_000, 65_000, 310_000]),  # milliseconds that it is older
        st.sampled_from(SYMBOLS),
        st.sampled_from(["binance", "bybit", "okx"]),
        st.sampled_from(["long", "short"]),
        st.integers(1, 10**9),
        st.one_of(st.none(), st.integers(0, 20)),
    ),
    max_size=60,
)


def messages(drawn):
    """Return what was drawn as messages, each with the context that it carries or None."""
    now, found = 0, []
    for kind, gap, age, symbol, exchange, side, cents, number in drawn:
        now += gap
        at = (now - age) / 1_000
        if kind == "liquidation":
            message = liquidation(
                at, symbol=symbol, exchange=exchange, side=side, usd=cents / 100, number=number
            )
        elif kind == "context":
            message = context(at, btc_price=float(cents))
        else:
            message = price(at, symbol=symbol)
        found.append((message, context(at, risk=1.5) if kind == "price and context" else None))
    return found


def run(feed, sequence, first=0):
    """Return all that the events lead to, by symbol."""
    found = []
    for offset, (message, carried) in enumerate(sequence, first):
        event = feed.put(message, offset=offset, with_context=carried)
        found.append(
            (
                sorted(codec.encode(each) for each in event.measurements),
                sorted(codec.encode(output) for output in event.outputs),
            )
        )
    return found


@given(steps, st.integers(0, 60))
def test_a_restored_state_has_the_same_futures(drawn, cut):
    sequence = messages(drawn)
    whole = Feed()
    run(whole, sequence[:cut])
    restored = Feed(whole.states.take_snapshots())
    rest = sequence[cut:]
    assert run(restored, rest, cut) == run(whole, rest, cut)
    for symbol in SYMBOLS:
        assert restored.states.get(symbol).freeze() == whole.states.get(symbol).freeze()


@given(steps, st.sets(st.integers(0, 60)))
def test_results_do_not_depend_on_when_snapshots_are_taken(drawn, cuts):
    sequence = messages(drawn)
    expected = run(Feed(), sequence)
    stored, found, feed = {}, [], Feed()
    for offset, step in enumerate(sequence):
        found += run(feed, [step], offset)
        if offset in cuts:
            stored |= feed.states.take_snapshots()
            feed = Feed(stored)
    assert found == expected


@given(steps)
def test_what_was_applied_is_not_applied_again(drawn):
    sequence = messages(drawn)
    feed = Feed()
    run(feed, sequence)
    before = {symbol: feed.states.get(symbol).freeze() for symbol in SYMBOLS}
    assert run(feed, sequence) == [([], [])] * len(sequence)
    assert {symbol: feed.states.get(symbol).freeze() for symbol in SYMBOLS} == before


@given(steps)
def test_measurements_are_those_of_a_recount(drawn):
    feed, oracles = Feed(), {symbol: Oracle() for symbol in SYMBOLS}
    for message, carried in messages(drawn):
        event = feed.put(message, with_context=carried)
        if isinstance(message, Liquidation) and event.measurements:
            oracles[message.symbol].add(message)
        for found in event.measurements:
            oracle, clock = oracles[found.symbol], found.clock
            base, short = oracle.velocity(10, clock), oracle.velocity(2, clock)
            acceleration = (short - base) / 4
            assert found.velocity == base
            assert abs(found.acceleration - acceleration) < 1e-9
            jerk = ((oracle.velocity(0.5, clock) - short) / 0.75 - acceleration) / 2.375
            assert abs(found.jerk - jerk) < 1e-9
            assert abs(found.volume_usd - oracle.usd(10, clock) / 10) < 1e-6
            assert found.recent == bool(oracle.within(60, clock))
        for output in event.outputs:
            update, oracle, clock = output.body, oracles[output.key], micros(output.body.timestamp)
            assert update.event_count_30s == len(oracle.within(30, clock))
            assert update.event_count_60s == len(oracle.within(60, clock))
            assert update.event_count_300s == len(oracle.within(300, clock))
            assert update.total_value_usd == oracle.usd(300, clock)
            assert update.long_value_usd == oracle.usd(300, clock, "long")
            assert update.short_value_usd == oracle.usd(300, clock, "short")


@given(steps)
def test_measurements_are_finite_and_bounded_and_clocks_follow_their_rule(drawn):
    feed, clocks, last_context = Feed(), dict.fromkeys(SYMBOLS, 0), 0
    grace = micros(GRACE)
    for message, carried in messages(drawn):
        event = feed.put(message, with_context=carried)
        time = micros(message.timestamp)
        market = last_context - grace if last_context else 0
        if event.context is not None:
            last_context = max(last_context, micros(event.context.timestamp))
        for found in event.measurements:
            own = {"liquidation": time, "price": time - grace, "context": last_context - grace}[found.trigger]
            assert found.clock == max(clocks[found.symbol], own, market)
            assert found.trigger != "context" or found.clock > clocks[found.symbol]
            assert found.trigger != "price" or found.clock == max(own, market)
            clocks[found.symbol] = found.clock
            assert isfinite(found.acceleration)
            assert isfinite(found.jerk)
            assert found.velocity >= 0
            assert found.volume_usd >= 0
            assert abs(found.correlation) <= 1 + 1e-9
            assert (found.leader is not None) or found.velocity == 0
            assert feed.states.get(found.symbol).active or not found.recent


@given(steps)
def test_updates_are_numbered_and_a_second_apart_and_differ(drawn):
    feed, last = Feed(), {}
    for message, carried in messages(drawn):
        for output in feed.put(message, with_context=carried).outputs:
            update, before = output.body, last.get(output.key)
            last[output.key] = update
            assert update.sequence == (before.sequence + 1 if before else 1)
            if before:
                assert micros(update.timestamp) - micros(before.timestamp) >= 1_000_000
                told = [(each.timestamp, each.sequence) for each in (update, before)]
                assert len(set(told)) == 2
                before.timestamp, before.sequence = update.timestamp, update.sequence
                assert update != before


@given(
    st.lists(st.tuples(st.integers(0, 9_000), st.integers(1, 10**12)), min_size=1, max_size=40), st.randoms()
)
def test_the_order_of_liquidations_changes_no_sum(drawn, rng):
    def totals(order):
        feed = Feed()
        feed.put(Price(SYMBOL, 1.0, START + 13))  # the clock stands at 10 s
        for number, (age, cents) in order:
            feed.put(liquidation(10 - age / 1_000, usd=cents / 100, number=number))
        windows, clock = feed.state().windows, feed.state().clock
        return [
            window.totals(clock) for window in (windows.burst, windows.short, windows.base, windows.longest)
        ]

    numbered = list(enumerate(drawn))
    shuffled = numbered.copy()
    rng.shuffle(shuffled)
    assert totals(shuffled) == totals(numbered)
