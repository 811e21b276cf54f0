import json
from decimal import Decimal
from types import MappingProxyType

import msgspec
import pytest
from msgspec import structs

from pipeline import SEED, Engine, codec, contract, load_profile
from pipeline.cli.simulated.simulation import simulate

LIQUIDATION = {
    "symbol": "BTCUSDT",
    "exchange": "binance",
    "side": "long",
    "price": 60_000.0,
    "quantity": 0.5,
    "timestamp": 1_700_000_000.0,
}


EAGER = structs.replace(SEED.score, emit_interval_s=0.0, full_velocity=5.0)


def topics(outputs):
    return [output.topic for output in outputs]


def messages(outputs):
    return [(output.topic, output.key, output.message) for output in outputs]


def test_a_liquidation_leads_to_a_velocity_and_a_signal():
    outputs = Engine().process(contract.LIQUIDATIONS, LIQUIDATION)
    assert topics(outputs) == [contract.VELOCITY, contract.SIGNALS]
    assert outputs[1].key == "BTCUSDT"
    assert outputs[1].message["id"] == "BTCUSDT-1700000000000-1"


def signals_of(outputs):
    return [output.message for output in outputs if output.topic == contract.SIGNALS]


def test_profiles_beside_each_other_say_what_each_says_by_itself():
    profiles = [SEED, load_profile("adaptive"), structs.replace(SEED, name="eager", score=EAGER)]
    alone, first = {each.name: Engine(each) for each in profiles}, profiles[0]
    engine = Engine(first, beside=profiles[1:])
    for tick in simulate(20):
        outputs = engine.process(tick.topic, tick.message)
        for name, other in alone.items():
            expected = signals_of(other.process(tick.topic, tick.message))
            assert [each for each in signals_of(outputs) if each["meta"]["profile"] == name] == expected
    with pytest.raises(ValueError, match="no snapshot"):
        engine.snapshot()


def test_profiles_that_measure_otherwise_cannot_be_beside_each_other():
    other = structs.replace(SEED, name="other", reference="ETHUSDT")
    with pytest.raises(ValueError, match="expected profiles that measure as 'seed' does"):
        Engine(beside=[other])


@pytest.mark.parametrize(
    "told", [contract.SIGNALS, {contract.VOLATILITY, contract.CONTEXT}, {contract.REGIME}]
)
def test_what_nobody_wants_is_left_out_and_the_rest_is_the_same(told):
    whole, some = Engine(), Engine(told=told)
    for tick in simulate(20):
        expected = [
            output for output in messages(whole.process(tick.topic, tick.message)) if output[0] in told
        ]
        assert messages(some.process(tick.topic, tick.message)) == expected
    assert unpacked(some) == unpacked(whole)


def test_wanting_a_topic_that_there_is_not_is_an_error():
    with pytest.raises(ValueError, match=r"told: no topics out: cascade\.signal$"):
        Engine(told={"cascade.signal", contract.ALERTS})


def test_dead_letters_are_made_whatever_is_wanted():
    (letter,) = Engine(told=()).process(contract.LIQUIDATIONS, LIQUIDATION | {"side": "buy"})
    assert letter.topic == contract.DEAD_LETTERS


def unpacked(engine):
    """Return an engine's state, whatever the order of its keys."""
    return msgspec.msgpack.decode(engine.snapshot())


def test_bytes_and_dicts_and_validated_messages_are_the_same():
    data = codec.encode(LIQUIDATION)
    message = codec.decode(contract.LIQUIDATIONS, data).messages[0]
    expected = messages(Engine().process(contract.LIQUIDATIONS, LIQUIDATION))
    assert messages(Engine().process(contract.LIQUIDATIONS, data)) == expected
    assert messages(Engine().feed(contract.LIQUIDATIONS, message)) == expected


@pytest.mark.parametrize("form", [str, str.encode, lambda text: bytearray(text.encode())])
def test_json_may_come_as_text_or_any_bytes(form):
    text = json.dumps(LIQUIDATION)
    expected = messages(Engine().process(contract.LIQUIDATIONS, text.encode()))
    assert messages(Engine().process(contract.LIQUIDATIONS, form(text))) == expected
    assert messages(Engine().process(contract.LIQUIDATIONS, memoryview(text.encode()))) == expected


@pytest.mark.parametrize(
    "change",
    [
        {"price": float("nan")},
        {"value_usd": float("nan")},
        {"value_usd": float("inf")},
        {"price": -float("inf")},
        {"id": 10**30},
        {"id": None},
        {"exchange": "\ud800"},
        {"exchange": "Börse"},
        {"more": {1: (2, 3)}},
    ],
    ids=str,
)
def test_a_dict_is_what_pythons_json_writes_of_it(change):
    value = LIQUIDATION | change
    for each in (value, [LIQUIDATION, value]):
        expected = messages(Engine().process(contract.LIQUIDATIONS, json.dumps(each).encode()))
        assert messages(Engine().process(contract.LIQUIDATIONS, each)) == expected


def test_any_mapping_and_what_msgspec_knows_are_taken():
    expected = messages(Engine().process(contract.LIQUIDATIONS, LIQUIDATION))
    known = MappingProxyType(LIQUIDATION | {"price": Decimal("60000.0")})
    [letter] = Engine().process(contract.LIQUIDATIONS, known)
    assert letter.message["reason"].startswith("price: Expected `float`, got `str`")
    assert messages(Engine().process(contract.LIQUIDATIONS, MappingProxyType(LIQUIDATION))) == expected


def test_an_array_is_as_good_as_its_objects_one_by_one():
    objects = [LIQUIDATION | {"timestamp": 1_700_000_000.0 + second} for second in range(3)]
    apart, together = Engine(), Engine()
    expected = [found for each in objects for found in messages(apart.process(contract.LIQUIDATIONS, each))]
    assert messages(together.process(contract.LIQUIDATIONS, objects)) == expected


def test_a_bad_object_becomes_a_dead_letter_and_its_neighbours_are_used():
    value = [LIQUIDATION, LIQUIDATION | {"price": -1}, LIQUIDATION | {"quantity": 0.25}]
    outputs = Engine().process(contract.LIQUIDATIONS, value, offset=7)
    assert topics(outputs)[0] == contract.DEAD_LETTERS
    letter = outputs[0].message
    assert (letter["topic"], letter["offset"], letter["index"]) == (contract.LIQUIDATIONS, 7, 1)
    assert letter["reason"].startswith("price: ")
    velocity = [output.message for output in outputs if output.topic == contract.VELOCITY]
    assert velocity[-1]["event_count_10s"] >= 1


def test_objects_of_another_symbol_in_an_array_are_refused():
    value = [LIQUIDATION, LIQUIDATION | {"symbol": "ETHUSDT"}]
    letters = [
        output.message
        for output in Engine().process(contract.LIQUIDATIONS, value)
        if output.topic == contract.DEAD_LETTERS
    ]
    assert [letter["reason"] for letter in letters] == ["key: expected the symbol ETHUSDT, got 'BTCUSDT'"]


def test_a_repeated_offset_changes_nothing():
    engine = Engine()
    engine.process(contract.LIQUIDATIONS, LIQUIDATION, offset=5)
    before = engine.snapshot()
    assert engine.process(contract.LIQUIDATIONS, LIQUIDATION | {"quantity": 9.0}, offset=5) == []
    assert Engine.restore(before).snapshot() == engine.snapshot()


@pytest.mark.parametrize("offset", [-1, 2**63])
def test_an_offset_that_kafka_does_not_know_is_refused(offset):
    """Below 0 it would be a repeat of everything; a larger one fits into no snapshot."""
    engine = Engine()
    with pytest.raises(ValueError, match=r"offset: expected 0 to 2\*\*63 - 1"):
        engine.process(contract.LIQUIDATIONS, LIQUIDATION, offset=offset)
    assert topics(engine.process(contract.LIQUIDATIONS, LIQUIDATION, offset=2**63 - 1))
    assert Engine.restore(engine.snapshot()).process(contract.LIQUIDATIONS, LIQUIDATION, offset=7) == []
    with pytest.raises(ValueError, match="offset"):
        engine.process(contract.LIQUIDATIONS, LIQUIDATION)


def test_a_topic_that_is_no_input_is_refused_with_the_list_of_inputs():
    with pytest.raises(ValueError, match=r"'liquidation' is no input: expected one of control, "):
        Engine().process("liquidation", LIQUIDATION)


def test_restored_in_the_middle_an_engine_goes_on_as_if_nothing_had_happened():
    ticks = list(simulate(20, seed=2))
    whole, first = Engine(), Engine()
    for tick in ticks[: len(ticks) // 2]:
        whole.process(tick.topic, tick.message)
        first.process(tick.topic, tick.message)
    second = Engine.restore(first.snapshot(), SEED)
    for tick in ticks[len(ticks) // 2 :]:
        expected = messages(whole.process(tick.topic, tick.message))
        assert messages(second.process(tick.topic, tick.message)) == expected


def test_a_quiet_symbol_without_prices_comes_down_however_close_the_markets_ticks_lie():
    # Prices of the reference lie 0.07 s and 1.93 s apart by turns: every other fall has to wait its interval.
    engine, sent = Engine(), []
    start = LIQUIDATION["timestamp"]
    funding = {"symbol": "ETHUSDT", "rate": 0.001, "timestamp": start + 390}
    for second in range(500):
        time = start + second + (0.95 if second % 2 else 0.02)
        price = {"symbol": "BTCUSDT", "price": 60_000 * (1 + 0.01 * (second % 2)), "timestamp": time}
        sent += engine.process(contract.PRICES, price)
        if second == 396:
            engine.process(contract.FUNDING, funding)
            late = LIQUIDATION | {"symbol": "ETHUSDT", "timestamp": start + 397.1}
            sent += engine.process(contract.LIQUIDATIONS, late)
    signals = [found.message for found in sent if found.topic == contract.SIGNALS and found.key == "ETHUSDT"]
    assert max(signal["signal_level"] for signal in signals) >= 2
    assert signals[-1]["signal"] == "NONE"


def test_a_snapshot_goes_on_under_its_own_profile_alone():
    desk = msgspec.structs.replace(SEED, name="desk")
    snapshot = Engine(desk).snapshot()
    assert Engine.restore(snapshot, desk).snapshot() == snapshot
    with pytest.raises(ValueError, match="a snapshot of profile 'desk' cannot go on under 'seed'"):
        Engine.restore(snapshot)


def test_weights_set_at_run_time_are_in_force_and_shown():
    engine = Engine()
    weights = {"velocity": 1.0, "acceleration": 0, "volume": 0, "oi_change": 0, "funding": 0, "volatility": 0}
    control = {"setting": "weights", "version": 3, "timestamp": 1_699_999_999.0, "weights": weights}
    assert engine.process(contract.CONTROL, control) == []
    signal = engine.process(contract.LIQUIDATIONS, LIQUIDATION)[-1].message
    assert signal["meta"]["weights_version"] == 3
    assert signal["probability"] == round(signal["scores"]["velocity"], 4)
    assert engine.statistics.current_weights == weights


def test_feeds_that_are_silent_are_told_by_signals_of_every_symbol_also_after_a_restart():
    engine = Engine()
    told = {"exchange": "OKX", "stream": "a", "from": 1_699_999_990.0, "to": None, "reason": "cut"}
    assert engine.process(contract.FEED_STATUS, told) == []
    assert engine.process(contract.LIQUIDATIONS, LIQUIDATION)[-1].message["context"]["feeds"] == [
        {"exchange": "okx", "from": 1_699_999_990.0, "to": None}
    ]
    engine = Engine.restore(engine.snapshot())
    assert engine.process(contract.FEED_STATUS, told, offset=0) == []
    signal = engine.process(contract.LIQUIDATIONS, LIQUIDATION | {"symbol": "ETHUSDT"})[-1].message
    assert [gap["exchange"] for gap in signal["context"]["feeds"]] == ["okx"]
    [letter] = engine.process(contract.FEED_STATUS, told | {"from": None})
    assert letter.message["reason"].startswith("from: Expected `float`, got `null`")


def floats(message):
    for value in message.values():
        if isinstance(value, dict):
            yield from floats(value)
        elif isinstance(value, float):
            yield value


def test_no_number_that_is_sent_shows_the_noise_of_reckoning():
    engine = Engine()
    sent = [found for tick in simulate(20, seed=1) for found in engine.process(tick.topic, tick.message)]
    assert {found.topic for found in sent} >= {contract.CONTEXT, *contract.PROJECTED}
    assert [found for found in sent if any(value != round(value, 8) for value in floats(found.message))] == []


def test_what_changed_nothing_is_counted_also_after_a_restart_and_with_no_message_after_it():
    engine = Engine()
    start = LIQUIDATION["timestamp"]
    price = {"symbol": "BTCUSDT", "price": 60_000.0, "timestamp": start}
    funding = {"symbol": "ETHUSDT", "rate": 0.0001, "timestamp": start}
    for topic, value in [
        (contract.LIQUIDATIONS, [LIQUIDATION, LIQUIDATION, LIQUIDATION | {"timestamp": start - 400}]),
        (contract.PRICES, [price, price | {"timestamp": start - 1}, price | {"price": 1.0}]),
        (contract.FUNDING, [funding, funding | {"timestamp": start - 1}]),
    ]:
        engine.process(topic, value)
    expected = {
        "late_liquidations": 1,
        "repeated_liquidations": 1,
        "forgotten_liquidations": 0,
        "late_prices": 1,
        "doubted_prices": 1,
        "ignored_positioning": 1,
    }
    assert engine.skipped() == expected
    assert Engine.restore(engine.snapshot()).skipped() == expected


def test_statistics_count_signals():
    engine = Engine()
    sent = [
        output.message
        for tick in simulate(20, seed=1)
        for output in engine.process(tick.topic, tick.message)
        if output.topic == contract.SIGNALS
    ]
    statistics = engine.statistics
    assert statistics.signals_generated == len(sent)
    assert statistics.critical_signals == sum(signal["signal_level"] >= 3 for signal in sent)
    assert [recent["id"] for recent in statistics.recent_signals] == [signal["id"] for signal in sent[-10:]]
