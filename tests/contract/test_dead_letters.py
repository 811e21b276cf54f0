"""Whatever cannot be used becomes a dead letter with a reason that a person can act on."""

import base64
import json

import msgspec
import pytest

from pipeline import codec, contract
from pipeline.features.reading import Record, read
from pipeline.messages import DeadLetter

NOW = 1_760_000_000
LIQUIDATION = {
    "symbol": "BTCUSDT",
    "exchange": "binance",
    "side": "long",
    "price": 60_000.0,
    "quantity": 0.5,
    "timestamp": NOW + 0.0,
}
PRICE = {"symbol": "BTCUSDT", "price": 60_000.0, "timestamp": NOW + 0.0}
WEIGHTS = {"velocity": 1, "acceleration": 1, "volume": 1, "oi_change": 1, "funding": 1, "volatility": 1}
CONTROL = {"setting": "weights", "version": 1, "timestamp": NOW + 0.0}
FEED_STATUS = {"exchange": "okx", "stream": "a", "from": NOW, "to": None, "reason": "cut", "timestamp": NOW}
SECONDS = "Unix seconds between 2000 and 2100 (milliseconds are the usual mistake)"


def received(topic, value, **fields):
    """Read a record that lies on offset 41 of partition 2."""
    data = value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
    fields = {"key": b"BTCUSDT", "timestamp": NOW * 1_000} | fields
    return read(Record(topic, data, 41, 2, **fields))


def refused(topic, value, **fields):
    """Return the one dead letter of a record of which nothing can be used."""
    events, [output] = received(topic, value, **fields)
    assert events == []
    assert output.topic == contract.DEAD_LETTERS
    return output.body


REASONS = [
    (
        contract.LIQUIDATIONS,
        LIQUIDATION | {"side": "buy"},
        "side: Invalid enum value 'buy': long or short, the position that was liquidated",
    ),
    (contract.LIQUIDATIONS, {"symbol": "BTCUSDT"}, "Object missing required field `exchange`"),
    (contract.LIQUIDATIONS, LIQUIDATION | {"price": "1"}, "price: Expected `float`, got `str`"),
    (contract.LIQUIDATIONS, LIQUIDATION | {"price": 0}, "price: Expected `float` > 0.0"),
    (contract.LIQUIDATIONS, LIQUIDATION | {"quantity": -1}, "quantity: Expected `float` > 0.0"),
    (
        contract.LIQUIDATIONS,
        LIQUIDATION | {"value_usd": 2e10},
        "value_usd: Expected `float` <= 10000000000.0",
    ),
    (
        contract.LIQUIDATIONS,
        LIQUIDATION | {"quantity": 1e9},
        "price x quantity: expected US dollars > 0 and <= 10 billion",
    ),
    (contract.LIQUIDATIONS, LIQUIDATION | {"exchange": " "}, "exchange: expected printable characters"),
    (contract.PRICES, PRICE | {"spread_bps": -1}, "spread_bps: Expected `float` >= 0.0"),
    (contract.PRICES, PRICE | {"volume_usd": -1}, "volume_usd: Expected `float` >= 0.0"),
    (
        contract.OPEN_INTEREST,
        {"symbol": "BTCUSDT", "open_interest_usd": -1, "timestamp": NOW},
        "open_interest_usd: Expected `float` >= 0.0",
    ),
    (contract.FUNDING, {"symbol": "BTCUSDT", "rate": 1.5, "timestamp": NOW}, "rate: Expected `float` <= 1.0"),
    (
        contract.PRICES,
        PRICE | {"timestamp": NOW * 1_000},
        f"timestamp: Expected `float` < 4102444800.0: {SECONDS}",
    ),
    (contract.PRICES, PRICE | {"timestamp": 9.4e8}, f"timestamp: Expected `float` >= 946684800.0: {SECONDS}"),
    (
        contract.PRICES,
        PRICE | {"timestamp": "2025-10-10T21:15:00Z"},
        f"timestamp: Expected `float`, got `str`: {SECONDS}",
    ),
    (
        contract.PRICES,
        b'{"symbol": "BTCUSDT", "price": 1e999, "timestamp": 1760000000}',
        "price: Number out of range",
    ),
    (contract.PRICES, PRICE | {"symbol": ""}, "symbol: Expected `str` of length >= 1"),
    (contract.PRICES, PRICE | {"symbol": "A" * 65}, "symbol: Expected `str` of length <= 64"),
    (contract.PRICES, PRICE | {"symbol": "  "}, "symbol: expected 1 to 64 characters"),
    (
        contract.PRICES,
        PRICE | {"symbol": "BTC:USDT"},
        "symbol: no spaces, control characters, colons or braces",
    ),
    (contract.PRICES, 17, "Expected `object | array`, got `int`"),
    (contract.PRICES, None, "no value: expected a JSON object or an array of them"),
    (contract.PRICES, b"", "empty value: expected a JSON object or an array of them"),
    (contract.PRICES, b" \n", "empty value: expected a JSON object or an array of them"),
    (contract.PRICES, b'{"symbol": "BTC', "Input data was truncated"),
    (contract.PRICES, b"{'symbol': 1}", "JSON is malformed: object keys must be strings (byte 1)"),
    (contract.PRICES, b'{"a":' * 100_000, "nested too deeply"),
    (contract.PRICES, b" " * (1 << 20) + b"1", "value of 1048577 bytes: at most 1048576 are read"),
    (
        contract.PRICES,
        b"\xef\xbb\xbf{}",
        "JSON is malformed: invalid character (byte 0): send UTF-8 without a byte order mark",
    ),
    (
        contract.PRICES,
        b'{"symbol": "\\ud800"}',
        "Input data was truncated, or ends in half of a surrogate pair",
    ),
    (contract.CONTROL, CONTROL | {"setting": "levels"}, "setting: Invalid enum value 'levels'"),
    (contract.CONTROL, CONTROL | {"version": 0}, "version: Expected `int` >= 1"),
    (
        contract.CONTROL,
        CONTROL | {"weights": WEIGHTS | {"velocity": -1}},
        "weights.velocity: expected 0 to 1e+06, got -1.0",
    ),
    (contract.CONTROL, CONTROL | {"weights": dict.fromkeys(WEIGHTS, 0)}, "weights: all are zero"),
    (
        contract.CONTROL,
        CONTROL | {"weights": WEIGHTS | {"speed": 1}},
        "weights.speed: unknown, expected velocity, acceleration, volume, oi_change, funding, volatility",
    ),
    (contract.CONTROL, CONTROL | {"weights": {"velocity": 1}}, "weights.acceleration: missing"),
    (
        contract.FEED_STATUS,
        FEED_STATUS | {"from": NOW * 1_000},
        f"from: Expected `float` < 4102444800.0: {SECONDS}",
    ),
    (
        contract.FEED_STATUS,
        FEED_STATUS | {"to": "now"},
        f"to: Expected `float | null`, got `str`: {SECONDS}",
    ),
    (contract.FEED_STATUS, FEED_STATUS | {"exchange": " "}, "exchange: expected printable characters"),
    (contract.FEED_STATUS, FEED_STATUS | {"stream": "x" * 65}, "stream: Expected `str` of length <= 64"),
    (
        contract.FEED_STATUS,
        FEED_STATUS | {"stream": "é"},
        "stream: expected printable ASCII",
    ),
]


@pytest.mark.parametrize(("topic", "value", "reason"), REASONS, ids=[reason[:60] for _, _, reason in REASONS])
def test_a_value_that_cannot_be_used_is_refused_with_its_reason(topic, value, reason):
    assert refused(topic, value).reason == reason


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_json_does_not_have_are_refused_with_advice(number):
    value = json.dumps(PRICE).replace("60000.0", number).encode()
    reason = refused(contract.PRICES, value).reason
    assert reason.startswith("JSON is malformed: invalid character ")
    assert reason.endswith(": NaN and Infinity are no JSON, leave such a field out")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_json_does_not_have_does_not_take_its_neighbours_with_it(number):
    good, bad = json.dumps(PRICE), json.dumps(PRICE).replace("60000.0", number)
    events, [output] = received(contract.PRICES, f"[{good}, {bad}, {good}]".encode())
    assert [event.message.price for event in events] == [60_000.0, 60_000.0]
    assert (output.body.index, output.body.value) == (1, bad)


@pytest.mark.parametrize("array", ["[%s,%s]", " [ %s ,\n%s\t]\n", "[NaN, %s, %s, {} ]"])
def test_an_object_of_an_array_is_kept_as_it_was_written(array):
    price = '{"symbol": "BTCUSDT", "price": 6.0E4, "timestamp":1760000000,  "mine": [",", "]"]}'
    other = price.replace("BTC", "ETH")
    _, outputs = received(contract.PRICES, (array % (price, other)).encode())
    assert other in [output.body.value for output in outputs]


@pytest.mark.parametrize("form", ["%s", "[%s]"])
def test_a_decoded_value_that_cannot_be_used_is_kept_as_it_was_sent(form):
    value = form % '{"symbol": "ETHUSDT", "price": 6.0E4,  "timestamp":1760000000, "mine": 1}'
    letter = refused(contract.PRICES, value.encode())
    assert (letter.value, letter.index) == (value, None)


def test_half_a_surrogate_pair_does_not_take_its_neighbours_with_it():
    value = b'[%b, {"symbol": "\\ud800", "price": 1, "timestamp": 1760000000}]' % json.dumps(PRICE).encode()
    events, [output] = received(contract.PRICES, value)
    assert [event.symbol for event in events] == ["BTCUSDT"]
    assert output.body.index == 1


@pytest.mark.parametrize("key", [b"ETHUSDT", b"", None, b"\xff\xfe", b"BTC USDT", b"BTCUSDT:"])
def test_a_key_that_is_not_the_symbol_is_refused(key):
    letter = refused(contract.PRICES, PRICE, key=key)
    assert letter.reason.startswith("key: expected the symbol BTCUSDT, got ")
    assert json.loads(letter.value).items() >= PRICE.items()


def test_a_missing_key_is_said_to_be_missing():
    assert refused(contract.PRICES, PRICE, key=None).reason == "key: expected the symbol BTCUSDT, got none"


def test_a_long_key_is_shown_in_part():
    assert refused(contract.PRICES, PRICE, key=b"K" * 10_000).reason.endswith(f"got '{'K' * 64}'")


@pytest.mark.parametrize("key", [b"BTCUSDT", b"btcusdt", b" BtcUsdt "])
def test_a_key_is_normalised_as_the_symbol_is(key):
    events, letters = received(contract.PRICES, PRICE | {"symbol": " bTCusdt"}, key=key)
    assert [event.symbol for event in events] == ["BTCUSDT"]
    assert letters == []


def test_an_event_more_than_five_seconds_ahead_of_its_record_is_refused():
    letter = refused(contract.PRICES, PRICE | {"timestamp": NOW + 6})
    assert letter.reason == "timestamp: 6.0 s ahead of the record's own: the feed's clock is wrong"


def test_a_record_without_a_timestamp_is_said_to_have_none():
    """Kafka takes -1 from a producer for that."""
    letter = refused(contract.PRICES, PRICE, timestamp=-1)
    assert letter.reason == "timestamp: the record itself has none: set it to the event's"


@pytest.mark.parametrize("lead", [5.0, 0.0, -3_600.0])
def test_an_event_up_to_five_seconds_ahead_or_any_time_behind_is_used(lead):
    events, letters = received(contract.PRICES, PRICE | {"timestamp": NOW + lead})
    assert [event.time for event in events] == [round((NOW + lead) * 1_000_000)]
    assert letters == []


def test_without_a_record_time_no_event_is_ahead():
    events, letters = received(contract.PRICES, PRICE | {"timestamp": NOW + 1_000_000}, timestamp=None)
    assert (len(events), letters) == (1, [])


def test_each_bad_object_of_an_array_has_its_own_letter_and_the_others_are_used():
    value = [
        PRICE,
        PRICE | {"price": -1},
        PRICE | {"symbol": "ETHUSDT"},
        PRICE | {"timestamp": NOW + 6},
        PRICE,
    ]
    events, outputs = received(contract.PRICES, value)
    assert [event.message.price for event in events] == [60_000.0, 60_000.0]
    assert [event.last for event in events] == [False, True]
    letters = sorted((output.body for output in outputs), key=lambda letter: letter.index)
    assert [(letter.index, letter.reason.partition(":")[0]) for letter in letters] == [
        (1, "price"),
        (2, "key"),
        (3, "timestamp"),
    ]
    assert [json.loads(letter.value)["symbol"] for letter in letters] == ["BTCUSDT", "ETHUSDT", "BTCUSDT"]


def test_a_letter_tells_where_the_record_lay_and_what_it_was():
    headers = [("feed", b"binance-1"), ("trace", b"\xff"), ("empty", None)]
    letter = refused(contract.PRICES, b"{]", headers=headers)
    assert (letter.topic, letter.partition, letter.offset, letter.stage) == ("prices", 2, 41, "read")
    assert (letter.key, letter.value, letter.encoding) == ("BTCUSDT", "{]", "utf-8")
    assert (letter.index, letter.truncated) == (None, False)
    assert letter.headers == [("feed", "binance-1"), ("trace", "/w=="), ("empty", None)]
    assert letter.header_encodings == ["utf-8", "base64", "utf-8"]


def test_a_letter_lies_under_its_records_key():
    _, [output] = received(contract.PRICES, b"{]")
    assert output.key == "BTCUSDT"
    _, [output] = received(contract.PRICES, b"{]", key=None)
    assert (output.key, output.body.key) == ("", None)
    _, [output] = received(contract.PRICES, b"{]", key=b"\xffA")
    assert (output.key, output.body.key, output.body.key_encoding) == ("/0E=", "/0E=", "base64")


def test_a_record_without_value_has_a_letter_without_value():
    assert refused(contract.PRICES, None).value is None
    assert refused(contract.PRICES, b"").value == ""


def test_a_name_of_a_header_that_was_cut_is_no_whole_letter():
    assert refused(contract.PRICES, b"{]", headers=[("h" * 1_025, b"1")]).truncated


def test_letters_of_before_there_were_encodings_of_headers_are_read():
    letter = refused(contract.PRICES, b"{]", headers=[("feed", b"1"), ("trace", b"2")])
    old = json.loads(codec.encode(letter))
    del old["header_encodings"], old["key_encoding"]
    assert msgspec.convert(old, DeadLetter) == letter


def test_a_value_that_is_no_text_is_kept_as_base64():
    letter = refused(contract.PRICES, b"\xff\x00\xfe")
    assert letter.encoding == "base64"
    assert base64.b64decode(letter.value) == b"\xff\x00\xfe"


@pytest.mark.parametrize(("size", "truncated"), [(64 << 10, False), ((64 << 10) + 1, True), (2 << 20, True)])
def test_a_value_is_cut_at_64_kib(size, truncated):
    letter = refused(contract.PRICES, b"x" * size)
    assert letter.value == "x" * (64 << 10)
    assert letter.truncated is truncated


@pytest.mark.parametrize("character", ["x", "\x7f", "\u2028", "\U0001f600"])
@pytest.mark.parametrize(
    "letter_of",
    [
        lambda text: refused(contract.LIQUIDATIONS, LIQUIDATION | {"side": text}),
        lambda text: refused(contract.CONTROL, CONTROL | {"setting": text}),
        lambda text: refused(contract.CONTROL, CONTROL | {"weights": WEIGHTS | {text: 1}}),
    ],
    ids=["side", "setting", "weights"],
)
def test_a_reason_that_quotes_what_was_sent_is_shortened_in_its_middle(letter_of, character):
    short, long = (letter_of(character * times) for times in (5, 80_000))
    assert (long.reason[:9], long.reason[-6:]) == (short.reason[:9], short.reason[-6:])
    assert len(long.reason) <= codec.LONGEST_REASON + 3
    assert len(codec.encode(long)) < 1_000_000


def test_every_letter_can_be_sent():
    for topic, value, _ in REASONS:
        letter = refused(topic, value)
        assert json.loads(codec.encode(letter))["reason"] == letter.reason


def test_a_letter_can_always_be_sent_however_large_its_record_was():
    headers = [("h" * 5_000, b"\xff" * 400_000)] * 40
    letter = refused(contract.PRICES, b"\x00" * 900_000, key=b"\xff" * 300_000, headers=headers)
    assert letter.truncated
    assert len(codec.encode(letter)) + len(letter.key) < 1_000_000
