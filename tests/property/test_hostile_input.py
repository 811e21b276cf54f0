"""Whatever a feed sends: good objects are counted, bad ones become a dead letter each, and nothing breaks."""

import json

import pytest
from hostile import NOW, TOPICS, VALUES, Hostile
from hypothesis import example, given
from hypothesis import strategies as st
from reading_checks import check_letters, check_record
from reading_oracle import judge, message_of

from pipeline import Engine, codec, contract
from pipeline.features.reading import Record

LARGEST_SNAPSHOT = 64 << 10


def check_reading(seed, number):
    """Read hostile records as a worker does; return how many objects were good, and how many bad."""
    good = bad = 0
    for record in Hostile(seed).records(number):
        verdict = check_record(record)
        good, bad = good + len(verdict.good), bad + len(verdict.bad)
    return good, bad


def check_engines(seed, number):
    """Run an engine on hostile records, and one on what is good of them: they have to agree."""
    hostile, clean = Engine(), Engine()
    good = bad = 0
    for record in Hostile(seed).records(number):
        value = b"null" if record.value is None else record.value
        verdict = judge(record.topic, value, keyed=False)
        outputs = hostile.process(record.topic, value, offset=record.offset)
        letters = [output for output in outputs if output.topic == contract.DEAD_LETTERS]
        check_letters(record, [letter.body for letter in letters], verdict)
        expected = clean.process(record.topic, json.dumps(verdict.good), offset=record.offset)
        assert outputs == letters + expected, f"{record.topic} {value!r:.2000}"
        good, bad = good + len(verdict.good), bad + len(letters)
    assert hostile.skipped() == clean.skipped()
    assert hostile.snapshot() == clean.snapshot()
    sizes = [len(data) for table in hostile._stored.values() for data in table.values()]
    assert max(sizes) <= LARGEST_SNAPSHOT
    return good, bad


@pytest.mark.parametrize("seed", [1, 2])
def test_every_object_that_was_sent_is_an_event_or_a_letter(seed):
    good, bad = check_reading(seed, 5_000)
    assert min(good, bad) > 2_000


@pytest.mark.parametrize("seed", [3, 4])
def test_an_engine_counts_what_is_good_as_if_nothing_else_had_come(seed):
    good, bad = check_engines(seed, 5_000)
    assert min(good, bad) > 2_000


@pytest.mark.endurance
@pytest.mark.parametrize("seed", range(100, 110))
def test_every_object_of_a_million_records_is_an_event_or_a_letter(seed):
    check_reading(seed, 100_000)


@pytest.mark.endurance
@pytest.mark.parametrize("seed", range(200, 204))
def test_an_engine_counts_what_is_good_of_many_records(seed):
    check_engines(seed, 50_000)


texts = (
    st.sampled_from(VALUES)
    | st.integers().map(str)
    | st.floats().map(json.dumps)
    | st.text(st.characters(codec=None), max_size=70).map(json.dumps)
    | st.text(max_size=70).map(lambda text: json.dumps(text, ensure_ascii=False))
    | st.recursive(st.sampled_from(VALUES), lambda inner: st.lists(inner).map(", ".join).map("[{}]".format))
)


@st.composite
def objects(draw, topic, pick):
    """The bytes of one object, good or damaged in up to three places."""
    fields = [(json.dumps(name), value) for name, value in pick.good(topic, "BTCUSDT")]
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(fields) - 1))
        name = draw(st.just(fields[place][0]) | st.text(max_size=3).map(json.dumps))
        replaced = draw(st.integers(0, 1))  # 0: put in front of it, so that it is repeated
        fields[place : place + replaced] = [(name, draw(texts))]
    text = "{" + ", ".join(f"{name}: {value}" for name, value in fields) + "}"
    return text.encode("utf-8", "surrogatepass")


@st.composite
def hostile_records(draw):
    """Records of one object or many, and some with a place cut, doubled or written over."""
    topic = draw(st.sampled_from(TOPICS))
    pick = Hostile(draw(st.integers(0, 3)))
    parts = draw(st.lists(objects(topic, pick), max_size=5))
    whole = b"[" + b",".join(parts) + b"]"
    value = draw(st.sampled_from([whole, *parts[:1]]))
    if draw(st.booleans()):
        begin, end = draw(st.integers(0, len(value))), draw(st.integers(0, len(value)))
        value = value[:begin] + draw(st.binary(max_size=3)) + value[end:]
    key = draw(st.sampled_from([b"BTCUSDT", b"btcusdt", b"ETHUSDT", None]) | st.binary(max_size=5))
    lead = draw(st.sampled_from([0, 0, -5_000, -5_001, 10**6, -(10**9)]))
    return Record(topic, value, 1, 2, key, (), NOW * 1_000 + lead)


UNREADABLE = ("JSON is malformed", "Input data was truncated", "'utf-8' codec", "nested too deeply")
PRICE = b'{"symbol": "BTCUSDT", "price": 1, "timestamp": 1760000000}'


def of_prices(value):
    return Record(contract.PRICES, value, 1, 2, b"BTCUSDT", (), NOW * 1_000)


@given(hostile_records())
@example(of_prices(b'[%b,{"price": NaN},{"symbol": "\xff"}]' % PRICE))
@example(of_prices(b"[%b,NaN,%b]" % (PRICE, b"9" * 5_000)))
@example(of_prices(b"[%b,%b]" % (PRICE, b"[" * 30_000 + b"]" * 30_000)))
@example(of_prices(b"[%b,%b]" % (PRICE, b'{"x": ]}')))
@example(of_prices(b"[%b,{}}" % PRICE))
@example(of_prices(b"[%b,{]]" % PRICE))
def test_what_is_drawn_is_an_event_or_a_letter(record):
    check_record(record)


@pytest.mark.parametrize("topic", TOPICS)
def test_a_reason_names_the_field_that_is_wrong(topic):
    pairs = Hostile(0).good(topic, "BTCUSDT")
    for place, (name, _) in enumerate(pairs):
        for value in VALUES:
            wrong = [*pairs[:place], (name, value), *pairs[place + 1 :]]
            text = "{" + ", ".join(f'"{field}": {content}' for field, content in wrong) + "}"
            data = text.encode("utf-8", "surrogateescape")
            found = codec.decode(topic, data).rejections
            assert bool(found) == (message_of(topic, data) is None), text
            for rejection in found:
                named = name in rejection.reason.partition(": ")[0] or name in rejection.reason.split(" x ")
                assert named or rejection.reason.startswith(UNREADABLE), (text, rejection.reason)
