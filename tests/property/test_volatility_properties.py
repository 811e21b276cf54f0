import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from price_cases import START, Market, price

from pipeline import codec
from pipeline.features.spans import SPANS, RealisedVolatility

HOSTILE = st.sampled_from([5e-324, 1e-9, 1.0, 59_000.0, 60_000.0, 66_001.0, 1e18])
STEPS = st.sampled_from([-5.0, -0.1, 0.0, 0.3, 1.0, 5.0, 60.0, 61.0, 300.0, 5_000.0, 1e8])


@st.composite
def ticks(draw):
    second = 0.0
    found = []
    for step in draw(st.lists(STEPS, min_size=1, max_size=60)):
        second = min(2e9, max(0.0, second + step))
        found.append(
            price(
                second,
                draw(HOSTILE),
                exchange=draw(st.sampled_from("ab")),
                volume_usd=draw(st.sampled_from([None, 0.0, 1e6, 1e18])),
                spread_bps=draw(st.sampled_from([None, 0.0, 3.0, 1e18])),
            )
        )
    return found


def bodies(market, messages):
    return [output.message for message in messages for output in market.feed(message).outputs]


def numbers(value):
    if isinstance(value, dict):
        for part in value.values():
            yield from numbers(part)
    elif isinstance(value, float):
        yield value


@given(ticks())
def test_whatever_comes_what_goes_out_is_finite_and_bounded(messages):
    for body in bodies(Market(), messages):
        assert all(math.isfinite(number) for number in numbers(body))
        assert 0 <= body.get("cascade_risk_multiplier", 0) <= 10
        assert 0 <= (body.get("percentile_24h") or 0) <= 100
        assert 0 <= body.get("volatility_1m", 0) <= body.get("volatility_1h", 0) + 1e-6
        assert 0.3 <= body.get("regime_confidence", 1) <= 1


@given(ticks(), st.data())
def test_a_snapshot_cut_anywhere_has_an_equal_future(messages, data):
    cut = data.draw(st.integers(0, len(messages)))
    whole, first = Market(), Market()
    expected = bodies(whole, messages)
    before = bodies(first, messages[:cut])
    second = first.reborn()
    assert before + bodies(second, messages[cut:]) == expected
    for stage, states in whole.steps:
        for key, state in states.live.items():
            assert codec.pack(second.state(stage.table, key).freeze()) == codec.pack(state.freeze())


@given(ticks())
def test_late_prices_change_nothing(messages):
    plain, noisy = Market(), Market()
    newest = START
    for message in messages:
        newest = max(newest, message.timestamp)
        assert bodies(noisy, [message]) == bodies(plain, [message])
        if message.timestamp == newest > START:
            late = price(newest - START - 0.01, 60_000.0, exchange=message.exchange)
            assert noisy.feed(late).volatility is None


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.integers(1, 90), st.floats(-0.01, 0.01)), min_size=1, max_size=150),
)
def test_volatility_is_that_of_the_raw_seconds_to_within_a_bucket(steps):
    realised = RealisedVolatility()
    realised.move(START, 1.0, START)
    logs, second = 0.0, START
    raw = np.zeros(1)
    for gap, change in steps:
        logs += change
        second += gap
        realised.move(second, math.exp(logs), START)
        raw = np.append(raw, np.full(gap, change**2 / gap))
        for span, found in zip(SPANS, realised.volatilities(), strict=True):
            bucket = span // 60
            least, most = (100 * math.sqrt(raw[-length:].sum()) for length in (span - bucket, span + bucket))
            if bucket == 1:
                assert found == pytest.approx(100 * math.sqrt(raw[-span:].sum()), abs=1e-7)
            assert least - 1e-7 <= found <= most + 1e-7
