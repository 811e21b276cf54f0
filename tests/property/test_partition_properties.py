"""Partitions, one of which tells the others of the market's context, make what one engine makes."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_clock_properties import START, message

from pipeline import SEED, Engine, codec, contract
from pipeline.messages import millis

REFERENCE, OTHER = "BTCUSDT", "ETHUSDT"
HASTY = msgspec.structs.replace(SEED, velocity=msgspec.structs.replace(SEED.velocity, grace_s=0))

#: Seconds that a message is newer or older than its record: by parts of a millisecond too.
leads = st.sampled_from([0, 0, 0.0004, 0.0006, 0.0009, 4.9, -0.5, -2, -3, -59])
steps = st.tuples(
    st.sampled_from([*contract.FEEDS, contract.PRICES, contract.CONTROL, contract.FEED_STATUS]),
    st.sampled_from([REFERENCE, OTHER]),
    st.sampled_from([0, 0, 0, 1, 500, 1_000, 3_000]),
    leads,
    st.integers(0, 10**6),
)


def records_of(plan):
    """Return records in the order of the README; a price of the reference symbol is of its record's time."""
    time_ms, records = round(START * 1_000), []
    for topic, symbol, gap_ms, lead, number in plan:
        time_ms += gap_ms
        whose = symbol if topic in contract.FEEDS else None
        lead_s = lead % 0.001 if (topic, symbol) == (contract.PRICES, REFERENCE) else lead
        value = codec.encode(message(topic, symbol, time_ms / 1_000 + lead_s, number))
        records.append((time_ms, topic, whose, value))
    return sorted(records, key=place_in_time)


def place_in_time(record):
    time_ms, topic, whose, _ = record
    return time_ms, contract.INPUTS.index(topic), whose != REFERENCE


def run(records, profile):
    engine = Engine(profile)
    return [output for _, topic, _, value in records for output in engine.process(topic, value)]


def told_by(outputs):
    """Return the context as it lies on the other partitions."""
    contexts = [output.body for output in outputs if output.topic == contract.CONTEXT]
    return [
        (millis(context.timestamp), contract.CONTEXT, REFERENCE, codec.encode(context))
        for context in contexts
    ]


@pytest.mark.parametrize("profile", [SEED, HASTY], ids=["seed", "without grace"])
@given(plan=st.lists(steps, max_size=30))
@settings(max_examples=200)
def test_two_partitions_send_of_a_symbol_what_one_engine_says(profile, plan):
    records = records_of(plan)
    expected = [output for output in run(records, profile) if output.key == OTHER]
    context = told_by(run([record for record in records if record[2] != OTHER], profile))
    apart = sorted([*context, *[record for record in records if record[2] != REFERENCE]], key=place_in_time)
    assert [output for output in run(apart, profile) if output.key == OTHER] == expected
