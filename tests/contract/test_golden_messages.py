"""Every message as it lies on the wire: names, nesting and order of fields, on which others rely."""

import json

import msgspec
import pytest
from output_records import CONTEXT as SIGNAL_CONTEXT
from output_records import SCORES, positioning, regime, signal, velocity, volatility

from pipeline import codec, contract
from pipeline.messages import (
    Context,
    Control,
    DeadLetter,
    FeedGap,
    FeedStatus,
    Funding,
    Liquidation,
    OpenInterest,
    Price,
    SignalMeta,
)

SEED_SIGNAL = """
{
  "symbol": "BTCUSDT",
  "timestamp": 1698765432.123,
  "signal": "CRITICAL",
  "signal_level": 3,
  "probability": 0.7521,
  "scores": {
    "velocity": 0.825,
    "acceleration": 0.654,
    "volume": 0.721,
    "oi_change": 0.432,
    "funding": 0.189,
    "volatility": 0.567
  },
  "metrics": {
    "velocity": 41.25,
    "acceleration": 13.08,
    "volume_usd": 36050000.0,
    "oi_change_1m": 0.0216,
    "funding_rate": 0.000189
  },
  "context": {
    "volatility_regime": "HIGH",
    "btc_price": 43521.5,
    "vol_risk_multiplier": 2.83,
    "leading_exchange": "binance",
    "exchange_correlation": 0.847
  },
  "meta": {
    "processing_time_ms": 4.23
  }
}
"""
"""The message of the system that this one replaces."""

SIGNAL = """
{
  "symbol": "BTCUSDT",
  "timestamp": 1698765432.123,
  "signal": "CRITICAL",
  "signal_level": 3,
  "probability": 0.7521,
  "scores": {
    "velocity": 0.825,
    "acceleration": 0.654,
    "volume": 0.721,
    "oi_change": 0.432,
    "funding": 0.189,
    "volatility": 0.567
  },
  "metrics": {
    "velocity": 41.25,
    "acceleration": 13.08,
    "volume_usd": 36050000.0,
    "oi_change_1m": 0.0216,
    "funding_rate": 0.000189,
    "jerk": 1.5,
    "no_data": []
  },
  "context": {
    "volatility_regime": "HIGH",
    "btc_price": 43521.5,
    "vol_risk_multiplier": 2.83,
    "leading_exchange": "binance",
    "exchange_correlation": 0.847,
    "market_regime": "HIGH",
    "cascade_sensitivity": 0.7,
    "velocity_threshold_multiplier": 1.8,
    "timestamp": 1698765432.0,
    "stale": false,
    "warming": false
  },
  "meta": {
    "processing_time_ms": 4.23,
    "profile": "seed",
    "weights_version": 0,
    "raw_score": 0.7521,
    "level_reason": "probability",
    "event_timestamp": 1698765432.1
  },
  "id": "BTCUSDT-1698765432123-7",
  "sequence": 7,
  "schema_version": 1
}
"""

VELOCITY = """
{
  "symbol": "BTCUSDT",
  "timestamp": 1760000000.0,
  "event_count_10s": 412,
  "event_count_30s": 600,
  "event_count_60s": 700,
  "event_count_300s": 900,
  "velocity_10s": 41.2,
  "velocity_30s": 20.0,
  "velocity_60s": 11.67,
  "velocity_300s": 3.0,
  "acceleration": 13.08,
  "jerk": 1.5,
  "volume_usd": 36050000.0,
  "total_value_usd": 360500000.0,
  "long_value_usd": 360000000.0,
  "short_value_usd": 500000.0,
  "btc_price": 43521.5,
  "volatility_factor": 2.83,
  "exchange_correlation": 0.847,
  "leading_exchange": "binance",
  "late_events": 3,
  "duplicates": 2,
  "sequence": 1
}
"""

POSITIONING = """
{
  "symbol": "BTCUSDT",
  "timestamp": 1760000000.0,
  "open_interest_usd": 8500000000.0,
  "change_1m": -0.0216,
  "change_5m": -0.0431,
  "rate": 0.000189,
  "sequence": 1
}
"""

VOLATILITY = """
{
  "symbol": "BTCUSDT",
  "timestamp": 1760000000.0,
  "price": 43521.5,
  "volume_usd": 1250000.0,
  "regime": "HIGH",
  "volatility_1m": 1.1,
  "volatility_5m": 3.2,
  "volatility_15m": 4.1,
  "volatility_1h": 5.5,
  "percentile_24h": 96.5,
  "z_score": 2.4,
  "dispersion": 0.31,
  "cascade_risk_multiplier": 2.83,
  "warming": false,
  "sequence": 1
}
"""

REGIME = """
{
  "timestamp": 1760000000.0,
  "market_regime": "HIGH",
  "regime_confidence": 0.7,
  "volatility_regime": "HIGH",
  "liquidity_regime": "NORMAL",
  "trend_regime": "STRONG_DOWN",
  "regime_changed": true,
  "time_in_regime": 0.0,
  "thresholds": {
    "velocity_multiplier": 1.8,
    "volume_multiplier": 1.5,
    "cascade_sensitivity": 0.7
  },
  "context": {
    "btc_price": 43521.5,
    "volume_24h_percentile": 88.0,
    "volatility_24h_percentile": 96.5
  },
  "adjustments": {
    "position_size": 0.5,
    "stop_loss": 1.5,
    "take_profit": 1.3,
    "entry_aggressiveness": 0.7
  },
  "symbol": "BTCUSDT",
  "sequence": 1
}
"""

CONTEXT = """
{
  "symbol": "BTCUSDT",
  "timestamp": 1760000000.0,
  "sequence": 9,
  "btc_price": 43521.5,
  "volatility_regime": "HIGH",
  "market_regime": "EXTREME",
  "vol_risk_multiplier": 2.83,
  "cascade_sensitivity": 0.5,
  "velocity_threshold_multiplier": 2.5,
  "warming": false
}
"""

DEAD_LETTER = """
{
  "topic": "liquidations",
  "partition": 3,
  "offset": 1234,
  "stage": "read",
  "reason": "side: Invalid enum value 'buy': long or short, the position that was liquidated",
  "key": "BTCUSDT",
  "value": "[1]",
  "encoding": "utf-8",
  "headers": [["feed", "binance-1"]],
  "index": 4,
  "truncated": false,
  "key_encoding": "utf-8",
  "header_encodings": ["utf-8"]
}
"""

SIGNAL_MESSAGE = msgspec.structs.replace(
    signal(7, timestamp=1698765432.123),
    scores=msgspec.structs.replace(SCORES, volatility=0.567),
    context=msgspec.structs.replace(SIGNAL_CONTEXT, timestamp=1698765432.0),
    meta=SignalMeta(4.23, "seed", 0, 0.7521, "probability", 1698765432.1),
)
CONTEXT_MESSAGE = Context(
    symbol="BTCUSDT",
    timestamp=1_760_000_000.0,
    sequence=9,
    btc_price=43_521.5,
    volatility_regime="HIGH",
    market_regime="EXTREME",
    vol_risk_multiplier=2.83,
    cascade_sensitivity=0.5,
    velocity_threshold_multiplier=2.5,
    warming=False,
)
DEAD_LETTER_MESSAGE = DeadLetter(
    topic="liquidations",
    partition=3,
    offset=1234,
    stage="read",
    reason="side: Invalid enum value 'buy': long or short, the position that was liquidated",
    key="BTCUSDT",
    value="[1]",
    encoding="utf-8",
    headers=[("feed", "binance-1")],
    index=4,
)
BLIND_SIGNAL = SIGNAL.replace(
    '"warming": false',
    '"warming": false, "feeds": [{"exchange": "binance", "from": 1698765400.5, "to": null},'
    ' {"exchange": "okx", "from": 1698765100.0, "to": 1698765200.25}]',
)
BLIND_SIGNAL_MESSAGE = msgspec.structs.replace(
    SIGNAL_MESSAGE,
    context=msgspec.structs.replace(
        SIGNAL_MESSAGE.context,
        feeds=[FeedGap("binance", 1698765400.5, None), FeedGap("okx", 1698765100.0, 1698765200.25)],
    ),
)
OUTPUTS = {
    "signal": (SIGNAL_MESSAGE, SIGNAL),
    "signal of silent feeds": (BLIND_SIGNAL_MESSAGE, BLIND_SIGNAL),
    "velocity": (velocity(), VELOCITY),
    "positioning": (positioning(), POSITIONING),
    "volatility": (volatility(), VOLATILITY),
    "regime": (regime(), REGIME),
    "context": (CONTEXT_MESSAGE, CONTEXT),
    "dead letter": (DEAD_LETTER_MESSAGE, DEAD_LETTER),
}

TIME = 1_760_000_000.25
INPUTS = {
    "a liquidation with all fields": (
        contract.LIQUIDATIONS,
        (
            '{"symbol": "BTCUSDT", "exchange": "binance", "side": "short", "price": 60000.5,'
            ' "quantity": 0.25, "value_usd": 15000.0, "timestamp": 1760000000.25, "id": "a1"}'
        ),
        Liquidation("BTCUSDT", "binance", "short", 60_000.5, 0.25, TIME, 15_000.0, "a1"),
    ),
    "a liquidation without what is optional": (
        contract.LIQUIDATIONS,
        (
            '{"symbol": "BTCUSDT", "exchange": "okx", "side": "long", "price": 60000, "quantity": 2,'
            ' "timestamp": 1760000000.25}'
        ),
        Liquidation("BTCUSDT", "okx", "long", 60_000.0, 2.0, TIME, 120_000.0, None),
    ),
    "a liquidation whose id is a number": (
        contract.LIQUIDATIONS,
        (
            '{"symbol": "BTCUSDT", "exchange": "okx", "side": "long", "price": 1, "quantity": 2,'
            ' "timestamp": 1760000000.25, "id": 77}'
        ),
        Liquidation("BTCUSDT", "okx", "long", 1.0, 2.0, TIME, 2.0, 77),
    ),
    "a price with all fields": (
        contract.PRICES,
        (
            '{"symbol": "BTCUSDT", "price": 60000.5, "timestamp": 1760000000.25, "exchange": "binance",'
            ' "volume_usd": 0, "spread_bps": 1.5}'
        ),
        Price("BTCUSDT", 60_000.5, TIME, "binance", 0.0, 1.5),
    ),
    "a price without what is optional": (
        contract.PRICES,
        '{"symbol": "BTCUSDT", "price": 60000.5, "timestamp": 1760000000.25}',
        Price("BTCUSDT", 60_000.5, TIME, "unknown", None, None),
    ),
    "open interest": (
        contract.OPEN_INTEREST,
        '{"symbol": "BTCUSDT", "open_interest_usd": 8.5e9, "timestamp": 1760000000.25, "exchange": "bybit"}',
        OpenInterest("BTCUSDT", 8.5e9, TIME, "bybit"),
    ),
    "open interest of an unnamed venue": (
        contract.OPEN_INTEREST,
        '{"symbol": "BTCUSDT", "open_interest_usd": 0, "timestamp": 1760000000.25}',
        OpenInterest("BTCUSDT", 0.0, TIME, "unknown"),
    ),
    "funding": (
        contract.FUNDING,
        '{"symbol": "BTCUSDT", "rate": -0.0001, "timestamp": 1760000000.25, "exchange": "bybit"}',
        Funding("BTCUSDT", -0.0001, TIME, "bybit"),
    ),
    "funding of an unnamed venue": (
        contract.FUNDING,
        '{"symbol": "BTCUSDT", "rate": 0.0001, "timestamp": 1760000000.25}',
        Funding("BTCUSDT", 0.0001, TIME, "unknown"),
    ),
    "weights": (
        contract.CONTROL,
        (
            '{"setting": "weights", "version": 3, "timestamp": 1760000000.25, "weights": {"velocity": 1,'
            ' "acceleration": 0, "volume": 0, "oi_change": 0, "funding": 0, "volatility": 0.5}}'
        ),
        Control(
            "weights",
            3,
            TIME,
            {
                "velocity": 1.0,
                "acceleration": 0.0,
                "volume": 0.0,
                "oi_change": 0.0,
                "funding": 0.0,
                "volatility": 0.5,
            },
        ),
    ),
    "the profile's own weights again": (
        contract.CONTROL,
        '{"setting": "weights", "version": 4, "timestamp": 1760000000.25, "weights": null}',
        Control("weights", 4, TIME, None),
    ),
    "a feed that has fallen silent": (
        contract.FEED_STATUS,
        (
            '{"exchange": "binance", "stream": "wss://fstream.binance.com/market/stream",'
            ' "from": 1760000000.25, "to": null, "reason": "no frame for 30 s", "timestamp": 1760000030.5}'
        ),
        FeedStatus(
            "binance",
            "wss://fstream.binance.com/market/stream",
            TIME,
            None,
            "no frame for 30 s",
            1_760_000_030.5,
        ),
    ),
    "a feed that is back": (
        contract.FEED_STATUS,
        '{"exchange": "okx", "stream": "a", "from": 1760000000.25, "to": 1760000009, "reason": "cut"}',
        FeedStatus("okx", "a", TIME, 1_760_000_009.0, "cut", None),
    ),
    "a context": (contract.CONTEXT, CONTEXT, CONTEXT_MESSAGE),
}


def compact(golden):
    """Return golden JSON without its line ends: names, order and numbers as they are."""
    return json.dumps(json.loads(golden), separators=(",", ":")).encode()


def ordered(golden):
    """Return golden JSON as nested lists of pairs, so that order counts."""
    return json.loads(golden, object_pairs_hook=list)


def begins_with(pairs, older):
    """Tell whether the older pairs come first, in their order, also within each group."""
    return len(pairs) >= len(older) and all(
        name == known and (begins_with(value, was) if isinstance(was, list) and was else value == was)
        for (name, value), (known, was) in zip(pairs, older, strict=False)
    )


@pytest.mark.parametrize(("message", "golden"), OUTPUTS.values(), ids=OUTPUTS)
def test_a_message_out_has_exactly_these_fields_in_this_order(message, golden):
    assert codec.encode(message) == compact(golden)


@pytest.mark.parametrize(("message", "golden"), OUTPUTS.values(), ids=OUTPUTS)
def test_a_message_out_is_read_back_as_it_was(message, golden):
    assert msgspec.json.decode(golden, type=type(message)) == message
    assert codec.encode(codec.to_dict(message)) == compact(golden)


def test_every_message_out_is_golden():
    assert {type(message) for message, _ in OUTPUTS.values()} == set(codec.Outgoing.__args__)


def test_the_signal_is_the_seeds_with_additions_at_the_end_of_their_groups():
    assert begins_with(ordered(SIGNAL), ordered(SEED_SIGNAL))


def test_nothing_but_the_listed_fields_was_added_to_the_seeds_signal():
    new, old = json.loads(SIGNAL), json.loads(SEED_SIGNAL)
    assert list(new)[len(old) :] == ["id", "sequence", "schema_version"]
    added = {group: list(new[group])[len(old[group]) :] for group in ("scores", "metrics", "context", "meta")}
    assert added == {
        "scores": [],
        "metrics": ["jerk", "no_data"],
        "context": [
            "market_regime",
            "cascade_sensitivity",
            "velocity_threshold_multiplier",
            "timestamp",
            "stale",
            "warming",
        ],
        "meta": ["profile", "weights_version", "raw_score", "level_reason", "event_timestamp"],
    }


@pytest.mark.parametrize(("topic", "golden", "expected"), INPUTS.values(), ids=INPUTS)
def test_a_message_in_is_read(topic, golden, expected):
    decoded = codec.decode(topic, golden.encode())
    assert list(decoded.messages) == [expected]
    assert list(decoded.rejections) == []


@pytest.mark.parametrize(("topic", "golden", "expected"), INPUTS.values(), ids=INPUTS)
def test_unknown_fields_are_ignored(topic, golden, expected):
    more = json.dumps(json.loads(golden) | {"venue_specific": {"a": [1, None]}}).encode()
    assert list(codec.decode(topic, more).messages) == [expected]


@pytest.mark.parametrize(("topic", "golden", "expected"), INPUTS.values(), ids=INPUTS)
def test_an_array_of_messages_is_read_in_its_order(topic, golden, expected):
    assert list(codec.decode(topic, f"[{golden},{golden}]".encode()).messages) == [expected, expected]


def test_every_message_in_is_golden():
    assert {topic for topic, _, _ in INPUTS.values()} == set(contract.INPUTS)
    assert {type(expected) for _, _, expected in INPUTS.values()} == set(codec.Incoming.__args__)


REQUIRED = {
    contract.LIQUIDATIONS: ("symbol", "exchange", "side", "price", "quantity", "timestamp"),
    contract.PRICES: ("symbol", "price", "timestamp"),
    contract.OPEN_INTEREST: ("symbol", "open_interest_usd", "timestamp"),
    contract.FUNDING: ("symbol", "rate", "timestamp"),
    contract.CONTROL: ("setting", "version", "timestamp"),
    contract.FEED_STATUS: ("exchange", "stream", "from", "to", "reason"),
}


@pytest.mark.parametrize(
    ("topic", "field"), [(topic, field) for topic, fields in REQUIRED.items() for field in fields]
)
def test_a_required_field_is_missed_by_its_name(topic, field):
    golden = next(golden for where, golden, _ in INPUTS.values() if where == topic)
    rest = {name: value for name, value in json.loads(golden).items() if name != field}
    decoded = codec.decode(topic, json.dumps(rest).encode())
    assert [rejection.reason for rejection in decoded.rejections] == [
        f"Object missing required field `{field}`"
    ]
