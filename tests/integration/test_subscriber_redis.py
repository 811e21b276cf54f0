"""`SignalSubscriber` on a real Valkey, also one that is killed or stands still."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

import pytest
import structlog
from output_records import T0, record, signal
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError
from waiting import until

from pipeline import codec
from pipeline.sinks.redis import RedisSink
from pipeline.subscriber import KAFKA_CHANNELS, SignalSubscriber

CRITICAL = "cascade:critical"


class Inbox:
    """A callback that remembers; `sequences` waits until so many came."""

    def __init__(self):
        self.got = []

    def __call__(self, channel, data):
        self.got.append((channel, data))

    async def sequences(self, count):
        await until(lambda: len(self.got) >= count)
        return [data["sequence"] for _, data in self.got]


@pytest.fixture
async def client(own_valkey):
    async with Redis.from_url(own_valkey.url, retry=Retry(NoBackoff(), 1)) as client:
        yield client


@pytest.fixture
async def subscriber(own_valkey):
    subscriber = SignalSubscriber(own_valkey.url, silence_s=0.2)
    yield subscriber
    await subscriber.close()


async def heard(client, channel=CRITICAL, listeners=1):
    """Wait until so many listen: what is published before is gone."""
    async with asyncio.timeout(20):
        while dict(await client.pubsub_numsub(channel))[channel.encode()] != listeners:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def pings(client):
    return (await client.info("commandstats")).get("cmdstat_ping", {"calls": 0})["calls"]


def listen(subscriber, callback, channels=(CRITICAL,)):
    return asyncio.create_task(subscriber.subscribe(channels=channels, callback=callback))


async def publish(client, sequence, channel=CRITICAL):
    await client.publish(channel, codec.encode(signal(sequence)))


async def test_a_plain_function_gets_channel_and_message(client, subscriber):
    inbox = Inbox()
    listen(subscriber, inbox, [CRITICAL, "cascade:signals"])
    await heard(client)
    await RedisSink(client, now=lambda: T0).write([record(signal())])
    await inbox.sequences(2)
    assert {channel for channel, _ in inbox.got} == {CRITICAL, "cascade:signals"}
    assert all(data == json.loads(codec.encode(signal())) for _, data in inbox.got)


@pytest.mark.parametrize("channels", [CRITICAL, iter([CRITICAL])], ids=["one", "iterator"])
async def test_channels_may_be_one_or_whatever_yields_them(client, subscriber, channels):
    inbox = Inbox()
    listen(subscriber, inbox, channels)
    await heard(client)
    await publish(client, 1)
    assert await inbox.sequences(1) == [1]


@pytest.mark.parametrize(
    ("query", "options"), [("", {"decode_responses": True}), ("?decode_responses=1", {})]
)
async def test_a_client_that_is_to_decode_what_it_gets_may_do_so(client, own_valkey, query, options):
    inbox = Inbox()
    subscriber = SignalSubscriber(own_valkey.url + query, **options)
    listening = listen(subscriber, inbox)
    await heard(client)
    await publish(client, 1)
    got = asyncio.create_task(inbox.sequences(1))
    await asyncio.wait({got, listening}, return_when=asyncio.FIRST_COMPLETED)
    assert got.done()
    await subscriber.close()


async def test_an_async_function_is_awaited_one_message_at_a_time(client, subscriber):
    inbox = Inbox()
    running = []

    async def callback(channel, data):
        assert not running
        running.append(data)
        await asyncio.sleep(0)
        running.clear()
        inbox(channel, data)

    listen(subscriber, callback)
    await heard(client)
    for sequence in (1, 2, 3):
        await publish(client, sequence)
    assert await inbox.sequences(3) == [1, 2, 3]


@pytest.mark.parametrize("mistake", [RuntimeError, asyncio.CancelledError])
async def test_a_callback_that_raises_does_not_end_the_subscription(client, subscriber, mistake):
    """Nor when what it waits for was cancelled: only the subscription's own cancellation ends it."""
    inbox = Inbox()

    def callback(channel, data):
        inbox(channel, data)
        if data["sequence"] < 3:
            raise mistake("the user's own")

    with structlog.testing.capture_logs() as logs:
        listen(subscriber, callback)
        await heard(client)
        for sequence in (1, 2, 3):
            await publish(client, sequence)
        assert await inbox.sequences(3) == [1, 2, 3]
    assert [line["log_level"] for line in logs] == ["error", "error"]


async def test_a_callback_whose_tasks_failed_is_no_cancelled_one_later(client, subscriber):
    """Until Python 3.13 a group of tasks that failed leaves a cancellation on the task that waited for it."""
    inbox = Inbox()

    async def callback(channel, data):
        inbox(channel, data)
        if data["sequence"] == 1:
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.wait_for(asyncio.Event().wait(), 0.01))
        if data["sequence"] == 2:
            raise asyncio.CancelledError

    listen(subscriber, callback)
    await heard(client)
    for sequence in (1, 2, 3):
        await publish(client, sequence)
    assert await inbox.sequences(3) == [1, 2, 3]


async def test_messages_come_again_after_redis_was_killed(own_valkey, client, subscriber):
    inbox = Inbox()
    with structlog.testing.capture_logs() as logs:
        listen(subscriber, inbox)
        await heard(client)
        await publish(client, 1)
        await inbox.sequences(1)
        own_valkey.kill()
        own_valkey.start()
        await heard(client)
        await publish(client, 2)
        assert await inbox.sequences(2) == [1, 2]
    assert [line["log_level"] for line in logs] == ["warning", "info"]


async def test_it_waits_for_a_redis_that_is_not_there_yet(own_valkey, client, subscriber):
    own_valkey.kill()
    inbox = Inbox()
    listen(subscriber, inbox)
    own_valkey.start()
    await heard(client)
    await publish(client, 1)
    assert await inbox.sequences(1) == [1]


async def test_a_connection_that_fell_silent_is_made_anew(own_valkey, client, subscriber):
    inbox = Inbox()
    with structlog.testing.capture_logs() as logs:
        listen(subscriber, inbox)
        await heard(client)
        own_valkey.pause()
        await until(lambda: logs, "it has not noticed")
        own_valkey.resume()
        await until(lambda: len(logs) == 2)  # until it is back: the old connection still counts as heard
        await heard(client)
        await publish(client, 1)
        assert await inbox.sequences(1) == [1]
    assert "does not answer" in logs[0]["error"]


async def test_a_quiet_connection_is_kept(own_valkey, client):
    subscriber = SignalSubscriber(own_valkey.url, silence_s=0.5)
    inbox = Inbox()
    with structlog.testing.capture_logs() as logs:
        listen(subscriber, inbox)
        await heard(client)
        while await pings(client) < 5:  # noqa: ASYNC110 - counted by the server
            await asyncio.sleep(0.01)
        await publish(client, 1)
        assert await inbox.sequences(1) == [1]
    assert logs == []
    await subscriber.close()


async def test_a_repeat_is_left_out_and_what_has_no_place_is_not(client, subscriber):
    inbox = Inbox()
    listen(subscriber, inbox)
    await heard(client)
    for sequence in (1, 2, 1, 2):
        await publish(client, sequence)
    for _ in range(2):
        await client.publish(CRITICAL, '{"sequence": 7}')
    await client.publish(CRITICAL, codec.encode(signal(1, symbol="ETHUSDT")))
    assert await inbox.sequences(5) == [1, 2, 7, 7, 1]


@pytest.mark.parametrize("nonsense", ["{", "[]", "7", "", b"\xff"])
async def test_unreadable_messages_are_left_out(client, subscriber, nonsense):
    inbox = Inbox()
    listen(subscriber, inbox)
    await heard(client)
    await client.publish(CRITICAL, nonsense)
    await publish(client, 1)
    assert await inbox.sequences(1) == [1]


async def test_close_ends_every_subscription(client, subscriber):
    tasks = [listen(subscriber, Inbox()), listen(subscriber, Inbox())]
    await heard(client, listeners=2)
    await subscriber.close()
    await asyncio.gather(*tasks)
    await heard(client, listeners=0)


async def test_the_callback_may_close_and_is_told_no_more(client, subscriber):
    inbox = Inbox()

    async def callback(channel, data):
        inbox(channel, data)
        await subscriber.close()

    task = listen(subscriber, callback)
    await heard(client)
    async with client.pipeline() as at_once:
        for sequence in (1, 2, 3):
            await publish(at_once, sequence)
        await at_once.execute()
    await task
    assert await inbox.sequences(1) == [1]
    await heard(client, listeners=0)


async def test_a_callback_that_keeps_its_cancellation_to_itself_is_told_no_more(client, subscriber):
    """As `wait_for` does until Python 3.12 where what it waits for ends at the same time."""
    inbox = Inbox()

    async def callback(channel, data):
        inbox(channel, data)
        with suppress(*[asyncio.CancelledError] if data["sequence"] == 1 else []):
            await asyncio.Event().wait()

    task = listen(subscriber, callback)
    await heard(client)
    for sequence in (1, 2):
        await publish(client, sequence)
    await inbox.sequences(1)
    closing = asyncio.create_task(subscriber.close())
    await until(lambda: closing.done() or len(inbox.got) > 1)
    assert await inbox.sequences(1) == [1]
    await task


async def test_cancelling_ends_the_subscription(client, subscriber):
    task = listen(subscriber, Inbox())
    await heard(client)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await heard(client, listeners=0)


async def test_a_refused_password_is_an_error(own_valkey, client):
    await client.config_set("requirepass", "right")
    for options in ({}, {"password": "wrong"}):
        with pytest.raises(AuthenticationError):
            await SignalSubscriber(own_valkey.url, **options).subscribe([CRITICAL], Inbox())


@pytest.mark.parametrize("channels", [["cascade:everything"], ["cascade:alerts", "cascade.alerts"], []])
async def test_unknown_channels_are_refused_with_the_known_ones(channels):
    with pytest.raises(ValueError, match="choose from cascade:signals, cascade:alerts, cascade:critical"):
        await SignalSubscriber().subscribe(channels, Inbox())


async def test_unknown_topics_are_refused_with_the_known_ones():
    subscriber = SignalSubscriber("kafka://localhost:9092")
    with pytest.raises(ValueError, match=r"choose from cascade\.signals, cascade\.alerts, cascade\.critical"):
        await subscriber.subscribe(["cascade:critical"], Inbox())


@pytest.mark.parametrize(
    "servers", ["me:not-to-be-shown@localhost:9092", "localhost:9092/", "localhost:none", "a:1,,b:1", ""]
)
async def test_an_address_of_kafka_that_is_none_is_refused_and_no_password_shown(servers):
    expected = r"expected kafka://HOST:PORT,HOST:PORT; .* sasl_plain_username and sasl_plain_password"
    with pytest.raises(ValueError, match=expected) as refused:
        await asyncio.wait_for(SignalSubscriber(f"kafka://{servers}").subscribe(KAFKA_CHANNELS, Inbox()), 10)
    assert "not-to-be-shown" not in str(refused.value)
