import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import Engine, codec, contract
from pipeline.features.reading import LARGEST_LEAD, Record, create_event, read
from pipeline.features.state import SHARED
from pipeline.messages import Context, Control, FeedStatus, Price, normal_symbol

NOW = 1_760_000_000
PRICE = {"symbol": "BTCUSDT", "price": 60_000.0, "timestamp": NOW}
CONTROL = {"setting": "weights", "version": 1, "timestamp": NOW}
CONTEXT = {
    "symbol": "BTCUSDT",
    "timestamp": NOW,
    "sequence": 1,
    "btc_price": 60_000.0,
    "volatility_regime": "NORMAL",
    "market_regime": "NORMAL",
    "vol_risk_multiplier": 1.5,
    "cascade_sensitivity": 1.0,
    "velocity_threshold_multiplier": 1.0,
    "warming": False,
}
LIQUIDATION = {
    "symbol": "BTCUSDT",
    "exchange": "binance",
    "side": "long",
    "price": 1.0,
    "quantity": 2.0,
    "timestamp": NOW,
}
FEED_STATUS = {
    "exchange": "binance",
    "stream": "wss://a",
    "from": NOW - 30,
    "to": None,
    "reason": "cut",
    "timestamp": NOW,
}
GOOD = {
    contract.LIQUIDATIONS: LIQUIDATION,
    contract.PRICES: PRICE,
    contract.OPEN_INTEREST: {"symbol": "BTCUSDT", "open_interest_usd": 1e9, "timestamp": NOW},
    contract.FUNDING: {"symbol": "BTCUSDT", "rate": 0.0001, "timestamp": NOW},
    contract.CONTROL: CONTROL,
    contract.FEED_STATUS: FEED_STATUS,
    contract.CONTEXT: CONTEXT,
}


def record(topic, value, *, key=b"BTCUSDT", time_ms=NOW * 1_000):
    return Record(topic, json.dumps(value).encode(), 7, 1, key, (), time_ms)


def test_an_event_tells_where_it_came_from_and_when_it_happened():
    [event], letters = read(record(contract.PRICES, PRICE | {"timestamp": NOW + 0.25}))
    assert (event.topic, event.symbol, event.offset) == (contract.PRICES, "BTCUSDT", 7)
    assert event.message == Price("BTCUSDT", 60_000.0, NOW + 0.25)
    assert event.time == NOW * 1_000_000 + 250_000
    assert letters == []


def test_an_event_begins_with_nothing_found_and_nothing_to_send():
    first, second = (read(record(contract.PRICES, PRICE))[0][0] for _ in range(2))
    first.send(contract.SIGNALS, "BTCUSDT", create_event(contract.CONTEXT, Context(**CONTEXT), 0).message)
    assert (second.positioning, second.volatility, second.context) == (None, None, None)
    assert (second.measurements, second.outputs) == ([], [])


@pytest.mark.parametrize("length", [1, 2, 5])
def test_the_last_event_of_a_record_alone_is_marked_as_last(length):
    events, _ = read(record(contract.PRICES, [PRICE] * length))
    assert [event.last for event in events] == [False] * (length - 1) + [True]


def test_the_last_usable_event_is_the_last():
    events, letters = read(record(contract.PRICES, [PRICE, PRICE, PRICE | {"price": 0}]))
    assert [event.last for event in events] == [False, True]
    assert len(letters) == 1


def test_a_record_without_usable_events_gives_letters_alone():
    events, letters = read(record(contract.PRICES, [PRICE | {"price": 0}] * 3))
    assert (events, len(letters)) == ([], 3)


def test_a_context_is_noted_on_its_event():
    [event], _ = read(record(contract.CONTEXT, CONTEXT))
    assert event.context == event.message == Context(**CONTEXT)
    assert event.symbol == "BTCUSDT"


OF_ALL = {
    contract.CONTROL: (CONTROL, Control("weights", 1, NOW)),
    contract.FEED_STATUS: (FEED_STATUS, FeedStatus("binance", "wss://a", NOW - 30, None, "cut", NOW)),
}


@pytest.mark.parametrize("topic", OF_ALL)
def test_what_has_a_copy_for_each_partition_concerns_it_as_a_whole(topic):
    value, message = OF_ALL[topic]
    [event], _ = read(record(topic, value, key=b"weights"))
    assert (event.symbol, event.message, event.time) == (SHARED, message, NOW * 1_000_000)
    assert event.context is None


@pytest.mark.parametrize("topic", [*OF_ALL, contract.CONTEXT])
def test_keys_of_what_has_a_copy_for_each_partition_are_free(topic):
    events, letters = read(record(topic, GOOD[topic], key=b"anything"))
    assert (len(events), letters) == (1, [])


def test_a_key_longer_than_any_symbol_is_refused_and_not_remembered():
    assert read(record(contract.PRICES, PRICE, key=b" " * 500 + b"BTCUSDT"))[1] == []
    before = normal_symbol.cache_info().currsize
    [letter] = read(record(contract.PRICES, PRICE, key=b" " * 2_000 + b"BTCUSDT"))[1]
    assert letter.body.reason.startswith("key: expected the symbol BTCUSDT, got ")
    assert normal_symbol.cache_info().currsize == before


def test_a_file_needs_no_keys():
    events, letters = read(record(contract.PRICES, [PRICE, PRICE], key=None), keyed=False)
    assert (len(events), letters) == (2, [])


def test_a_file_s_objects_of_one_array_share_the_first_ones_symbol():
    value = [PRICE | {"price": 0}, PRICE, PRICE | {"symbol": "ETHUSDT"}]
    events, letters = read(record(contract.PRICES, value, key=None), keyed=False)
    assert [event.symbol for event in events] == ["BTCUSDT"]
    assert [letter.body.reason for letter in letters] == [
        "price: Expected `float` > 0.0",
        "key: expected the symbol ETHUSDT, got 'BTCUSDT'",
    ]


@pytest.mark.parametrize("topic", OF_ALL)
def test_a_file_of_what_concerns_all_has_no_symbols_to_share(topic):
    events, letters = read(record(topic, [GOOD[topic]] * 2, key=None), keyed=False)
    assert (len(events), letters) == (2, [])


def test_events_are_made_whole_unless_more_of_their_record_follow():
    message = Price("BTCUSDT", 60_000.0, NOW)
    assert create_event(contract.PRICES, message, 3).last
    assert not create_event(contract.PRICES, message, 3, last=False).last


@pytest.mark.parametrize("topic", [topic for topic in GOOD if topic != contract.CONTEXT])
def test_an_event_that_leads_its_record_too_far_is_refused(topic):
    value = GOOD[topic]
    for lead_ms, used in ((LARGEST_LEAD // 1_000, 1), (LARGEST_LEAD // 1_000 + 1, 0)):
        events, letters = read(record(topic, value, time_ms=NOW * 1_000 - lead_ms))
        assert (len(events), len(letters)) == (used, 1 - used)


keys = st.none() | st.binary(max_size=8) | st.just(b"BTCUSDT")
bad = st.sampled_from([None, 3, [], {}, PRICE | {"price": -1}, PRICE | {"symbol": "ETHUSDT"}, float("nan")])


@given(st.sampled_from(contract.INPUTS), st.binary(max_size=60), keys, st.booleans())
def test_any_bytes_under_any_key_are_read(topic, value, key, keyed):
    events, letters = read(Record(topic, value, 0, 0, key, [("h", value)], 0), keyed=keyed)
    assert events == []
    assert all(json.loads(codec.encode(letter.body)) for letter in letters)
    assert all(isinstance(letter.key.encode(), bytes) for letter in letters)


@given(st.lists(st.just(PRICE) | bad, max_size=6))
def test_every_object_is_an_event_or_a_letter(value):
    events, letters = read(record(contract.PRICES, value))
    assert len(events) == sum(part == PRICE for part in value)
    assert len(events) + len(letters) == len(value)
    assert [event.last for event in events] == [False] * (len(events) - 1) + [True] * bool(events)


extremes = st.sampled_from([5e-324, 1e-12, 1.0, 1e10, 1e18, 2**53, 10**30, -1, 0])
times = st.sampled_from([946_684_800, NOW, NOW + 0.1, NOW + 1, NOW + 400, 4_102_444_799.9])


@st.composite
def extreme_records(draw):
    """Objects that are valid or nearly so, of extreme numbers and times."""
    topic = draw(st.sampled_from(contract.INPUTS))
    value = dict(GOOD[topic]) | {"timestamp": draw(times)}
    for field, content in GOOD[topic].items():
        if isinstance(content, int | float) and field != "timestamp" and draw(st.booleans()):
            value[field] = draw(extremes)
    if topic == contract.LIQUIDATIONS and draw(st.booleans()):
        value["id"] = draw(st.sampled_from(["", "a", 0, -1, 2**64, 10**30]))
    return topic, value


@given(st.lists(extreme_records(), max_size=8))
def test_what_was_read_can_be_folded_stored_and_restored(values):
    engine = Engine()
    for topic, value in values:
        for output in engine.process(topic, value):
            assert json.loads(codec.encode(output.body)) is not None
    stored = engine.snapshot()
    assert Engine.restore(stored).snapshot() == stored


def test_a_record_of_many_bad_objects_and_large_headers_does_not_become_hundreds_of_megabytes():
    """Each object is told of; but copies of the headers, 32 KB each, would be more than a worker can hold."""
    headers = [(f"{number}".zfill(1_000), b"v" * 1_000) for number in range(16)]
    value = b"[" + b",".join([b"{}"] * 20_000) + b"]"
    _, letters = read(Record(contract.LIQUIDATIONS, value, 0, key=b"BTCUSDT", headers=headers))
    assert [letter.body.index for letter in letters] == list(range(20_000))
    assert sum(len(codec.encode(letter.body)) for letter in letters) < 32 << 20
    first, last = letters[0].body, letters[-1].body
    assert (len(first.headers), first.truncated) == (16, False)
    assert (last.headers, last.value, last.truncated) == ([], "{}", True)


def test_every_bad_object_keeps_headers_of_the_usual_size():
    value = b"[" + b",".join([b"{}"] * 20_000) + b"]"
    headers = [("traceparent", b"v" * 55)]
    _, letters = read(Record(contract.LIQUIDATIONS, value, 0, key=b"BTCUSDT", headers=headers))
    assert {(len(letter.body.headers), letter.body.truncated) for letter in letters} == {(1, False)}
