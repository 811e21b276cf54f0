import msgspec
import pytest
from msgspec import UNSET
from scoring_cases import MINUTE, SECOND, START, Scoring, context, measurement, reading, silence

from pipeline import codec
from pipeline.contract import ALERTS, CRITICAL, FEED_STATUS, SIGNALS
from pipeline.features.state import SHARED
from pipeline.features.states import States, snapshot
from pipeline.messages import COMPONENTS, FeedGap, seconds
from pipeline.signals.as_of import FOREVER
from pipeline.signals.feeds import MOST_GAPS
from pipeline.signals.profile import SEED
from pipeline.signals.scoring_state import MOST_CONTEXTS, MOST_READINGS, MOST_WEIGHT_SETS

EVEN = dict.fromkeys(COMPONENTS, 1 / 6)
ONLY_VELOCITY = {**dict.fromkeys(COMPONENTS, 0.0), "velocity": 1.0}
#: Velocities that lead to each level by its floor alone, with the acceleration that goes with them.
WATCH, ALERT = {"velocity": 12.0}, {"velocity": 22.0}
CRITICAL_, EXTREME = {"velocity": 60.0, "acceleration": 21.0}, {"velocity": 101.0, "acceleration": 41.0}


def with_interval(seconds):
    score = msgspec.structs.replace(SEED.score, emit_interval_s=seconds)
    return msgspec.structs.replace(SEED, name="other", score=score)


def test_a_signal_has_every_field_in_its_place():
    scoring = Scoring()
    scoring.step(scoring.feed.context(context(START - SECOND, "HIGH", risk=2.83, sensitivity=0.7)))
    scoring.step(scoring.feed.positioning(reading(START, change=0.0216, rate=0.000189)))
    signal = scoring.measure(
        clock=START + 1_234_567,
        event_time=START + 1_200_000,
        velocity=41.254,
        acceleration=13.076,
        jerk=-0.0001,
        volume_usd=36_050_000.004,
        correlation=0.84721,
        leader="binance",
    )
    # 1.2 x 2.83 x 0.7 x (.25 x .82508 + .2 x .6538 + .2 x .721 + .15 x .432 + .1 x .189 + .1 x .566)
    expected = {
        "symbol": "SOLUSDT",
        "timestamp": 1_760_000_001.234567,
        "signal": "EXTREME",
        "signal_level": 4,
        "probability": 1.0,
        "scores": {
            "velocity": 0.825,
            "acceleration": 0.654,
            "volume": 0.721,
            "oi_change": 0.432,
            "funding": 0.189,
            "volatility": 0.566,
        },
        "metrics": {
            "velocity": 41.25,
            "acceleration": 13.08,
            "volume_usd": 36_050_000.0,
            "oi_change_1m": 0.0216,
            "funding_rate": 0.000189,
            "jerk": 0.0,
            "no_data": [],
        },
        "context": {
            "volatility_regime": "HIGH",
            "btc_price": 60_000.0,
            "vol_risk_multiplier": 2.83,
            "leading_exchange": "binance",
            "exchange_correlation": 0.847,
            "market_regime": "HIGH",
            "cascade_sensitivity": 0.7,
            "velocity_threshold_multiplier": 1.0,
            "timestamp": 1_759_999_999.0,
            "stale": False,
            "warming": False,
        },
        "meta": {
            "processing_time_ms": 0.0,
            "profile": "seed",
            "weights_version": 0,
            "raw_score": 1.4775,
            "level_reason": "probability",
            "event_timestamp": 1_760_000_001.2,
        },
        "id": "SOLUSDT-1760000001234-1",
        "sequence": 1,
        "schema_version": 1,
    }
    assert codec.encode(signal) == codec.encode(expected)


def test_a_signal_without_surroundings_names_what_had_no_data():
    signal = Scoring().measure(velocity=12.0)
    assert signal.metrics.no_data == ["oi_change", "funding", "volatility"]
    assert codec.to_dict(signal)["context"] == {
        "volatility_regime": None,
        "btc_price": None,
        "vol_risk_multiplier": 1.0,
        "leading_exchange": None,
        "exchange_correlation": 0.0,
        "market_regime": None,
        "cascade_sensitivity": 1.0,
        "velocity_threshold_multiplier": 1.0,
        "timestamp": None,
        "stale": True,
        "warming": False,
    }
    assert (signal.scores.volatility, signal.signal, signal.meta.level_reason) == (0.0, "WATCH", "floor")


@pytest.mark.parametrize("symbol", ["SOLUSDT", "1000PEPE-USDT", "龙USDT"])
def test_the_symbol_stays_the_symbol(symbol):
    # The system this replaces published a hash in its place.
    scoring = Scoring()
    event = scoring.feed.liquidation(measurement(symbol=symbol, **EXTREME))
    outputs = scoring.step(event)
    assert {output.key for output in outputs} == {symbol}
    assert {output.message["symbol"] for output in outputs} == {symbol}
    assert outputs[0].body.id == f"{symbol}-{START // 1000}-1"


@pytest.mark.parametrize(
    ("changes", "topics"),
    [
        ({}, [SIGNALS]),
        (WATCH, [SIGNALS]),
        (ALERT, [SIGNALS, ALERTS]),
        (CRITICAL_, [SIGNALS, ALERTS, CRITICAL]),
        (EXTREME, [SIGNALS, ALERTS, CRITICAL]),
    ],
)
def test_alerts_and_critical_signals_have_topics_of_their_own(changes, topics):
    scoring = Scoring()
    outputs = scoring.step(scoring.feed.liquidation(measurement(**changes)))
    assert [output.topic for output in outputs] == topics
    assert all(output.message == outputs[0].message for output in outputs)


def test_the_first_signal_of_a_symbol_is_sent_at_once():
    scoring = Scoring()
    assert scoring.measure().signal == "NONE"
    assert scoring.measure(symbol="XRPUSDT", clock=START + 1).sequence == 1


def test_a_rise_is_sent_at_once():
    scoring = Scoring()
    levels = [
        scoring.measure(clock=START + step, **changes).signal
        for step, changes in enumerate(({}, WATCH, ALERT, CRITICAL_, EXTREME))
    ]
    assert levels == ["NONE", "WATCH", "ALERT", "CRITICAL", "EXTREME"]


@pytest.mark.parametrize("then", [{}, WATCH, ALERT])
def test_a_fall_or_no_change_waits_for_the_interval(then):
    scoring = Scoring()
    scoring.measure(**ALERT)
    assert scoring.measure(clock=START + 99_999, **then) is None
    assert scoring.measure(clock=START + 100_000, **then).sequence == 2


@pytest.mark.parametrize("then", [{}, ALERT, EXTREME])
def test_at_the_highest_level_everything_waits_for_the_interval(then):
    scoring = Scoring()
    scoring.measure(**EXTREME)
    assert scoring.measure(clock=START + 99_999, **then) is None
    assert scoring.states.get("SOLUSDT").clock == START + 99_999
    assert scoring.measure(clock=START + 100_000, **then).sequence == 2


def test_a_quiet_symbol_does_not_rise_whatever_the_market():
    scoring = Scoring()
    scoring.tick(recent=False)
    scoring.step(scoring.feed.context(context(START + SECOND, risk=10.0, sensitivity=1.5)))
    assert scoring.tick(clock=START + SECOND, recent=False) is None
    assert scoring.tick(clock=START + 10 * SECOND, recent=False).signal == "NONE"


def test_without_an_interval_every_record_is_sent():
    scoring = Scoring(with_interval(0.0))
    sent = [scoring.measure(clock=START + step // 2, **ALERT) for step in range(6)]
    assert [signal.sequence for signal in sent] == [1, 2, 3, 4, 5, 6]
    assert scoring.measure(clock=START + 3).signal == "NONE"
    assert scoring.measure(clock=START + 4) is None


def test_an_unchanged_none_is_sent_every_ten_seconds():
    scoring = Scoring()
    scoring.measure()
    assert scoring.measure(clock=START + 10 * SECOND - 1) is None
    assert scoring.measure(clock=START + 10 * SECOND).sequence == 2
    assert scoring.measure(clock=START + 19 * SECOND) is None


def test_a_fall_that_was_held_back_is_no_ground_for_a_rise():
    scoring = Scoring()
    scoring.measure(**CRITICAL_)
    assert scoring.measure(clock=START + 10_000) is None
    assert scoring.measure(clock=START + 20_000, **ALERT) is None
    assert scoring.measure(clock=START + 30_000, **EXTREME).signal == "EXTREME"


def test_the_regime_reaches_the_level():
    levels = []
    for multiplier in (0.5, 1.0, 2.5):
        scoring = Scoring()
        scoring.step(scoring.feed.context(context(multiplier=multiplier)))
        levels.append(scoring.measure(**WATCH).signal)
    assert levels == ["ALERT", "WATCH", "NONE"]


def test_timestamps_never_decrease_when_a_measurement_is_behind():
    scoring = Scoring(with_interval(0.0))
    clocks = [START + 5 * SECOND, START + 2 * SECOND, START + 6 * SECOND]
    sent = [scoring.measure(clock=clock, **ALERT).timestamp for clock in clocks]
    assert sent == [1_760_000_005.0, 1_760_000_005.0, 1_760_000_006.0]


def test_a_clock_is_no_further_behind_the_market_than_the_grace():
    scoring = Scoring()
    scoring.step(scoring.feed.context(context(START + 30 * SECOND)))
    assert scoring.measure().timestamp == 1_760_000_027.0


def test_a_liquidation_that_was_applied_is_skipped():
    scoring = Scoring(with_interval(0.0))
    event = scoring.feed.liquidation(measurement(**ALERT))
    assert scoring.step(event)
    assert not scoring.step(event)


def test_every_message_of_a_record_counts_and_a_repeat_of_the_record_does_not():
    scoring = Scoring(with_interval(0.0))
    first = scoring.feed.liquidation(measurement(**ALERT), last=False)
    second = scoring.feed.liquidation(measurement(clock=START + 1, **ALERT))
    assert [len(scoring.step(event)) for event in (first, second, first, second)] == [2, 2, 0, 0]


def test_a_liquidation_that_measured_nothing_is_applied_all_the_same():
    scoring = Scoring()
    event = scoring.feed.liquidation()
    assert not scoring.step(event)
    assert scoring.states.open(event) is None


def test_a_tick_counts_only_when_it_moves_the_clock():
    scoring = Scoring(with_interval(0.0))
    scoring.measure(**ALERT)
    assert scoring.tick(**ALERT) is None
    assert scoring.tick(clock=START - 1, **ALERT) is None
    assert scoring.tick(clock=START + 1, **ALERT).sequence == 2


def test_a_price_measures_a_symbol_at_none():
    scoring = Scoring()
    assert scoring.tick().signal == "NONE"
    assert scoring.tick(clock=START + 10 * SECOND).sequence == 2


def test_the_market_brings_down_what_is_above_none_and_leaves_the_rest_alone():
    scoring = Scoring()
    scoring.measure(**ALERT)
    scoring.measure(symbol="XRPUSDT")
    later = START + 20 * SECOND
    ticks = [
        measurement(symbol=symbol, clock=later, trigger="context", recent=False)
        for symbol in ("SOLUSDT", "XRPUSDT", "NEWUSDT")
    ]
    outputs = scoring.step(scoring.feed.context(context(later), *ticks))
    assert [(output.key, output.body.signal) for output in outputs] == [("SOLUSDT", "NONE")]
    assert scoring.states.get("XRPUSDT").clock == START
    assert not scoring.step(scoring.feed.context(context(later + SECOND), *ticks))


def test_a_price_of_the_reference_symbol_brings_context_and_ticks():
    scoring = Scoring()
    scoring.measure(**ALERT)
    tick = measurement(clock=START + SECOND, trigger="context", **ALERT)
    event = scoring.feed.price(tick, symbol="BTCUSDT", found=context(START + SECOND, "LOW"))
    assert scoring.signal(event).context.volatility_regime == "LOW"


def test_a_context_that_is_not_newer_is_ignored():
    scoring = Scoring()
    scoring.step(scoring.feed.context(context(START, "HIGH")))
    scoring.states.take_snapshots()
    scoring.step(scoring.feed.context(context(START, "LOW")))
    scoring.step(scoring.feed.context(context(START - 1, "LOW")))
    assert not scoring.states.take_snapshots()
    assert scoring.measure().context.volatility_regime == "HIGH"


def test_a_context_is_joined_as_of_the_clock():
    scoring = Scoring(with_interval(0.0))
    scoring.step(scoring.feed.context(context(START, "LOW")))
    scoring.step(scoring.feed.context(context(START + 2 * SECOND, "HIGH")))
    clocks = [START + 2 * SECOND - 1, START + 2 * SECOND]
    sent = [scoring.measure(clock=clock, **ALERT).context for clock in clocks]
    assert [(found.market_regime, found.timestamp) for found in sent] == [
        ("LOW", START / SECOND),
        ("HIGH", START / SECOND + 2),
    ]


def test_a_context_that_has_outlived_its_minute_is_stale_and_says_since_when():
    scoring = Scoring()
    scoring.step(scoring.feed.context(context(risk=2.0, sensitivity=0.5, multiplier=2.5)))
    fresh = scoring.measure(clock=START + MINUTE, **WATCH)
    assert (fresh.signal, fresh.context.stale) == ("NONE", False)
    late = scoring.measure(clock=START + MINUTE + 1, **WATCH)
    assert (late.signal, late.context.stale, late.context.timestamp) == ("WATCH", True, START / SECOND)
    assert (late.context.vol_risk_multiplier, late.context.cascade_sensitivity) == (1.0, 1.0)
    assert late.metrics.no_data == ["oi_change", "funding", "volatility"]


def test_a_warming_market_says_so():
    scoring = Scoring()
    scoring.step(scoring.feed.context(context(warming=True)))
    assert scoring.measure().context.warming


def test_positioning_is_joined_as_of_the_clock_and_by_lifetime():
    scoring = Scoring(with_interval(0.0))
    scoring.step(scoring.feed.positioning(reading(START, change=0.01, rate=0.0002)))
    scoring.step(scoring.feed.funding(reading(START + SECOND, change=0.02, rate=0.0004)))
    clocks = [START + SECOND - 1, START + SECOND, START + SECOND + 6 * MINUTE + 1]
    sent = [scoring.measure(clock=clock, **ALERT).metrics for clock in clocks]
    assert [(found.oi_change_1m, found.funding_rate) for found in sent] == [
        (0.01, 0.0002),
        (0.02, 0.0004),
        (0.0, 0.0004),
    ]
    assert sent[2].no_data == ["oi_change", "volatility"]


def test_positioning_that_was_applied_is_skipped():
    scoring = Scoring()
    events = [scoring.feed.positioning(reading(START + step)) for step in range(2)]
    for event in (*events, *events):
        scoring.step(event)
    assert scoring.states.get("SOLUSDT").readings.times == [START, START + 1]


def test_a_reading_of_a_late_event_does_not_move_the_state_backwards():
    scoring = Scoring()
    scoring.step(scoring.feed.positioning(reading(START, change=0.01)))
    scoring.step(scoring.feed.positioning(reading(START - SECOND, change=0.02)))
    assert scoring.states.get("SOLUSDT").readings.times == [START]
    assert scoring.measure().metrics.oi_change_1m == 0.02


def test_weights_hold_from_their_timestamp_on():
    scoring = Scoring(with_interval(0.0))
    scoring.step(scoring.feed.control(ONLY_VELOCITY, version=7, time=START + SECOND))
    sent = [scoring.measure(clock=clock, velocity=25.0) for clock in (START + SECOND - 1, START + SECOND)]
    assert [(found.probability, found.meta.weights_version) for found in sent] == [(0.125, 0), (0.5, 7)]


def test_null_goes_back_to_the_profiles_weights():
    scoring = Scoring(with_interval(0.0))
    scoring.step(scoring.feed.control(ONLY_VELOCITY, version=1))
    assert scoring.measure(velocity=25.0).probability == 0.5
    scoring.step(scoring.feed.control(None, version=2, time=START + 1))
    signal = scoring.measure(velocity=25.0, clock=START + 1)
    assert (signal.probability, signal.meta.weights_version) == (0.125, 2)


@pytest.mark.parametrize(("version", "time"), [(9, START - 1), (1, START), (2, START)])
def test_older_weights_are_ignored(version, time):
    scoring = Scoring()
    scoring.step(scoring.feed.control(ONLY_VELOCITY, version=2))
    scoring.step(scoring.feed.control(EVEN, version=version, time=time))
    assert scoring.stage.current_weights(scoring.states) == ONLY_VELOCITY


def test_of_the_same_time_the_higher_version_counts():
    scoring = Scoring()
    scoring.step(scoring.feed.control(ONLY_VELOCITY, version=2))
    scoring.step(scoring.feed.control(EVEN, version=3))
    assert scoring.measure().meta.weights_version == 3


def test_current_weights_are_the_profiles_until_others_are_set():
    scoring = Scoring()
    assert scoring.stage.current_weights(scoring.states) == SEED.score.weights
    scoring.step(scoring.feed.control(EVEN))
    assert scoring.stage.current_weights(scoring.states) == EVEN
    scoring.step(scoring.feed.control(None, version=2))
    assert scoring.stage.current_weights(scoring.states) == SEED.score.weights


def test_a_signal_tells_of_silent_feeds_and_says_nothing_when_there_are_none():
    scoring = Scoring()

    def told(time):
        return scoring.measure(clock=START + time * SECOND, **ALERT).context.feeds

    since, until = seconds(START) - 30, seconds(START) + 3
    assert told(0) is UNSET
    scoring.step(scoring.feed.silence(silence(-30, told=1)))
    assert told(1) == told(2) == [FeedGap("okx", since, None)]
    scoring.step(scoring.feed.silence(silence(-30, 3)))
    assert told(3) == told(302) == [FeedGap("okx", since, until)]
    assert told(303) is UNSET


def test_what_was_told_of_a_feed_is_read_once():
    scoring = Scoring()
    began, ended = scoring.feed.silence(silence(-30)), scoring.feed.silence(silence(-30, -20))
    for event in (began, ended):
        scoring.step(event)
    before = snapshot(scoring.states.get(SHARED))
    for event in (began, ended):
        scoring.step(event)
    assert snapshot(scoring.states.get(SHARED)) == before


def test_a_topic_of_feeds_that_was_made_anew_is_read_from_its_beginning():
    before, after = Scoring(), Scoring()
    for status in (silence(-30), silence(-20, exchange="gate")):
        before.step(before.feed.silence(status))
    after.states = States(after.stage.new, before.states.take_snapshots(), [FEED_STATUS])
    after.step(after.feed.silence(silence(-30, 0)))
    ended, lasting = (before.states.get(SHARED), after.states.get(SHARED))
    assert [gap.until for gap in lasting.feeds.gaps] == [START, FOREVER]
    assert lasting.order > ended.order


def test_every_message_of_a_record_tells_of_a_feed():
    scoring = Scoring()
    scoring.step(scoring.feed.silence(silence(-30), last=False))
    scoring.step(scoring.feed.silence(silence(-20, exchange="gate")))
    assert [gap.exchange for gap in scoring.measure().context.feeds] == ["gate", "okx"]


def test_what_was_told_of_feeds_makes_the_markets_state_no_older_and_never_idle():
    scoring = Scoring()
    scoring.step(scoring.feed.silence(silence(-30)))
    assert scoring.states.get(SHARED).newest == 0
    assert scoring.states.forget(START + 10_000 * 1_440 * MINUTE, dict) == {}


def test_a_state_of_before_feeds_were_known_is_taken_up_and_one_without_gaps_is_as_it_was():
    scoring = Scoring()
    scoring.step(scoring.feed.context(context()))
    frozen = scoring.states.get(SHARED).freeze()
    assert len(frozen) == 5
    state = scoring.stage.new(SHARED)
    state.thaw(frozen)
    assert state.feeds.gaps == []
    scoring.step(scoring.feed.silence(silence(0)))
    assert scoring.states.get(SHARED).freeze()[:5] == frozen


def test_a_market_that_goes_on_forgets_gaps_that_are_over():
    scoring = Scoring()
    scoring.step(scoring.feed.silence(silence(-30, 0)))
    for time, known in ((303, 1), (304, 0)):
        scoring.step(scoring.feed.context(context(START + time * SECOND - 1)))
        assert len(scoring.states.get(SHARED).feeds.gaps) == known


def test_without_a_market_gaps_are_forgotten_by_what_is_told_later():
    scoring = Scoring()
    for time, known in ((0, 1), (20 * 60 - 1, 2), (20 * 60, 2)):
        scoring.step(scoring.feed.silence(silence(time - 1, time)))
        assert len(scoring.states.get(SHARED).feeds.gaps) == known


def test_a_signal_names_its_profile():
    assert Scoring(with_interval(0.0)).measure().meta.profile == "other"


def test_a_new_position_is_higher_after_whatever_was_folded_in_or_sent():
    scoring = Scoring()
    feed = scoring.feed
    events = [
        (SHARED, feed.context(context())),
        (SHARED, feed.control(EVEN)),
        (SHARED, feed.silence(silence(0))),
        (SHARED, feed.silence(silence(1, 1, stream="b"))),
        ("SOLUSDT", feed.positioning(reading())),
        ("SOLUSDT", feed.liquidation(measurement(**ALERT))),
        ("SOLUSDT", feed.liquidation()),
        ("SOLUSDT", feed.price(measurement(clock=START + SECOND, trigger="price"))),
    ]
    for key, event in events:
        before = scoring.states.get(key).position
        scoring.step(event)
        assert scoring.states.get(key).position > before


def test_restored_states_are_equal():
    scoring = Scoring()
    for event in (
        scoring.feed.context(context()),
        scoring.feed.control(EVEN),
        scoring.feed.control(None, version=2, time=START + 1),
        scoring.feed.silence(silence(-9, told=1)),
        scoring.feed.silence(silence(-9, 0, stream="b")),
        scoring.feed.positioning(reading()),
        scoring.feed.funding(reading(START + 1, change=None)),
        scoring.feed.liquidation(measurement(clock=START + SECOND, **ALERT)),
    ):
        scoring.step(event)
    stored = scoring.states.take_snapshots()
    assert set(stored) == {SHARED, "SOLUSDT"}
    restored = Scoring(stored=stored)
    for key, data in stored.items():
        assert snapshot(restored.states.get(key)) == data
    assert restored.states.get("SOLUSDT").sequence == 1


def test_no_snapshot_reaches_sixty_four_kibibytes():
    scoring = Scoring()
    for step in range(1_000):
        wide = context(START + step, "ELEVATED", symbol="𠀀" * 64, sequence=2**53, btc_price=0.1)
        scoring.step(scoring.feed.context(wide))
        scoring.step(scoring.feed.control(EVEN, version=step + 2**53, time=START + step))
        found = reading(START + step, change_5m=0.1, open_interest_usd=0.1)
        scoring.step(scoring.feed.positioning(found))
        scoring.step(scoring.feed.silence(silence(step, exchange="𠀀" * 64, stream=f"{step:64}")))
    shared, own = scoring.states.get(SHARED), scoring.states.get("SOLUSDT")
    assert (len(shared.contexts.times), len(shared.weight_sets.times)) == (MOST_CONTEXTS, MOST_WEIGHT_SETS)
    assert len(own.readings.times) == MOST_READINGS
    assert len(shared.feeds.gaps) == MOST_GAPS
    assert max(map(len, scoring.states.take_snapshots().values())) < 64 << 10


def test_what_no_clock_can_ask_for_again_is_forgotten():
    scoring = Scoring()
    for step in range(100):
        time = START + step * SECOND
        scoring.step(scoring.feed.context(context(time)))
        scoring.step(scoring.feed.control(EVEN, version=step + 1, time=time))
        scoring.step(scoring.feed.positioning(reading(time)))
    newest = [START + step * SECOND for step in (96, 97, 98, 99)]
    shared, own = scoring.states.get(SHARED), scoring.states.get("SOLUSDT")
    assert shared.contexts.times == shared.weight_sets.times == own.readings.times == newest
    scoring.measure(clock=START + 98 * SECOND)
    scoring.step(scoring.feed.positioning(reading(START + 100 * SECOND)))
    assert own.readings.times == [START + step * SECOND for step in (98, 99, 100)]


def test_without_a_market_fifteen_minutes_of_positioning_are_kept():
    scoring = Scoring()
    for step in range(30):
        scoring.step(scoring.feed.positioning(reading(START + step * MINUTE)))
    assert scoring.states.get("SOLUSDT").readings.times == [START + step * MINUTE for step in range(14, 30)]
