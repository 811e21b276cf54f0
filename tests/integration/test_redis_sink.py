"""The sink and the projection against a real Valkey, also one that is killed, paused or full."""

from __future__ import annotations

import asyncio
import json
import random

import pytest
import structlog
import uvloop
from output_records import T0, positioning, record, regime, signal, velocity, volatility
from passage import Passage
from redis.exceptions import (
    AuthenticationError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from servers import HOST, ValkeyServer, running
from workers import PATIENCE

from pipeline import codec, contract
from pipeline.sinks.connection import advise, connect
from pipeline.sinks.plan import Rules
from pipeline.sinks.projection import Projection
from pipeline.sinks.redis import RedisSink

PROBABILITY = "cascade:probability:BTCUSDT"
HISTORY = "cascade:signals:history:BTCUSDT"


class Clock:
    def __init__(self):
        self.time = T0

    def __call__(self):
        return self.time


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def sink(client, clock):
    return RedisSink(client, now=clock)


@pytest.fixture
async def own_client(own_valkey):
    client = connect(own_valkey.url, socket_timeout=0.5)
    yield client
    await client.aclose()


@pytest.fixture
def own_sink(own_client, clock):
    return RedisSink(own_client, now=clock)


class Listener:
    """What came over the channels, in order."""

    def __init__(self, pubsub):
        self.pubsub = pubsub

    async def heard(self, client):
        """Return what was published so far: all that comes before a message of our own."""
        await client.publish("end", "")
        heard = []
        while (message := await self.pubsub.get_message(timeout=None))["channel"] != b"end":
            heard.append((message["channel"].decode(), json.loads(message["data"])["sequence"]))
        return heard


@pytest.fixture
async def listener(client):
    async with client.pubsub() as pubsub:
        names = ("cascade:signals", "cascade:alerts", "cascade:critical", "end")
        await pubsub.subscribe(*names)
        for _ in names:
            assert (await pubsub.get_message(timeout=None))["type"] == "subscribe"
        yield Listener(pubsub)


async def held(client, key=PROBABILITY):
    return json.loads(await client.get(key))


async def sequences(client, key=HISTORY):
    return [json.loads(member)["sequence"] for member in await client.zrange(key, 0, -1)]


def numbered(count, **options):
    return [record(signal(n, timestamp=T0 + n / 1_000, **options)) for n in range(1, count + 1)]


async def test_every_signal_of_a_batch_is_published_and_remembered_in_order(client, sink, listener):
    await sink.write(numbered(5))
    heard = await listener.heard(client)
    assert [number for channel, number in heard if channel == "cascade:signals"] == [1, 2, 3, 4, 5]
    assert [number for channel, number in heard if channel == "cascade:critical"] == [1, 2, 3, 4, 5]
    assert await sequences(client) == [1, 2, 3, 4, 5]
    assert (sink.published, sink.written, sink.superseded) == (5, 5, 0)


async def test_levels_reach_their_channels(client, sink, listener):
    levels = ("NONE", "WATCH", "ALERT", "CRITICAL", "EXTREME")
    await sink.write([record(signal(number, level=level)) for number, level in enumerate(levels)])
    heard = await listener.heard(client)
    assert [number for channel, number in heard if channel == "cascade:signals"] == [0, 1, 2, 3, 4]
    assert [number for channel, number in heard if channel == "cascade:alerts"] == [2, 3, 4]
    assert [number for channel, number in heard if channel == "cascade:critical"] == [3, 4]


async def test_writing_again_changes_nothing_and_publishes_nothing(client, sink, listener):
    batch = [record(each) for each in (signal(), velocity(), positioning(), volatility(), regime())]
    await sink.write(batch)
    await listener.heard(client)
    before = {key: await client.dump(key) for key in await client.keys()}
    await sink.write(batch)
    assert await listener.heard(client) == []
    assert {key: await client.dump(key) for key in await client.keys()} == before
    assert (sink.written, sink.superseded) == (7, 7)


async def test_a_repeat_with_another_processing_time_is_remembered_once(client, sink):
    await sink.write([record(signal(processing_time_ms=4.2))])
    await sink.write([record(signal(processing_time_ms=9.9)), record(signal(processing_time_ms=1.1))])
    [member] = await client.zrange(HISTORY, 0, -1)
    assert json.loads(member)["meta"]["processing_time_ms"] == 4.2


async def test_signals_of_the_same_instant_are_told_apart_by_their_sequence(client, sink, listener):
    await sink.write([record(signal(9)), record(signal(10))])
    await sink.write([record(signal(9)), record(signal(11))])
    assert sorted(await sequences(client)) == [9, 10, 11]
    heard = await listener.heard(client)
    assert [number for channel, number in heard if channel == "cascade:signals"] == [9, 10, 11]
    assert (await held(client))["sequence"] == 11


async def test_the_history_keeps_the_newest_thousand(client, sink):
    await sink.write(numbered(1_005))
    assert await sequences(client) == list(range(6, 1_006))
    await sink.write(numbered(3))
    assert await sequences(client) == list(range(6, 1_006))


async def test_the_history_of_the_regime_keeps_the_newest_hundred_changes(client, sink):
    await sink.write([record(regime(n, timestamp=T0 + n, changed=n % 2 == 0)) for n in range(1, 221)])
    assert await sequences(client, "regime:history") == list(range(22, 221, 2))


@pytest.mark.parametrize("make", [velocity, positioning, volatility, regime])
async def test_older_never_overwrites_newer(client, sink, make):
    newer = [record(make(2, timestamp=T0 + 1))]
    await sink.write(newer)
    before = {key: await client.dump(key) for key in await client.keys() if key != b"regime:history"}
    await sink.write([record(make(3, timestamp=T0))])
    await sink.write([record(make(1, timestamp=T0 + 1))])
    after = {key: await client.dump(key) for key in await client.keys() if key != b"regime:history"}
    assert after == before


async def test_the_order_is_by_number_not_by_letter(client, sink):
    await sink.write(
        [record(signal(9, timestamp=999_999_999.5)), record(velocity(9, timestamp=999_999_999.5))]
    )
    await sink.write([record(signal(10, timestamp=1_000_000_000.25)), record(velocity(10, timestamp=1e9))])
    assert (await held(client))["timestamp"] == 1_000_000_000.25
    assert await client.hget("velocity:BTCUSDT:current", "sequence") == b"10"


async def test_a_microsecond_is_enough_to_be_newer(client, sink):
    await sink.write([record(signal(5, timestamp=T0 + 0.123456))])
    await sink.write([record(signal(1, timestamp=T0 + 0.123457))])
    assert await held(client) == {
        "probability": 0.7521,
        "signal": "CRITICAL",
        "timestamp": T0 + 0.123457,
        "sequence": 1,
    }


async def test_two_racing_workers_leave_the_newest_and_publish_each_signal_at_most_once(
    valkey, client, clock, listener
):
    shuffled = random.Random(7)
    signals = numbered(300)
    clients = [connect(valkey), connect(valkey)]
    sinks = [RedisSink(each, now=clock) for each in clients]

    async def work(sink):
        batches = [signals[start : start + 10] for start in range(0, 300, 10)]
        for number, batch in enumerate(batches):
            again = batches[shuffled.randrange(number + 1)]
            await sink.write(batch)
            await sink.write(again + [record(velocity(n, timestamp=T0 + n)) for n in (number, number // 2)])

    await asyncio.gather(*map(work, sinks))
    heard = [n for channel, n in await listener.heard(client) if channel == "cascade:signals"]
    assert heard == list(range(1, 301))
    assert sum(sink.published for sink in sinks) == 300
    assert (await held(client))["sequence"] == 300
    assert await client.hget("velocity:BTCUSDT:current", "sequence") == b"29"
    assert await sequences(client) == list(range(1, 301))
    for each in clients:
        await each.aclose()


async def test_a_late_signal_updates_keys_and_history_but_is_not_published(client, sink, clock, listener):
    clock.time = T0 + 30
    await sink.write([record(signal())])
    assert await listener.heard(client) == []
    assert (await held(client))["sequence"] == 1
    assert 0 < await client.pttl(PROBABILITY) <= 30_000
    assert await sequences(client) == [1]
    assert (sink.late, sink.published, sink.written) == (1, 0, 1)


async def test_a_backlog_is_brought_up_to_date_and_only_the_young_are_published(
    client, sink, clock, listener
):
    clock.time = T0 + 100
    batch = [record(signal(n, timestamp=T0 + n), time=T0 + n) for n in range(1, 101)]
    await sink.write(batch)
    heard = [n for channel, n in await listener.heard(client) if channel == "cascade:signals"]
    assert heard == list(range(90, 101))
    assert (sink.late, sink.expired, sink.written) == (89, 40, 60)
    assert await sequences(client) == list(range(1, 101))


async def test_what_is_no_message_is_counted_and_logged_once(client, sink):
    bad = (contract.SIGNALS, b"BTCUSDT", b"{", 0)
    with structlog.testing.capture_logs() as logs:
        await sink.write([bad, bad, record(signal())])
        await sink.write([bad])
    assert sink.errors == 3
    assert len(logs) == 1
    assert (await held(client))["sequence"] == 1


@pytest.mark.parametrize("foreign", ["nonsense", "7", "[1]", '{"timestamp": "soon"}', '{"timestamp": null}'])
async def test_unreadable_content_of_a_key_is_replaced(client, sink, foreign):
    await client.set(PROBABILITY, foreign)
    await client.zadd(HISTORY, {foreign: T0})
    await sink.write([record(signal())])
    assert (await held(client))["sequence"] == 1
    assert await client.zcard(HISTORY) == 2


@pytest.mark.parametrize("time", ["1790000000000", "NaN", "Infinity"])
async def test_a_time_that_is_none_of_ours_holds_nothing_back(client, sink, time):
    """As of a system that wrote milliseconds into the same keys, which never expire."""
    await client.set(PROBABILITY, f'{{"timestamp": {time}, "sequence": 1}}')
    await client.hset("velocity:BTCUSDT:current", mapping={"timestamp": time, "sequence": 1})
    await client.zadd("regime:history", {str(number): T0 * 1_000 + number for number in range(100)})
    await sink.write([record(signal()), record(velocity()), record(regime())])
    assert (await held(client))["sequence"] == 1
    assert float(await client.hget("velocity:BTCUSDT:current", "timestamp")) == T0
    assert await client.zrange("regime:history", 0, -1) == [codec.encode(regime())]


async def test_keys_of_another_type_are_replaced(client, sink):
    for key in (PROBABILITY, HISTORY, "velocity:BTCUSDT:current", "regime:current", "regime:history"):
        await client.rpush(key, "something else")
    await sink.write([record(signal()), record(velocity()), record(regime())])
    types = [await client.type(key) for key in (PROBABILITY, HISTORY, "velocity:BTCUSDT:current")]
    assert types == [b"string", b"zset", b"hash"]
    assert await client.zcard("regime:history") == 1


async def test_a_field_without_a_value_any_more_goes(client, sink):
    await sink.write([record(velocity(1))])
    await sink.write([record(velocity(2, btc_price=None))])
    assert await client.hget("velocity:BTCUSDT:current", "btc_price") is None


async def test_symbols_of_any_script_have_their_keys(client, sink):
    symbol = '币安"人生\\USDT'
    await sink.write([record(signal(n, symbol=symbol)) for n in (1, 2, 1)])
    assert (await held(client, f"cascade:probability:{symbol}"))["sequence"] == 2
    assert await sequences(client, f"cascade:signals:history:{symbol}") == [1, 2]


async def test_an_empty_batch_is_fine(sink):
    await sink.write([])
    assert sink.written == 0


async def test_scripts_that_redis_forgot_are_loaded_again(client, sink, listener):
    await sink.write([record(signal(1))])
    await client.script_flush()
    await sink.write([record(signal(2)), record(velocity(2))])
    assert [n for channel, n in await listener.heard(client) if channel == "cascade:signals"] == [1, 2]
    assert (sink.written, sink.superseded) == (3, 0)


async def test_full_memory_is_trouble_and_nothing_is_published_until_there_is_room(own_client, own_sink):
    await own_sink.write([record(signal(1))])
    await own_client.config_set("maxmemory", 1)
    with pytest.raises(OutOfMemoryError) as trouble:
        await own_sink.write([record(signal(2)), record(velocity(2))])
    assert "raise its maxmemory" in advise(trouble.value)
    assert own_sink.published == 1
    await own_client.config_set("maxmemory", 0)
    await own_sink.write([record(signal(2)), record(velocity(2))])
    assert (own_sink.published, own_sink.late, own_sink.errors) == (2, 0, 0)
    assert (await held(own_client))["sequence"] == 2


async def test_a_read_only_replica_is_trouble(own_client, own_sink):
    await own_client.replicaof("127.0.0.1", 1)
    with pytest.raises(ReadOnlyError) as trouble:
        await own_sink.write([record(signal())])
    assert "set PIPELINE_REDIS_URL to the primary" in advise(trouble.value)


async def test_an_address_is_followed_to_a_new_primary_though_the_old_one_stays_up(own_client, clock):
    """It keeps its connections, as a replica, when a name or a virtual address is switched."""
    with running(ValkeyServer()) as new:
        async with Passage(own_client.get_connection_kwargs()["port"]) as passage, connect(new.url) as client:
            sink = RedisSink(connect(f"redis://{HOST}:{passage.port}/1"), now=clock)
            projection = Projection(sink, longest_wait_s=0.2)
            await projection.project([record(signal(1))])
            await own_client.replicaof(HOST, new.port)
            waiting = asyncio.create_task(projection.project([record(signal(2))]))
            await until_down(projection)
            passage.target = new.port
            async with asyncio.timeout(10):
                await waiting
            assert (await held(client))["sequence"] == 2
            await projection.close()


async def test_a_key_that_redis_evicts_is_written_again_and_ends_with_the_newest(own_client, own_sink):
    await own_sink.write([record(signal(2))])
    await own_client.flushdb()
    await own_sink.write([record(signal(1))])  # after a rebalance it comes again
    assert (await held(own_client))["sequence"] == 1
    await own_sink.write([record(signal(2))])
    await own_sink.write([record(signal(1))])
    assert (await held(own_client))["sequence"] == 2


async def test_a_refused_password_says_what_to_set(own_valkey, own_client, clock):
    await own_client.config_set("requirepass", "right")
    for password in (None, "wrong"):
        sink = RedisSink(connect(own_valkey.url, password=password), now=clock)
        with pytest.raises(AuthenticationError) as trouble:
            await sink.write([record(signal())])
        assert "set PIPELINE_REDIS_PASSWORD" in advise(trouble.value)
        await sink.close()
    sink = RedisSink(connect(own_valkey.url, password="right"), now=clock)  # noqa: S106 - the test's own
    await sink.write([record(signal())])
    await sink.close()


async def test_a_user_without_rights_says_what_to_allow(own_valkey, own_client, clock):
    await own_client.acl_setuser("reader", enabled=True, nopass=True, keys="*", commands=["+get", "+select"])
    sink = RedisSink(connect(own_valkey.url.replace("://", "://reader:any@")), now=clock)
    with pytest.raises(RedisError) as trouble:
        await sink.write([record(signal())])
    assert "EVALSHA" in advise(trouble.value)
    await sink.close()


async def test_a_signal_that_a_user_may_not_publish_is_published_once_that_is_allowed(own_valkey, clock):
    """Redis gives a new user no channels."""
    admin = connect(own_valkey.url)
    rights = ["+evalsha", "+script|load", "+select", "+@read", "+@write", "+publish"]
    await admin.acl_setuser("writer", enabled=True, nopass=True, keys=["*"], commands=rights)
    sink = RedisSink(connect(own_valkey.url.replace("://", "://writer:any@")), now=clock)
    for _ in range(2):
        with pytest.raises(RedisError) as trouble:
            await sink.write([record(signal())])
        assert "&cascade:*" in advise(trouble.value)
    await admin.acl_setuser("writer", enabled=True, channels=["cascade:*"])
    await sink.write([record(signal())])
    assert (sink.written, sink.published) == (1, 1)
    await sink.close()
    await admin.aclose()


async def test_a_redis_that_stands_still_does_not_hold_the_sink(own_valkey, own_sink):
    await own_sink.write([record(signal(1))])
    own_valkey.pause()
    with pytest.raises(RedisTimeoutError) as trouble:
        await own_sink.write([record(signal(2))])
    assert "does not answer in time" in advise(trouble.value)
    own_valkey.resume()
    await own_sink.write([record(signal(2))])


async def test_no_redis_says_so(own_valkey, own_sink):
    own_valkey.kill()
    with pytest.raises(RedisConnectionError) as trouble:
        await own_sink.write([record(signal())])
    assert "correct PIPELINE_REDIS_URL" in advise(trouble.value)


async def until_down(projection):
    while projection.state != "down":  # noqa: ASYNC110 - it is a status to look at, not an event
        await asyncio.sleep(0.01)


async def test_the_projection_waits_for_redis_to_come_back(own_valkey, own_client, own_sink):
    projection = Projection(own_sink, longest_wait_s=0.2)
    with structlog.testing.capture_logs() as logs:
        await projection.project([record(signal(1))])
        assert projection.state == "up"
        own_valkey.kill()
        waiting = asyncio.create_task(projection.project([record(signal(2))]))
        await until_down(projection)
        assert "PIPELINE_REDIS_URL" in projection.last_error
        own_valkey.start()
        await waiting
    assert projection.state == "up"
    assert [line["log_level"] for line in logs] == ["warning", "info"]
    assert (await held(own_client))["sequence"] == 2


async def test_the_projection_outlasts_a_pause_of_redis(own_valkey, own_client, own_sink):
    projection = Projection(own_sink, longest_wait_s=0.2)
    await projection.project([record(signal(1))])
    own_valkey.pause()
    waiting = asyncio.create_task(projection.project([record(signal(2)), record(velocity(2))]))
    await until_down(projection)
    own_valkey.resume()
    await waiting
    assert (await held(own_client))["sequence"] == 2


async def test_a_wrong_password_is_known_before_there_is_anything_to_write(own_valkey, own_client, clock):
    await own_client.config_set("requirepass", "right")
    projection = Projection(RedisSink(connect(own_valkey.url, password="wrong"), now=clock))  # noqa: S106
    beginning = asyncio.create_task(projection.begin())
    await until_down(projection)
    assert "set PIPELINE_REDIS_PASSWORD" in projection.last_error
    await own_client.config_set("requirepass", "")
    await beginning
    assert projection.state == "up"
    await projection.close()


async def test_the_projection_waits_for_room_in_redis(own_client, own_sink):
    projection = Projection(own_sink, longest_wait_s=0.2)
    await own_client.config_set("maxmemory", 1)
    waiting = asyncio.create_task(projection.project([record(signal(1))]))
    await until_down(projection)
    assert "maxmemory" in projection.last_error
    await own_client.config_set("maxmemory", 0)
    await waiting
    assert own_sink.published == 1


async def project_after_a_reset(valkey, clock):
    async with Passage(valkey.port) as passage:
        passage.resets = True
        client = connect(f"redis://{HOST}:{passage.port}")
        projection = Projection(RedisSink(client, now=clock), longest_wait_s=0.2)
        await projection.project([record(signal(1))])
        [connection] = client.connection_pool._available_connections
        await passage.cut()
        while not connection._writer.is_closing():  # noqa: ASYNC110 - it is a status to look at, not an event
            await asyncio.sleep(0)
        await projection.project([record(signal(2))])
        assert (projection.state, projection.failures) == ("up", 1)
        assert (await held(client))["sequence"] == 2
        await projection.close()


def test_a_connection_that_is_reset_while_it_is_idle_is_made_anew(own_valkey, clock):
    """In the worker's loop: uvloop refuses to write to it with a RuntimeError."""
    uvloop.run(asyncio.wait_for(project_after_a_reset(own_valkey, clock), PATIENCE))


async def test_what_passes_too_slowly_in_one_write_is_written_in_several(own_valkey, clock):
    async with Passage(own_valkey.port) as passage:
        client = connect(f"redis://{HOST}:{passage.port}", socket_timeout=0.5)
        projection = Projection(RedisSink(client, now=clock), longest_wait_s=0.2)
        await projection.project([record(signal(1))])
        passage.rate = 800_000  # all that is written now takes longer than an answer may
        records = [record(signal(number, timestamp=T0 + number / 1_000)) for number in range(2, 1_000)]
        await asyncio.wait_for(projection.project(records), PATIENCE)
        assert projection.failures
        assert projection.state == "up"
        assert (await held(client))["sequence"] == 999
        await projection.close()


async def test_the_projection_can_be_cancelled_while_redis_stands_still(own_valkey, clock):
    client = connect(own_valkey.url, socket_timeout=3_600)
    sink = RedisSink(client, now=clock)
    await sink.write([record(signal(1))])
    own_valkey.pause()
    waiting = asyncio.create_task(Projection(sink).project([record(signal(2))] * 200))
    done, _ = await asyncio.wait({waiting}, timeout=0.1)
    assert not done
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    own_valkey.resume()
    await sink.write([record(signal(3)), record(velocity(3))])
    assert (await held(client))["sequence"] == 3
    assert await client.hget("velocity:BTCUSDT:current", "sequence") == b"3"
    await client.aclose()


async def test_the_projection_does_not_swallow_mistakes_of_our_own(own_sink):
    with pytest.raises(KeyError):
        await Projection(own_sink).project([("no-such-topic", None, b"{}", 0)])


async def test_history_level_and_reference_can_be_set(client, clock):
    sink = RedisSink(client, Rules(reference="ETHUSDT", history_level="EXTREME"), now=clock)
    await sink.write(
        [record(signal()), record(volatility()), record(volatility(symbol="ETHUSDT", price=2_500.0))]
    )
    assert await client.zcard(HISTORY) == 0
    assert (await held(client, "btc:price:current"))["price"] == 2_500.0


async def test_the_stored_message_is_the_one_on_kafka(client, sink):
    await sink.write([record(signal())])
    assert await client.zrange(HISTORY, 0, -1) == [codec.encode(signal())]
