"""The velocity stage: clocks, formulas, what is late or repeated, and the updates that it sends."""

import itertools

import msgspec
import pytest
from velocity_cases import START, SYMBOL, Feed, context, liquidation, price

from pipeline import contract
from pipeline.features.event import Event
from pipeline.features.state import SHARED
from pipeline.features.states import read_snapshot, snapshot
from pipeline.features.velocity import VelocityConstants
from pipeline.messages import Funding, micros


def at(seconds):
    return micros(START + seconds)


def fill(feed, times, **keywords):
    return [feed.put(liquidation(time, **keywords)) for time in times]


def updates(events):
    return [output.body for event in events for output in event.outputs]


# Formulas


def test_one_liquidation_by_hand():
    found = Feed().measure(liquidation(0, usd=2_500.0))
    assert (found.symbol, found.trigger, found.clock, found.event_time) == (
        SYMBOL,
        "liquidation",
        at(0),
        at(0),
    )
    assert found.velocity == 0.1
    assert found.acceleration == (0.5 - 0.1) / 4
    assert found.jerk == pytest.approx(((2 - 0.5) / 0.75 - 0.1) / 2.375)
    assert found.volume_usd == 250.0
    assert found.recent
    assert (found.correlation, found.leader) == (0, "binance")


def test_volume_is_that_of_ten_seconds_a_second():
    feed = Feed()
    fill(feed, range(300), usd=1_000.0)
    # Ten liquidations of 1,000 USD lie in the 10 s window, whatever the longer windows hold.
    assert feed.measure(liquidation(299.9, usd=1_000.0)).volume_usd == 1_100.0


def test_rising_velocity_gives_positive_acceleration():
    feed = Feed()
    fill(feed, [0, 2, 4, 6])
    fill(feed, [8 + step / 10 for step in range(20)])
    found = feed.measure(liquidation(10))
    # 20 in the 2 s up to 10 (8.1 to 10.0), 24 in the 10 s (the one at 0 has left).
    assert found.velocity == 2.4
    assert found.acceleration == pytest.approx((10 - 2.4) / 4)


def test_falling_velocity_gives_negative_acceleration():
    feed = Feed()
    fill(feed, [step / 10 for step in range(50)])
    found = feed.measure(price(10.5))
    assert found.clock == at(7.5)
    assert found.velocity == 5.0
    assert found.acceleration == (0 - 5.0) / 4


def test_steady_liquidations_neither_accelerate_nor_jerk():
    feed = Feed()
    found = [event.measurements[0] for event in fill(feed, [0.05 + step / 10 for step in range(150)])][-1]
    assert found.velocity == 10.0
    assert found.acceleration == 0
    assert found.jerk == 0


def test_jerk_compares_two_accelerations():
    feed = Feed()
    fill(feed, [0, 0.01, 0.02, 0.03], usd=1.0)
    found = feed.measure(liquidation(1.0))
    # 0.5 s: 1 event, 2 s: 5, 10 s: 5.
    assert found.acceleration == (2.5 - 0.5) / 4
    assert found.jerk == pytest.approx(((2 - 2.5) / 0.75 - 0.5) / 2.375)


def test_venues_that_move_together_are_correlated_and_the_leader_is_named():
    feed = Feed()
    for second in (0, 1, 2, 5, 9):
        for usd, exchange in enumerate(("okx", "bybit", "okx"), 1):
            found = feed.measure(liquidation(second, exchange=exchange, usd=usd))
    assert found.correlation == pytest.approx(1.0)
    assert found.leader == "okx"


# The clock


def test_the_clock_follows_liquidations_prices_and_contexts():
    feed = Feed()
    assert feed.measure(liquidation(0)).clock == at(0)
    assert feed.measure(price(10)).clock == at(7)
    (found,) = feed.put(context(12)).measurements
    assert (found.clock, found.trigger, found.symbol) == (at(9), "context", SYMBOL)
    assert feed.measure(liquidation(8)).clock == at(9)


def test_the_event_time_is_that_of_the_newest_event_of_the_symbol():
    feed = Feed()
    feed.put(liquidation(0))
    assert feed.measure(price(10)).event_time == at(10)
    assert feed.measure(liquidation(5)).event_time == at(10)
    (found,) = feed.put(context(30)).measurements
    assert found.event_time == at(10)


def test_a_price_feed_that_leads_by_two_seconds_does_not_empty_the_short_windows():
    feed = Feed()
    for step in range(50):
        feed.put(price(step / 10 + 2))
        found = feed.measure(liquidation(step / 10))
        assert found.clock == at(step / 10)
    assert feed.state().windows.burst.count(found.clock) == 5


def test_a_tick_that_does_not_move_the_clock_measures_nothing():
    feed = Feed()
    feed.put(liquidation(10))
    assert feed.put(price(12)).measurements == []
    assert feed.put(price(12.9)).measurements == []
    assert feed.put(context(13)).measurements == []
    assert feed.state().clock == at(10)


def test_a_price_measures_once_where_a_context_has_moved_the_clock_that_far():
    feed = Feed()
    feed.put(liquidation(10))
    feed.put(context(20))
    assert [found.clock for found in feed.put(price(20)).measurements] == [at(17)]
    assert feed.put(price(20)).measurements == []


def test_prices_alone_make_a_clock():
    found = Feed().measure(price(3))
    assert (found.clock, found.velocity, found.recent, found.leader) == (at(0), 0, False, None)


def test_a_liquidation_measures_even_when_the_clock_stands():
    feed = Feed()
    feed.put(liquidation(10))
    found = feed.measure(liquidation(9.95))
    assert (found.clock, found.velocity) == (at(10), 0.2)


def test_a_context_counts_for_symbols_that_it_did_not_tick():
    feed = Feed()
    feed.put(context(100))
    assert feed.measure(liquidation(50)).clock == at(97)
    assert feed.measure(price(40, symbol="SOLUSDT")).clock == at(97)


def test_a_context_ticks_active_symbols_until_they_have_been_quiet_for_a_minute():
    feed = Feed()
    feed.put(liquidation(0))
    feed.put(liquidation(50, symbol="SOLUSDT"))
    assert {found.symbol for found in feed.put(context(60)).measurements} == {SYMBOL, "SOLUSDT"}
    found = {found.symbol: found for found in feed.put(context(64)).measurements}
    assert not found[SYMBOL].recent
    assert found[SYMBOL].velocity == 0
    assert found["SOLUSDT"].recent
    assert {found.symbol for found in feed.put(context(65)).measurements} == {SYMBOL, "SOLUSDT"}


def test_a_quiet_symbol_is_ticked_until_a_fall_of_its_level_cannot_be_due_any_more():
    feed = Feed()
    feed.put(liquidation(0))
    for time in (60, 64, 64.05, 69.9, 70.1):
        assert [found.symbol for found in feed.put(context(time)).measurements] == [SYMBOL]
    assert feed.put(context(71)).measurements == []


def test_a_context_that_is_not_newer_is_ignored():
    feed = Feed()
    feed.put(liquidation(0))
    feed.put(context(10, btc_price=1.0))
    for time in (10, 9):
        assert feed.put(context(time, btc_price=2.0)).measurements == []
    assert feed.states.get(SHARED).context.btc_price == 1.0


def test_a_price_that_carries_a_context_ticks_its_symbol_first():
    feed = Feed()
    feed.put(liquidation(0, symbol="BTCUSDT"))
    feed.put(liquidation(0))
    found = feed.put(price(10, symbol="BTCUSDT"), with_context=context(10)).measurements
    assert [(each.symbol, each.trigger) for each in found] == [("BTCUSDT", "price"), (SYMBOL, "context")]


def test_of_two_states_the_one_that_has_read_further_is_the_newer_then_the_one_of_the_later_clock():
    orders = []
    for ticks in ([], [context(10)], [liquidation(1)], [liquidation(1), context(9)]):
        feed = Feed()
        for message in (liquidation(0), *ticks):
            feed.put(message)
        orders.append(read_snapshot(snapshot(feed.state())).order)
    assert orders == sorted(set(orders))


def test_other_topics_change_nothing():
    feed = Feed()
    event = Event(contract.FUNDING, SYMBOL, Funding(SYMBOL, 0.0001, START), at(0), 0)
    feed.stage.step(event, feed.states)
    assert (event.measurements, event.outputs, feed.states.live) == ([], [], {})


def test_clocks_that_jump_for_years_are_followed():
    feed = Feed()
    feed.put(liquidation(0))
    found = feed.measure(liquidation(1e9))
    assert (found.clock, found.velocity) == (at(1e9), 0.1)
    assert feed.put(liquidation(-7e8)).measurements == []


# Late and repeated


def test_a_liquidation_older_than_the_longest_window_is_counted_as_late():
    feed = Feed()
    feed.put(liquidation(400))
    before = feed.state().freeze()
    event = feed.put(liquidation(99))
    assert (event.measurements, event.outputs) == ([], [])
    assert feed.state().late == 1
    assert msgspec.structs.replace(feed.state().freeze(), late=0) == before


def test_a_late_liquidation_of_an_unknown_symbol_leaves_no_trace_but_the_count():
    feed = Feed()
    feed.put(context(1_000))
    assert feed.put(liquidation(0)).measurements == []
    assert (feed.state().late, feed.state().clock) == (1, 0)
    assert Feed(feed.states.take_snapshots()).state().late == 1


def test_a_liquidation_within_the_longest_window_counts_there_alone():
    feed = Feed()
    feed.put(liquidation(200))
    found = feed.measure(liquidation(0))
    assert found.velocity == 0.1
    assert feed.state().windows.longest.count(found.clock) == 2
    assert feed.state().late == 0


def test_a_repeat_is_counted_and_changes_nothing():
    feed = Feed()
    feed.put(liquidation(0, number=7))
    event = feed.put(liquidation(1, number=7))
    assert (event.measurements, event.outputs) == ([], [])
    assert feed.state().duplicates.repeats == 1
    assert feed.state().clock == at(0)


def test_records_that_were_applied_are_skipped():
    feed = Feed()
    feed.put(liquidation(0), offset=5)
    feed.put(price(10), offset=5)
    assert feed.put(liquidation(20), offset=5).measurements == []
    assert feed.put(price(30), offset=4).measurements == []
    assert feed.state().clock == at(7)


def test_all_messages_of_one_record_are_folded():
    feed = Feed()
    first = Event(contract.LIQUIDATIONS, SYMBOL, liquidation(0), at(0), 0, last=False)
    second = Event(contract.LIQUIDATIONS, SYMBOL, liquidation(1), at(1), 0)
    for event in (first, second):
        feed.stage.step(event, feed.states)
    assert second.measurements[0].velocity == 0.2


# Updates


def test_an_update_tells_what_the_windows_hold():
    feed = Feed()
    feed.put(context(0, btc_price=64_000.5, risk=2.25))
    fill(feed, [0, 20, 50], side="short", usd=1_000.25)
    (update,) = updates([feed.put(liquidation(200, usd=2_000.0)), feed.put(liquidation(200.5))])
    assert msgspec.structs.asdict(update) == {
        "symbol": SYMBOL,
        "timestamp": START + 200,
        "event_count_10s": 1,
        "event_count_30s": 1,
        "event_count_60s": 1,
        "event_count_300s": 4,
        "velocity_10s": 0.1,
        "velocity_30s": 0.03,
        "velocity_60s": 0.02,
        "velocity_300s": 0.01,
        "acceleration": 0.1,
        "jerk": 0.8,
        "volume_usd": 200.0,
        "total_value_usd": 5_000.75,
        "long_value_usd": 2_000.0,
        "short_value_usd": 3_000.75,
        "btc_price": 64_000.5,
        "volatility_factor": 2.25,
        "exchange_correlation": 0.0,
        "leading_exchange": "binance",
        "late_events": 0,
        "duplicates": 0,
        "sequence": 4,
    }


def test_updates_are_keyed_by_symbol_and_go_to_their_topic():
    (output,) = Feed().put(liquidation(0)).outputs
    assert (output.topic, output.key) == (contract.VELOCITY, SYMBOL)
    assert output.body.btc_price is None
    assert output.body.volatility_factor is None
    assert output.body.sequence == 1


def test_updates_come_at_most_once_a_second_of_event_time():
    feed = Feed()
    found = updates(fill(feed, [step / 10 for step in range(100)]))
    assert [update.timestamp - START for update in found] == [pytest.approx(second) for second in range(10)]
    assert [update.sequence for update in found] == list(range(1, 11))


def test_an_update_that_would_tell_nothing_new_is_not_sent():
    feed = Feed()
    assert len(updates(feed.put(price(second)) for second in range(3, 400))) == 1
    feed.put(liquidation(397))
    found = updates(feed.put(price(second)) for second in range(401, 1_200))
    assert len(found) < 20
    assert found[-1].event_count_300s == 0
    assert feed.put(price(1_300)).outputs == []


def test_late_and_repeated_liquidations_show_in_the_next_update():
    feed = Feed()
    feed.put(liquidation(400, number=1))
    feed.put(liquidation(400, number=1))
    feed.put(liquidation(0))
    (update,) = updates([feed.put(liquidation(401))])
    assert (update.late_events, update.duplicates) == (1, 1)


def test_zero_has_no_sign():
    feed = Feed()
    fill(feed, [0] * 3)
    (update,) = updates([feed.put(price(302))])
    assert [str(value) for value in (update.acceleration, update.jerk)] == ["0.0", "0.0"]


# Snapshots


def test_the_state_of_the_market_is_the_newest_context():
    feed = Feed()
    assert feed.states.get(SHARED).position == (0,)
    assert snapshot(feed.states.get(SHARED))
    feed.put(context(5))
    stored = feed.states.take_snapshots()
    assert read_snapshot(stored[SHARED]).position == (at(5),)
    assert not read_snapshot(stored[SHARED]).active
    assert Feed(stored).states.get(SHARED).context == context(5)


def test_a_market_without_context_is_restored_as_such():
    stored = {SHARED: snapshot(Feed().states.get(SHARED))}
    market = Feed(stored).states.get(SHARED)
    assert (market.context, market.time) == (None, 0)


def test_active_symbols_are_ticked_after_a_restart():
    feed = Feed()
    feed.put(liquidation(0))
    feed.put(price(1, symbol="SOLUSDT"))
    restored = Feed(feed.states.take_snapshots())
    assert [found.symbol for found in restored.put(context(30)).measurements] == [SYMBOL]


def test_a_tick_is_kept_in_the_next_snapshot():
    feed = Feed()
    feed.put(liquidation(0))
    feed.states.take_snapshots()
    feed.put(context(30))
    assert feed.states.take_snapshots().keys() == {SHARED, SYMBOL}


def test_a_snapshot_of_other_windows_starts_with_fresh_ones():
    feed = Feed()
    fill(feed, range(20))
    other = Feed(
        feed.states.take_snapshots(),
        VelocityConstants(windows_s=(0.2, 1, 5, 10, 30, 60, 300)),
    )
    assert (other.state().recent, other.state().active) == (False, True)
    assert other.measure(liquidation(21), offset=100).velocity == 0.1


def test_the_largest_snapshot_is_below_64_kib():
    feed = Feed()
    names = [f"{number:02}" + "\U0001f40b" * 62 for number in range(16)]
    numbers = itertools.count()
    for step in range(3_600):
        time = step / 12 + 0.004 * (step % 12)
        fill(feed, [time], exchange=names[step % 16], usd=9e9, side=("long", "short")[step % 2])
    for step in range(16 * 60 * 5):
        feed.put(liquidation(300 + step / 80, exchange=names[step % 16], usd=9e9, number=f"{next(numbers)}"))
    fill(feed, [360 - step / 200 for step in range(100)], usd=9e9, side="short")
    state = feed.state()
    assert len(state.duplicates) == 4_096
    assert state.duplicates.overflow > 0
    assert 40_960 < len(snapshot(state)) < 64 * 1024


# Constants


def test_the_default_constants_are_the_contracts():
    constants = VelocityConstants()
    assert constants.windows_s == (0.1, 0.5, 2, 10, 30, 60, 300)
    assert (constants.grace_s, constants.publish_s, constants.repeat_s) == (3, 1, 60)
    assert (constants.repeats_remembered, constants.correlation_s, constants.correlation_least_s) == (
        4_096,
        60,
        3,
    )


@pytest.mark.parametrize(
    "windows",
    [(0.1, 0.5, 2, 10, 30, 60, 200), (0.5, 0.1, 2, 10, 30, 60, 300), (0.1, 0.1, 2, 10, 30, 60, 300)],
)
def test_windows_that_the_messages_could_not_name_are_refused(windows):
    with pytest.raises(ValueError, match="windows_s"):
        VelocityConstants(windows_s=windows)


def test_windows_that_do_not_share_buckets_are_refused():
    with pytest.raises(ValueError, match="multiples of a 20th"):
        VelocityConstants(windows_s=(0.1, 0.5, 3, 10, 30, 60, 300))


@pytest.mark.parametrize(
    ("field", "value"),
    [("grace_s", -1), ("repeats_remembered", 5_000), ("correlation_venues", 1), ("grace", 3)],
)
def test_impossible_constants_are_refused_by_name(field, value):
    with pytest.raises(msgspec.ValidationError, match=field):
        msgspec.convert({field: value}, VelocityConstants)
