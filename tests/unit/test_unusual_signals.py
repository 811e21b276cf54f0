"""Signals of a profile that compares each symbol with its own past."""

import random

import msgspec
import pytest
from msgspec import structs
from msgspec.structs import astuple

from pipeline import Engine, contract, read_profile
from pipeline.cli.recorded.signal_rows import COLUMNS, signal_row
from pipeline.messages import COMPONENTS, Signal
from pipeline.runtime.profiles import load_profile
from pipeline.signals.calibration import CalibrationConstants
from pipeline.signals.explanation import contributions, explain, level_thresholds, relief
from pipeline.signals.weights import read_weights

PROFILE = read_profile(
    b"""
name = "unusual"
[score]
weights = {velocity = 0.4, acceleration = 0.1, volume = 0.2, oi_change = 0.1, funding = 0.0, volatility = 0.2}
[score.habits]
[score.calibration]
raw = [0.4, 0.6]
probability = [0.0, 1.0]
""",
    "toml",
)
START = 1_700_000_000
MARKET = {"symbol": "BTCUSDT", "exchange": "okx", "price": 60_000.0}
LIQUIDATION = {"symbol": "XYZ", "exchange": "okx", "side": "long", "price": 1.0, "quantity": 1.0}
WEIGHTS = dict(zip(COMPONENTS, read_weights(PROFILE.score.weights), strict=True))


def records(minutes=180, seed=1):
    """Yield calm hours, and at their end a crash with a burst of liquidations."""
    random.seed(seed)
    price = 100.0
    for minute in range(minutes):
        crash = minute >= minutes - 5
        for second in (0.0, 20.0, 40.0):
            time = START + minute * 60 + second
            price *= 1 + random.gauss(0, 0.0003) - 0.004 * crash
            yield contract.PRICES, {"symbol": "XYZ", "exchange": "okx", "price": price, "timestamp": time}
        if minute % 5 == 0:
            interest = {
                "symbol": "XYZ",
                "open_interest_usd": 1e9 * random.uniform(0.999, 1),
                "timestamp": time + 1,
            }
            yield contract.OPEN_INTEREST, interest
        for place in range(60 if crash else random.randrange(3)):
            yield (
                contract.LIQUIDATIONS,
                {
                    "symbol": "XYZ",
                    "exchange": "okx",
                    "side": "long" if crash else random.choice(("long", "short")),
                    "price": price,
                    "quantity": random.uniform(1, 100),
                    "timestamp": time + 2 + place / 4,
                },
            )


def signals(engine, some):
    outputs = [output for topic, message in some for output in engine.process(topic, message)]
    return [output.body for output in outputs if output.topic == contract.SIGNALS]


def test_calm_is_none_and_a_crash_is_extreme():
    found = signals(Engine(PROFILE), records())
    began = START + 175 * 60
    assert {each.signal for each in found if START + 3_600 < each.timestamp < began} == {"NONE"}
    assert found[-1].signal == "EXTREME"
    assert found[-1].probability > 0.9


def test_what_has_no_data_is_what_nothing_is_known_of_though_the_market_is_not_known_either():
    found = signals(Engine(PROFILE), records())
    assert found[0].metrics.no_data == [
        "velocity",
        "acceleration",
        "volume",
        "oi_change",
        "funding",
        "volatility",
    ]
    assert found[-1].context.stale
    assert found[-1].metrics.no_data == ["funding"]
    assert found[-1].scores.volatility > 0


def test_each_signal_tells_what_each_component_contributes():
    for each in signals(Engine(PROFILE), records()):
        parts = each.meta.contributions
        assert sum(astuple(parts)) == pytest.approx(each.probability, abs=4e-4)
        assert contributions(each, WEIGHTS)["velocity"] == pytest.approx(parts.velocity, abs=2e-3)
        assert "contributions" in msgspec.json.decode(msgspec.json.encode(each))["meta"]
        assert contribution_cells(each) == list(astuple(parts))
    plain = signals(Engine(), records())[-1]
    assert set(contribution_cells(plain)) == {None}


def contribution_cells(signal):
    row = dict(zip(COLUMNS, signal_row(signal), strict=True))
    return [row[f"contribution_{name}"] for name in COMPONENTS]


def test_a_crash_without_any_liquidation_is_noticed():
    """No most for a quiet symbol: here a price alone may say that something is going on."""
    some = [record for record in records() if record[0] == contract.PRICES]
    assert signals(Engine(PROFILE), some)[-1].scores.volatility == 1.0


def test_a_crash_is_noticed_although_the_first_price_of_all_was_wrong():
    some = [record for record in records() if record[0] == contract.PRICES]
    first = some[0][1]
    wrong = {**first, "price": 2 * first["price"], "timestamp": first["timestamp"] - 60}
    assert signals(Engine(PROFILE), [(contract.PRICES, wrong), *some])[-1].scores.volatility == 1.0


def test_a_wick_is_no_crash_and_a_price_that_stays_is():
    """What no minute's close keeps is no move: live prices alarm no more often than bars."""
    calm = [record for record in records() if record[0] == contract.PRICES][: 175 * 3]
    last = calm[-1][1]
    low = {**last, "price": 0.95 * last["price"]}
    wick = [(low, 10.0), (low, 20.0), (last, 30.0), (last, 60.0)]
    crash = [(low, 70.0), (low, 120.0)]
    told = [
        (contract.PRICES, {**price, "timestamp": last["timestamp"] + later}) for price, later in wick + crash
    ]
    engine = Engine(PROFILE)
    assert {each.signal for each in signals(engine, calm + told[: len(wick)])} == {"NONE"}
    assert signals(engine, told[len(wick) :])[-1].signal == "EXTREME"


def test_nothing_is_alarming_while_all_is_new():
    """In a first hour without prices every burst is the largest so far."""
    first = [
        (topic, {**message, "timestamp": message["timestamp"] - 125 * 60})
        for topic, message in records()
        if topic == contract.LIQUIDATIONS and message["timestamp"] >= START + 125 * 60
    ]
    found = signals(Engine(load_profile("adaptive")), first)
    assert len(found) > 20
    assert {each.signal for each in found} <= {"NONE", "WATCH"}


def test_of_a_price_that_is_seen_again_nothing_is_counted_twice():
    """A crash may repeat prices that a snapshot of the scores knows already."""
    some = list(records(100))
    one, other = Engine(PROFILE), Engine(PROFILE)
    for engine in (one, other):
        signals(engine, some)
    table = other._stages[-1].table
    states = dict(zip([stage.table for stage, _ in other._steps], other._steps, strict=True))[table][1]
    habits = states.get("XYZ").habits
    before = habits.freeze()
    habits.priced(habits.priced_to, 1.0)
    assert habits.freeze() == before == states.get("XYZ").freeze()[-2]
    assert one.snapshot() == other.snapshot()


@pytest.mark.parametrize("cut", [1, 57, 400])
def test_a_restart_changes_nothing(cut):
    some = list(records())
    whole = signals(Engine(PROFILE), some)
    first = Engine(PROFILE)
    begun = signals(first, some[:cut])
    second = Engine.restore(first.snapshot(), PROFILE)
    assert begun + signals(second, some[cut:]) == whole


def test_what_happens_later_changes_nothing_before():
    some = list(records())
    cut = len(some) // 2
    other = [(topic, {**message, "timestamp": message["timestamp"]}) for topic, message in records(seed=2)][
        cut:
    ]
    horizon = some[cut][1]["timestamp"]
    later = [record for record in other if record[1]["timestamp"] > horizon]
    one = [each for each in signals(Engine(PROFILE), some) if each.timestamp < horizon - 3]
    two = [each for each in signals(Engine(PROFILE), some[:cut] + later) if each.timestamp < horizon - 3]
    assert one == two


def test_a_state_of_another_kind_of_profile_is_taken_up_without_habits():
    seed = read_profile(b'name = "unusual"', "toml")
    engine = Engine(seed)
    signals(engine, records(70))
    again = Engine.restore(engine.snapshot(), PROFILE)
    assert signals(again, [record for record in records(75) if record[1]["timestamp"] > START + 71 * 60])
    assert (
        signals(Engine.restore(again.snapshot(), seed), records(76))[-1].meta.contributions is msgspec.UNSET
    )


def test_a_signal_is_explained_by_what_is_unusual():
    last: Signal = signals(Engine(PROFILE), records())[-1]
    assert explain(last, WEIGHTS, PROFILE.score).startswith(
        "EXTREME by probability 1.00: unusual are velocity 0."
    )
    assert relief(last, PROFILE.score) == "below EXTREME when the probability is at or below 0.90"
    assert level_thresholds(last, PROFILE.score)[0] == (0.3, None, None)


def test_a_calibrated_seed_keeps_its_most_for_quiet_symbols():
    profile = read_profile(
        b'name = "mapped"\n[score.calibration]\nraw = [0.0, 0.01]\nprobability = [0.2, 0.9]', "toml"
    )
    found = signals(Engine(profile), records())
    assert {each.probability for each in found} > {0.3}
    assert max(each.probability for each in found) == 0.9


def test_a_level_comes_down_with_the_market_where_the_symbols_own_records_cease():
    engine = Engine(PROFILE)
    prices = [(topic, price) for topic, price in records() if topic == contract.PRICES]
    last = prices[-1][1]["timestamp"]
    assert signals(engine, prices)[-1].signal_level > 0
    engine = Engine.restore(engine.snapshot(), PROFILE)
    rest = [(contract.PRICES, MARKET | {"timestamp": last + second}) for second in range(0, 3_600, 20)]
    found = [signal for signal in signals(engine, rest) if signal.symbol == "XYZ"]
    assert (found[-1].signal, found[-1].meta.event_timestamp) == ("NONE", last)
    assert found[-1].timestamp < rest[-1][1]["timestamp"] - 60


def test_a_symbol_whose_level_never_comes_down_is_ticked_for_a_week_and_leaves():
    always = CalibrationConstants(raw=(0, 1), probability=(0.5, 1))
    profile = structs.replace(PROFILE, score=structs.replace(PROFILE.score, calibration=always))
    engine = Engine(profile, max_symbols=1)
    market = [(contract.PRICES, MARKET | {"timestamp": START + hour * 3_600}) for hour in range(9 * 24)]
    found = signals(engine, [(contract.LIQUIDATIONS, LIQUIDATION | {"timestamp": START}), *market])
    told = [signal for signal in found if signal.symbol == "XYZ"]
    assert told[-1].signal != "NONE"
    assert 0 <= told[-1].timestamp - START - 7 * 86_400 < 3_600
    other = LIQUIDATION | {"symbol": "OTHER", "timestamp": START + 9 * 86_400}
    assert signals(engine, [(contract.LIQUIDATIONS, other)])


@pytest.mark.parametrize("before", [0, 60])
def test_a_price_counts_at_once_though_the_market_has_moved_the_clock_to_its_moment(before):
    """Whether a level above NONE lets the context do that, or a liquidation shortly before."""
    weights = dict.fromkeys(COMPONENTS, 0.0) | {"volatility": 1.0}
    engine = Engine(structs.replace(PROFILE, score=structs.replace(PROFILE.score, weights=weights)))
    prices = [price for topic, price in records() if topic == contract.PRICES][:-15]
    for factor in (0.992, 1.0, 0.96):
        last = prices[-1]
        prices.append(last | {"price": last["price"] * factor, "timestamp": last["timestamp"] + 60})
    for price in prices:
        time = price["timestamp"]
        if before:
            signals(engine, [(contract.LIQUIDATIONS, LIQUIDATION | {"timestamp": time - before})])
        signals(engine, [(contract.PRICES, MARKET | {"timestamp": time})])
        levels = [signal.signal_level for signal in signals(engine, [(contract.PRICES, price)])]
    assert levels == [4]
