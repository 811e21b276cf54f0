"""Every key and channel of the Redis contract: name, type, content and lifetime, on a real server."""

from __future__ import annotations

import json

import pytest
from output_records import T0, positioning, record, regime, signal, velocity, volatility

from pipeline import codec
from pipeline.sinks.redis import RedisSink

pytestmark = pytest.mark.usefixtures("channels", "written")

KEYS = {
    # key: type, seconds to live (-1: for ever)
    "cascade:probability:BTCUSDT": ("string", 60),
    "cascade:signals:history:BTCUSDT": ("zset", 7 * 86_400),
    "velocity:BTCUSDT:current": ("hash", 600),
    "oi:BTCUSDT:change": ("string", 360),
    "funding:BTCUSDT:current": ("string", 9 * 3_600),
    "volatility:btc:current": ("string", 120),
    "btc:price:current": ("string", 60),
    "regime:current": ("string", 120),
    "regime:history": ("zset", -1),
}


@pytest.fixture
async def channels(client):
    async with client.pubsub() as pubsub:
        await pubsub.subscribe("cascade:signals", "cascade:alerts", "cascade:critical")
        for _ in range(3):
            assert (await pubsub.get_message(timeout=None))["type"] == "subscribe"
        yield pubsub


@pytest.fixture
async def written(client):
    messages = (signal(), velocity(), positioning(), volatility(), regime())
    await RedisSink(client, now=lambda: T0).write([record(message) for message in messages])


async def text(client, key):
    return json.loads(await client.get(key))


async def test_these_keys_and_no_others_are_written(client):
    assert {key.decode() for key in await client.keys()} == set(KEYS)


@pytest.mark.parametrize("key", KEYS)
async def test_a_key_has_its_type_and_lifetime(client, key):
    kind, seconds = KEYS[key]
    assert (await client.type(key)).decode() == kind
    # Redis counts from the call; a minute is more than the test takes to get here.
    assert max(seconds - 60, -1) <= await client.ttl(key) <= seconds


async def test_the_probability_has_its_fields(client):
    assert await text(client, "cascade:probability:BTCUSDT") == {
        "probability": 0.7521,
        "signal": "CRITICAL",
        "timestamp": T0,
        "sequence": 1,
    }


async def test_the_history_holds_the_message_by_its_timestamp(client):
    [(member, score)] = await client.zrange("cascade:signals:history:BTCUSDT", 0, -1, withscores=True)
    assert member == codec.encode(signal())
    assert score == T0


async def test_the_channels_carry_the_message_as_it_is_on_kafka(channels):
    got = [await channels.get_message(timeout=None) for _ in range(3)]
    assert {message["channel"] for message in got} == {
        b"cascade:signals",
        b"cascade:alerts",
        b"cascade:critical",
    }
    assert {message["data"] for message in got} == {codec.encode(signal())}


async def test_the_velocity_is_a_hash_of_numbers_and_names(client):
    fields = {
        name.decode(): value.decode()
        for name, value in (await client.hgetall("velocity:BTCUSDT:current")).items()
    }
    names = {"symbol": "BTCUSDT", "leading_exchange": "binance"}
    counts = {"event_count_10s": 412, "event_count_30s": 600, "event_count_60s": 700, "event_count_300s": 900}
    velocities = {"velocity_10s": 41.2, "velocity_30s": 20.0, "velocity_60s": 11.67, "velocity_300s": 3.0}
    others = {
        "timestamp": T0,
        "acceleration": 13.08,
        "total_value_usd": 360_500_000.0,
        "btc_price": 43_521.5,
        "volatility_factor": 2.83,
        "exchange_correlation": 0.847,
        "sequence": 1,
    }
    numbers = counts | velocities | others
    assert names.items() <= fields.items()
    assert {name: float(fields[name]) for name in numbers} == numbers


async def test_open_interest_and_funding_have_their_fields(client):
    change = await text(client, "oi:BTCUSDT:change")
    assert (change["change_1m"], change["change_5m"]) == (-0.0216, -0.0431)
    assert (await text(client, "funding:BTCUSDT:current"))["rate"] == 0.000189


async def test_the_volatility_has_its_fields(client):
    content = await text(client, "volatility:btc:current")
    expected = {"regime": "HIGH", "btc_price": 43_521.5, "cascade_risk_multiplier": 2.83}
    spans = {"volatility_1m": 1.1, "volatility_5m": 3.2, "volatility_15m": 4.1, "volatility_1h": 5.5}
    assert content.items() >= (expected | spans).items()


async def test_the_price_has_its_fields(client):
    expected = {"price": 43_521.5, "timestamp": T0, "volume": 1_250_000.0, "sequence": 1}
    assert await text(client, "btc:price:current") == expected


async def test_the_regime_has_its_fields(client):
    content = await text(client, "regime:current")
    assert content == {
        "timestamp": T0,
        "market_regime": "HIGH",
        "regime_confidence": 0.7,
        "volatility_regime": "HIGH",
        "liquidity_regime": "NORMAL",
        "trend_regime": "STRONG_DOWN",
        "regime_changed": True,
        "time_in_regime": 0.0,
        "thresholds": {"velocity_multiplier": 1.8, "volume_multiplier": 1.5, "cascade_sensitivity": 0.7},
        "context": {"btc_price": 43_521.5, "volume_24h_percentile": 88.0, "volatility_24h_percentile": 96.5},
        "adjustments": {
            "position_size": 0.5,
            "stop_loss": 1.5,
            "take_profit": 1.3,
            "entry_aggressiveness": 0.7,
        },
        "symbol": "BTCUSDT",
        "sequence": 1,
    }
    [(member, score)] = await client.zrange("regime:history", 0, -1, withscores=True)
    assert (json.loads(member), score) == (content, T0)
