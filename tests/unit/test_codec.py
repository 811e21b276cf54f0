import json
import math

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline import codec, contract
from pipeline.messages import Price

GOOD = {
    contract.LIQUIDATIONS: {
        "symbol": "BTCUSDT",
        "exchange": "binance",
        "side": "long",
        "price": 60_000.0,
        "quantity": 0.5,
        "timestamp": 1_760_000_000.0,
        "id": "a",
    },
    contract.PRICES: {"symbol": "BTCUSDT", "price": 60_000.0, "timestamp": 1_760_000_000.0},
    contract.OPEN_INTEREST: {"symbol": "BTCUSDT", "open_interest_usd": 1e9, "timestamp": 1_760_000_000.0},
    contract.FUNDING: {"symbol": "BTCUSDT", "rate": 0.0001, "timestamp": 1_760_000_000.0},
    contract.CONTROL: {"setting": "weights", "version": 1, "timestamp": 1_760_000_000.0},
    contract.FEED_STATUS: {
        "exchange": "binance",
        "stream": "wss://a",
        "from": 1_760_000_000.0,
        "to": None,
        "reason": "cut",
        "timestamp": 1_760_000_030.0,
    },
    contract.CONTEXT: {
        "symbol": "BTCUSDT",
        "timestamp": 1_760_000_000.0,
        "sequence": 1,
        "btc_price": 60_000.0,
        "volatility_regime": "NORMAL",
        "market_regime": "NORMAL",
        "vol_risk_multiplier": 1.5,
        "cascade_sensitivity": 1.0,
        "velocity_threshold_multiplier": 1.0,
        "warming": False,
    },
}
PRICE = json.dumps(GOOD[contract.PRICES]).encode()

topics = st.sampled_from(contract.INPUTS)
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None), max_size=5)
    | st.sampled_from([0, -1, 1e19, 10**40, 1e305, 5e-324, math.nan, math.inf, "long", "\ud800", "BTC:USDT"])
)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@st.composite
def damaged(draw, topic):
    """A good object with some of its fields replaced or left out."""
    found = dict(GOOD[topic])
    for field in draw(st.lists(st.sampled_from(sorted(found)), unique=True, max_size=4)):
        if draw(st.booleans()):
            found[field] = draw(values)
        else:
            del found[field]
    return found


@st.composite
def records(draw):
    """A topic and the bytes of a record: JSON of all kinds, cut and mixed up JSON, and mere bytes."""
    topic = draw(topics)
    found = draw(damaged(topic) | st.lists(damaged(topic) | values, max_size=4) | values)
    data = json.dumps(found).encode()
    cut = draw(st.integers(0, len(data)))
    return topic, draw(st.just(data) | st.just(data[:cut]) | st.just(data[cut:]) | st.binary(max_size=50))


@given(records())
@example((contract.CONTEXT, json.dumps(GOOD[contract.CONTEXT] | {"timestamp": 1e305}).encode()))
@example((contract.LIQUIDATIONS, b'{"id":' + b"9" * 5_000 + b"}"))
@example((contract.PRICES, b"[" + b"9" * 5_000 + b",NaN]"))
@example((contract.PRICES, b"\xef\xbb\xbf{}"))
@example((contract.PRICES, b"[NaN," + b"[" * 100_000))
@example((contract.PRICES, b"[NaN,\xff]"))
@example((contract.PRICES, b'{"price":NaN}'))
def test_any_bytes_give_messages_or_reasons(record):
    topic, data = record
    decoded = codec.decode(topic, data)
    kind = codec.TYPES[topic]
    assert all(message is None or isinstance(message, kind) for message in decoded.messages)
    missing = [index for index, message in enumerate(decoded.messages) if message is None]
    if decoded.messages:
        assert [rejection.index for rejection in decoded.rejections] == missing
    assert all(rejection.reason for rejection in decoded.rejections)


@given(st.data(), topics)
def test_good_neighbours_always_survive(data, topic):
    neighbours = st.lists(st.none() | st.tuples(damaged(topic) | values), min_size=1, max_size=5)
    places = data.draw(neighbours)  # None where a good object lies
    array = [GOOD[topic] if place is None else place[0] for place in places]
    decoded = codec.decode(topic, json.dumps(array).encode())
    [expected] = codec.decode(topic, json.dumps(GOOD[topic]).encode()).messages
    assert len(decoded.messages) == len(places)
    for message, place in zip(decoded.messages, places, strict=True):
        assert place is not None or message == expected


@given(topics, st.binary(max_size=200))
def test_any_rejected_value_makes_a_letter_that_can_be_sent(topic, value):
    for rejection in codec.decode(topic, value).rejections:
        letter = codec.dead_letter(
            rejection, topic=topic, partition=0, offset=1, stage="read", key=value, headers=[("h", value)]
        )
        assert msgspec.json.decode(codec.encode(letter), type=type(letter)) == letter


contents = st.none() | st.binary(max_size=20) | st.text(max_size=20).map(str.encode)


@given(contents, contents, st.lists(st.tuples(st.text(max_size=5), contents), max_size=4))
def test_key_value_and_headers_of_a_letter_can_be_had_back(key, value, headers):
    letter = codec.dead_letter(
        codec.Rejection("bad", value),
        topic=contract.PRICES,
        partition=0,
        offset=1,
        stage="read",
        key=key,
        headers=headers,
    )
    back = msgspec.json.decode(codec.encode(letter), type=type(letter))
    names = zip(back.headers, back.header_encodings, strict=True)
    assert codec.original(back.key, back.key_encoding) == key
    assert codec.original(back.value, back.encoding) == value
    assert [(name, codec.original(text, encoding)) for (name, text), encoding in names] == headers


def test_one_object_is_read():
    assert list(codec.decode(contract.PRICES, PRICE).messages) == [
        Price("BTCUSDT", 60_000.0, 1_760_000_000.0)
    ]


def test_an_array_without_objects_holds_nothing_and_nothing_wrong():
    decoded = codec.decode(contract.PRICES, b"[]")
    assert (list(decoded.messages), list(decoded.rejections)) == ([], [])


def test_a_value_of_the_largest_size_is_read():
    value = PRICE + b" " * (codec.LARGEST_VALUE - len(PRICE))
    assert len(codec.decode(contract.PRICES, value).messages) == 1
    [rejection] = codec.decode(contract.PRICES, value + b" ").rejections
    assert rejection.reason == "value of 1048577 bytes: at most 1048576 are read"


def test_a_bad_object_is_named_by_its_place_and_kept_as_it_was():
    bad = b'{"symbol": "BTCUSDT",  "price": -1, "timestamp": 1760000000}'
    decoded = codec.decode(contract.PRICES, b"[%b,%b]" % (PRICE, bad))
    [rejection] = decoded.rejections
    assert (rejection.index, rejection.value) == (1, bad)
    assert rejection.reason == "price: Expected `float` > 0.0"


def test_bytes_that_are_no_text_spoil_their_object_alone():
    decoded = codec.decode(contract.PRICES, b'[%b,{"symbol": "\xff", "price": 1, "timestamp": 1}]' % PRICE)
    assert [message is None for message in decoded.messages] == [False, True]
    assert [rejection.index for rejection in decoded.rejections] == [1]


DEEP = b"[" * 100_000 + b"]" * 100_000


@pytest.mark.parametrize(
    "bad",
    [
        [b'{"symbol": NaN}', b'"\xff"'],
        [b"NaN", b"9" * 5_000],
        [b"NaN", DEEP],
        [DEEP],
        [b'{"symbol": "BTCUSDT",}'],
        [b""],
        [b"{]"],
        [b'"\\"],[{"', b'{"\\\\": "]"}', b"NaN"],
    ],
    ids=lambda bad: " ".join(repr(part)[:20] for part in bad),
)
def test_whatever_is_wrong_within_an_array_spoils_its_object_alone(bad):
    value = b"[%b , %b ,\n%b]" % (PRICE, b",".join(bad), PRICE)
    decoded = codec.decode(contract.PRICES, value)
    assert [message is None for message in decoded.messages] == [False, *[True] * len(bad), False]
    assert [(found.index, found.value) for found in decoded.rejections] == list(enumerate(bad, 1))


@pytest.mark.parametrize(
    "value", [b"[%b", b"[%b]]", b"[%b] x", b'[%b,"x]', b"[%b}", b"%b]", b"[%b,{]", b"{%b:1}", b"[%b][%b]"]
)
def test_what_does_not_end_where_an_array_ends_is_one_bad_value(value):
    value = value.replace(b"%b", PRICE)
    [rejection] = codec.decode(contract.PRICES, value).rejections
    assert (rejection.index, rejection.value) == (None, value)


@pytest.mark.parametrize("part", [b"0", b"{}", json.dumps({"price": 1}).encode()])
def test_an_array_of_more_objects_than_are_read_is_one_bad_value(part):
    value = b"[" + b",".join([part] * (codec.LARGEST_ARRAY + 1)) + b"]"
    [rejection] = codec.decode(contract.PRICES, value).rejections
    assert rejection.reason == "array of 20001 objects: at most 20000 are read"
    fewer = b"[" + b",".join([part] * codec.LARGEST_ARRAY) + b"]"
    assert len(codec.decode(contract.PRICES, fewer).rejections) == codec.LARGEST_ARRAY


def test_an_array_of_good_objects_is_limited_too():
    good = b'{"symbol":"A","price":1,"timestamp":1e9}'
    fewer = b"[" + b",".join([good] * codec.LARGEST_ARRAY) + b"]"
    assert len(codec.decode(contract.PRICES, fewer).messages) == codec.LARGEST_ARRAY
    [rejection] = codec.decode(contract.PRICES, fewer[:-1] + b"," + good + b"]").rejections
    assert rejection.reason == "array of 20001 objects: at most 20000 are read"


@pytest.mark.parametrize("last", [5.0, -1.0])
def test_of_a_repeated_field_the_last_counts_and_all_have_to_be_valid(last):
    decoded = codec.decode(contract.PRICES, PRICE.replace(b"}", b', "price": %r}' % last))
    assert [message.price for message in decoded.messages] == [last] * (last > 0)


def test_an_object_that_is_nested_too_deeply_is_refused():
    value = PRICE.replace(b"}", b', "more": ' + b"[" * 100_000 + b"]" * 100_000 + b"}")
    decoded = codec.decode(contract.PRICES, value)
    assert [rejection.reason for rejection in decoded.rejections] == ["nested too deeply"]


def test_state_comes_back_as_it_was_packed():
    kept = {"a": [1, 2.5, "x", b"\xff", None]}
    assert codec.unpacker(dict)(codec.pack(kept)) == kept
