import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import codec, contract
from pipeline.messages import (
    COMPONENTS,
    LEVELS,
    Liquidation,
    check_weights,
    micros,
    normal_exchange,
    normal_symbol,
    rounded,
    seconds,
)

EVEN = dict.fromkeys(COMPONENTS, 1.0)


@pytest.mark.parametrize(
    ("text", "symbol"),
    [
        ("BTCUSDT", "BTCUSDT"),
        ("  btcusdt\n", "BTCUSDT"),
        ("1000pepeusdt", "1000PEPEUSDT"),
        ("BTC-USDT_240329/x.P", "BTC-USDT_240329/X.P"),
        ("币安人生USDT", "币安人生USDT"),
        ("éàUSDT", "ÉÀUSDT"),
        ("A" * 64, "A" * 64),
        ("字" * 64, "字" * 64),
        ("ß" * 32, "S" * 64),
    ],
)
def test_a_symbol_is_upper_case_without_space_around_it(text, symbol):
    assert normal_symbol(text) == symbol


@pytest.mark.parametrize("text", ["", "   ", "A" * 65, "ß" * 33])
def test_a_symbol_has_1_to_64_characters_in_its_normal_form(text):
    with pytest.raises(ValueError, match="symbol: expected 1 to 64 characters"):
        normal_symbol(text)


@pytest.mark.parametrize(
    "text",
    [
        "BTC USDT",
        "BTC:USDT",
        "{BTC",
        "BTC}",
        "BTC\tUSDT",
        "BTC\x00",
        "BTC\u200bUSDT",
        "BTC\u00a0USDT",
        "\ud800",
    ],
)
def test_a_symbol_holds_no_space_control_character_colon_or_brace(text):
    with pytest.raises(ValueError, match="symbol: no spaces, control characters, colons or braces"):
        normal_symbol(text)


@given(st.text(max_size=70))
def test_what_is_normal_stays_as_it_is_and_fits_a_redis_key(text):
    try:
        symbol = normal_symbol(text)
    except ValueError:
        return
    assert normal_symbol(symbol) == symbol
    assert 1 <= len(symbol) <= 64
    assert not set(symbol) & set(":{} \n\t")
    assert symbol.encode().decode() == symbol


@pytest.mark.parametrize(("text", "exchange"), [("Binance", "binance"), (" OKX ", "okx"), ("Бит", "бит")])
def test_an_exchange_is_lower_case_without_space_around_it(text, exchange):
    assert normal_exchange(text) == exchange


@pytest.mark.parametrize("text", ["", "  ", "bi\x00nance", "\ud800"])
def test_an_exchange_is_printable(text):
    with pytest.raises(ValueError, match="exchange: expected printable characters"):
        normal_exchange(text)


@pytest.mark.parametrize(
    ("timestamp", "time"),
    [
        (1_760_000_000, 1_760_000_000_000_000),
        (1_760_000_000.123456, 1_760_000_000_123_456),
        (1698765432.123, 1_698_765_432_123_000),
    ],
)
def test_times_are_whole_microseconds_inside(timestamp, time):
    assert micros(timestamp) == time
    assert seconds(time) == timestamp


@given(st.integers(946_684_800_000_000, 4_102_444_799_999_999))
def test_a_time_goes_out_as_it_came_in(time):
    assert micros(seconds(time)) == time


@given(st.floats(1e-6, 1e5), st.floats(1e-6, 1e4))
def test_a_liquidation_without_a_value_is_worth_price_times_quantity(price, quantity):
    found = Liquidation("BTCUSDT", "binance", "long", price, quantity, 1_760_000_000.0)
    assert found.value_usd == price * quantity


def test_a_value_that_was_given_is_kept():
    assert Liquidation("BTCUSDT", "binance", "long", 2.0, 3.0, 1_760_000_000.0, 5.5).value_usd == 5.5


@pytest.mark.parametrize(("price", "quantity"), [(1e18, 1e18), (1e6, 1e4 + 1), (1e-200, 1e-200)])
def test_a_liquidation_of_an_impossible_worth_is_refused(price, quantity):
    with pytest.raises(ValueError, match="price x quantity: expected US dollars > 0 and <= 10 billion"):
        Liquidation("BTCUSDT", "binance", "long", price, quantity, 1_760_000_000.0)


@pytest.mark.parametrize("weights", [EVEN, EVEN | {"velocity": 0.0}, EVEN | {"funding": 1e6}])
def test_weights_need_not_sum_to_one(weights):
    check_weights(weights)


@pytest.mark.parametrize(
    ("weights", "reason"),
    [
        (EVEN | {"speed": 1.0}, r"weights\.speed: unknown, expected velocity, acceleration, volume, "),
        ({"velocity": 1.0}, r"weights\.acceleration: missing"),
        ({}, r"weights\.velocity: missing"),
        (EVEN | {"volume": -0.1}, r"weights\.volume: expected 0 to 1e\+06, got -0\.1"),
        (EVEN | {"volume": 1.1e6}, r"weights\.volume: expected 0 to 1e\+06, got 1100000\.0"),
        (EVEN | {"volume": math.nan}, r"weights\.volume: expected 0 to 1e\+06, got nan"),
        (EVEN | {"volume": math.inf}, r"weights\.volume: expected 0 to 1e\+06, got inf"),
        (dict.fromkeys(COMPONENTS, 0.0), "weights: all are zero"),
    ],
)
def test_weights_that_cannot_be_used_are_refused_by_name(weights, reason):
    with pytest.raises(ValueError, match=reason):
        check_weights(weights)


def test_levels_rise():
    assert LEVELS == ("NONE", "WATCH", "ALERT", "CRITICAL", "EXTREME")


@pytest.mark.parametrize("timestamp", ["946684799", "4102444800", "1e305", "-1e305", "1760000000000"])
def test_a_context_of_an_impossible_time_is_refused(timestamp):
    value = (
        b'{"symbol":"BTCUSDT","timestamp":%s,"sequence":1,"btc_price":1,"volatility_regime":"LOW",'
        b'"market_regime":"LOW","vol_risk_multiplier":1,"cascade_sensitivity":1,'
        b'"velocity_threshold_multiplier":1,"warming":false}' % timestamp.encode()
    )
    [rejection] = codec.decode(contract.CONTEXT, value).rejections
    assert rejection.reason.startswith("timestamp: Expected `float` ")


@pytest.mark.parametrize("version", [2**53 + 1, 10**30])
def test_a_version_that_could_not_be_stored_is_refused(version):
    value = b'{"setting":"weights","version":%d,"timestamp":1760000000}' % version
    [rejection] = codec.decode(contract.CONTROL, value).rejections
    assert rejection.reason.startswith("version: ")


@given(st.floats(), st.integers(0, 9))
def test_rounding_is_that_of_python_without_a_negative_zero(value, digits):
    assert repr(rounded(value, digits)) == repr(round(value, digits) + 0.0)


@given(st.integers(-(10**12), 10**12), st.integers(0, 9), st.integers(0, 9))
def test_rounding_is_that_of_python_also_close_to_a_tie(whole, finer, digits):
    value = (whole + 0.5) / 10**finer
    for close in (math.nextafter(value, -math.inf), value, math.nextafter(value, math.inf)):
        assert repr(rounded(close, digits)) == repr(round(close, digits) + 0.0)
