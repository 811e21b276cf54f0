"""From an exchange, through `cascade collect`, Kafka and a worker, to signals."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from contextlib import AsyncExitStack, ExitStack, contextmanager, suppress

import pytest
from aiokafka import AIOKafkaProducer
from exchanges import Exchange
from msgspec import convert
from servers import free_port
from venue_frames import CASES, T_MS
from waiting import until
from workers import Worker, produce, read_all, until_caught_up

from pipeline import contract
from pipeline.cli.simulated.scenario import Tick
from pipeline.features.state import SHARED
from pipeline.messages import FeedStatus
from pipeline.web.feeds import gaps, told_of_feeds

VENUES = ("binance", "bybit", "gate")


@contextmanager
def collecting(settings, *arguments):
    """Run `cascade collect` as a child process that complains of what it leaves unclosed."""
    command = [sys.executable, "-W", "always::ResourceWarning", "-m", "pipeline", "collect", *arguments]
    process = subprocess.Popen(
        command, env=settings.child_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


async def collected(settings, *arguments):
    """Run `cascade collect` to its end."""
    with collecting(settings, *arguments) as process:
        out, error = await asyncio.to_thread(process.communicate)
    return process.returncode, out, error


async def until_there(settings, number, collectors):
    """Wait until so many liquidations are on Kafka."""
    while len(await read_all(settings, contract.LIQUIDATIONS)) < number:
        assert all(each.poll() is None for each in collectors)


async def ended(settings):
    """Return what was told of feeds that are back."""
    return [each for each in await read_all(settings, contract.FEED_STATUS) if each["to"] is not None]


def frames(time_ms):
    """Return a liquidated long of each venue."""
    return {
        name: json.loads(json.dumps(CASES[name].long).replace(str(T_MS), str(time_ms))) for name in VENUES
    }


def now_ms():
    return round(time.time() * 1_000)


def book():
    return {"e": "bookTicker", "s": "BTCUSDT", "b": "59990", "a": "60010", "T": now_ms()}


async def test_liquidations_of_exchanges_become_signals_once_though_two_collect_them(settings):
    async with AsyncExitStack() as stack:
        exchanges = {name: await stack.enter_async_context(Exchange(name).running()) for name in VENUES}
        ends = [option for each in exchanges.values() for option in each.options]
        arguments = [*VENUES, "--symbols", "BTCUSDT", *ends]
        with ExitStack() as processes:
            worker = processes.enter_context(Worker(settings))
            collectors = [processes.enter_context(collecting(settings, *arguments)) for _ in range(2)]
            await worker.until_ready()
            await until(lambda: len(exchanges["binance"].sockets) == 4, "not connected", 60)  # two each
            await until(
                lambda: all(len(exchanges[name].sockets) == 2 for name in VENUES[1:]), "not connected", 60
            )
            await exchanges["binance"].send(book())
            began_ms = now_ms()
            for number in (0, 1, 2, 3, 4):
                for name, frame in frames(began_ms + number).items():
                    await exchanges[name].send(frame)
            await until_there(settings, 40, collectors)  # Binance's come over two roots
            # Velocity is told once a second: this one tells of all that came before it.
            await exchanges["gate"].send(frames(began_ms + 2_000)["gate"])
            await until_there(settings, 42, collectors)
            await until_caught_up(settings, workers=[worker])
            for process in collectors:
                process.terminate()
                _, said = await asyncio.to_thread(process.communicate, timeout=30)
                assert (process.returncode, "ResourceWarning" in said) == (0, False), said
            assert worker.stop() == 0
        signals = await read_all(settings, contract.SIGNALS)
        assert signals
        velocity = max(await read_all(settings, contract.VELOCITY), key=lambda each: each["sequence"])
        assert velocity["event_count_300s"] == 16
        assert velocity["duplicates"] > 0
        prices = await read_all(settings, contract.PRICES)
        assert {price["price"] for price in prices} == {60_000}
        assert await read_all(settings, contract.DEAD_LETTERS) == []


async def test_signals_tell_of_a_connection_that_was_cut(settings):
    async with Exchange("bybit").running() as exchange:
        options = ["bybit", "--symbols", "BTCUSDT", *exchange.options]
        with Worker(settings) as worker, collecting(settings, *options) as process:
            await worker.until_ready()
            await until(lambda: exchange.sockets, "not connected", 60)
            began_ms, connections = now_ms() - 30_000, exchange.connections
            await exchange.send(frames(began_ms)["bybit"])
            await until_there(settings, 1, [process])
            await exchange.cut()
            await until(lambda: exchange.connections > connections and exchange.sockets, "not again", 60)
            await exchange.send(frames(began_ms + 1)["bybit"])
            while not any(each["to"] > each["from"] for each in await ended(settings)):
                assert process.poll() is None
            ended_ms = now_ms()
            await exchange.send(frames(ended_ms)["bybit"])  # an unchanged level is told seldom
            await until_there(settings, 3, [process])
            await until_caught_up(settings, (*contract.FEEDS, contract.FEED_STATUS), workers=[worker])
            assert worker.stop() == 0
    first, *_, last = await read_all(settings, contract.SIGNALS)
    assert "feeds" not in first["context"]
    [gap] = last["context"]["feeds"]
    assert gap["exchange"] == "bybit"
    assert began_ms / 1_000 < gap["from"] < gap["to"] < ended_ms / 1_000


async def test_a_collector_that_is_stopped_first_sends_what_it_has_received(settings):
    async with Exchange("bybit").running() as exchange:
        with collecting(settings, "bybit", "--symbols", "BTCUSDT", *exchange.options) as process:
            await until(lambda: exchange.sockets, "not connected", 60)
            began_ms = now_ms()
            sent = [frames(began_ms + number)["bybit"] for number in range(2_000)]
            await exchange.send(*sent)
            while not await read_all(settings, contract.LIQUIDATIONS):
                assert process.poll() is None
            process.terminate()
            _, log = await asyncio.to_thread(process.communicate)
            assert process.returncode == 0
        found = [message["timestamp"] for message in await read_all(settings, contract.LIQUIDATIONS)]
        assert f"liquidations={len(found)} " in log  # as many as it received
        assert found == [frame["data"][0]["T"] / 1_000 for frame in sent[: len(found)]]


async def until_said(process, text):
    """Wait until a line of the log has a text."""
    while text not in (line := await asyncio.to_thread(process.stderr.readline)):
        assert line, f"the log ended without: {text}"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_who_does_not_wait_for_kafka_is_told_what_is_lost(own_settings, own_broker, number):
    async with Exchange("bybit").running() as exchange:
        with collecting(own_settings, "bybit", "--symbols", "BTCUSDT", *exchange.options) as process:
            await until(lambda: exchange.sockets, "not connected", 60)
            await exchange.send(frames(now_ms())["bybit"])
            await until_there(own_settings, 1, [process])
            own_broker.kill()
            await exchange.send(*(frames(now_ms() + number)["bybit"] for number in range(3)))
            await exchange.send(CASES["bybit"].long, "no json")
            await until_said(process, "not as documented")  # so the others have come, too
            process.send_signal(number)
            await until_said(process, "stopping once Kafka has what waits")
            process.send_signal(number)
            _, log = await asyncio.to_thread(process.communicate)
    assert process.returncode == 1
    assert "stopped before Kafka had confirmed all, which is lost: 4 liquidations" in log


async def silent_feeds(settings):
    told = [convert(each, FeedStatus) for each in await read_all(settings, contract.FEED_STATUS)]
    return [each.reason for each in gaps(told, time.time()) if each.until is None]


async def test_a_feed_is_silent_once_no_collector_hears_it_and_a_killed_one_is_missed_later(settings):
    at = time.time() - 1_000
    beat = {"exchange": "bybit", "stream": contract.FEED_COLLECTOR, "from": at, "to": at, "reason": ""}
    await produce(settings, [Tick(contract.FEED_STATUS, SHARED, beat, at)])
    assert await silent_feeds(settings) == ["no collector runs"]
    async with Exchange("bybit").running() as exchange:
        exchange.greeting = lambda: [frames(now_ms())["bybit"]]
        arguments = ["bybit", "--symbols", "BTCUSDT", *exchange.options]
        with collecting(settings, *arguments) as first, collecting(settings, *arguments) as second:
            await until(lambda: len(exchange.sockets) == 2, "not connected", 60)
            back = []
            while len({each["timestamp"] for each in back}) < 2:  # until both have data
                assert first.poll() is second.poll() is None
                told = await read_all(settings, contract.FEED_STATUS)
                back = [each for each in told if each["stream"] != contract.FEED_COLLECTOR and each["to"]]
            assert any(each["from"] == at for each in back)
            assert await silent_feeds(settings) == []
            first.terminate()
            assert first.wait(30) == 0
            reasons = {each["reason"] for each in await read_all(settings, contract.FEED_STATUS)}
            assert "collector stopped" in reasons
            while await silent_feeds(settings):  # until the second has said that it hears it
                assert second.poll() is None
            second.terminate()
            assert second.wait(30) == 0
    assert await silent_feeds(settings) == ["collector stopped"]


async def test_a_gap_that_began_hours_ago_is_told_however_often_collectors_said_since_that_they_run(settings):
    now = time.time()
    gap = {"exchange": "bybit", "stream": "a", "from": now - 20_000, "to": None, "reason": "cut"}
    beats = [
        {"exchange": name, "stream": contract.FEED_COLLECTOR, "from": at, "to": at, "reason": ""}
        for at in (now - 20_000 + 60 * number for number in range(330))
        for name in ("bybit", "gate", "htx", "okx")
    ]
    old = gap | {"stream": "b", "from": now - 100_000}
    told = [old, gap, *beats]
    await produce(settings, [Tick(contract.FEED_STATUS, SHARED, each, each["from"]) for each in told])
    lasting = [each for each in await told_of_feeds(settings) if each.until is None]
    assert [(each.exchange, each.since) for each in lasting] == [
        ("bybit", pytest.approx(gap["from"], rel=0, abs=1e-3))
    ]


@pytest.mark.parametrize("value", [b'{"exchange": "\xff"}', b"[" * 100_000, None])
async def test_what_others_put_beside_the_states_of_feeds_hides_none(settings, value):
    gap = {"exchange": "okx", "stream": "a", "from": 1_790_000_000, "to": None, "reason": "cut"}
    async with AIOKafkaProducer(bootstrap_servers=settings.broker) as producer:
        for sent in (value, json.dumps(gap).encode()):
            await producer.send_and_wait(contract.FEED_STATUS, sent, key=b"okx", partition=0)
    assert [each.exchange for each in await told_of_feeds(settings)] == ["okx"]


async def test_a_check_tells_what_can_be_reached_and_what_it_brings(settings):
    async with Exchange("binance").running() as exchange:
        exchange.greeting = lambda: [frames(now_ms())["binance"], book()]
        exchange.volumes = [{"symbol": "BTCUSDT", "quoteVolume": "120000"}]
        ends = [*exchange.options, "--endpoint", "https://api.bybit.com=http://127.0.0.1:9"]
        options = ["--check", "--seconds", "2", "--top", "1"]
        code, out, _ = await collected(settings, "binance", "bybit", *options, *ends)
    assert code == 1  # one of them cannot be reached
    header, good, bad = (line.split("\t") for line in out.splitlines())
    told = dict(zip(header, good, strict=True))
    assert (told["venue"], told["instruments"], told["liquidations"], told["trouble"]) == (
        "binance",
        "2",
        "2",
        "",
    )
    assert int(told["prices"]) >= 1
    assert "Cannot connect" in dict(zip(header, bad, strict=True))["trouble"]


async def test_a_check_misses_no_prices_that_are_not_asked_for(settings):
    async with Exchange("binance").running() as exchange:
        exchange.greeting = lambda: [frames(now_ms())["binance"], book()]
        options = ["--check", "--seconds", "2", "--symbols", "BTCUSDT", "--topics", contract.LIQUIDATIONS]
        code, out, _ = await collected(settings, "binance", *options, *exchange.options)
    header, row = (line.split("\t") for line in out.splitlines())
    told = dict(zip(header, row, strict=True))
    assert (code, told["liquidations"], told["prices"], told["trouble"]) == (0, "2", "0", "")


async def test_a_recording_is_sent_again_as_it_was(settings, tmp_path):
    async with Exchange("bybit").running() as exchange:
        options = ["bybit", "--symbols", "BTCUSDT"]
        with collecting(settings, *options, *exchange.options, "--record", str(tmp_path)) as process:
            await until(lambda: exchange.sockets, "not connected", 60)
            began_ms = now_ms()
            await exchange.send(*(frames(began_ms + number)["bybit"] for number in range(20)))
            await until_there(settings, 20, [process])
            live = await read_all(settings, contract.LIQUIDATIONS)
            process.terminate()
            assert process.wait(30) == 0
    code, _, error = await collected(settings, *options, "--replay", str(tmp_path))
    assert code == 0, error
    assert await read_all(settings, contract.LIQUIDATIONS) == live * 2


async def test_recordings_of_several_venues_are_sent_in_the_order_of_time(settings, tmp_path):
    async with Exchange("bybit").running() as bybit, Exchange("gate").running() as gate:
        arguments = ["bybit", "gate", "--symbols", "BTCUSDT", *bybit.options, *gate.options]
        with collecting(settings, *arguments, "--record", str(tmp_path)) as process:
            await until(lambda: bybit.sockets and gate.sockets, "not connected", 60)
            began_ms = now_ms()
            for number in range(0, 8, 2):
                for after, exchange in enumerate((bybit, gate)):
                    await exchange.send(frames(began_ms + number + after)[exchange.name])
                    await until_there(settings, number + after + 1, [process])
            live = await read_all(settings, contract.LIQUIDATIONS)
            process.terminate()
            assert process.wait(30) == 0
    code, _, error = await collected(settings, *arguments[:4], "--replay", str(tmp_path))
    assert (code, error.count("replayed")) == (0, 2), error
    assert await read_all(settings, contract.LIQUIDATIONS) == live * 2


async def test_figures_are_served_at_the_address_of_the_settings_alone(settings):
    port = free_port()
    elsewhere = settings.model_copy(update={"web_bind": "127.0.0.2"})
    with collecting(elsewhere, "bybit", "--web-port", str(port)):
        await until(lambda: answers("127.0.0.2", port), "not served", 60)
        assert not answers("127.0.0.1", port)


def answers(host, port):
    with suppress(ConnectionRefusedError), socket.create_connection((host, port)):
        return True
    return False


async def test_a_port_that_is_taken_is_told_without_a_traceback(settings):
    with socket.create_server((settings.web_bind, 0)) as taken:
        port = str(taken.getsockname()[1])
        code, _, error = await collected(settings, "bybit", "--web-port", port)
    assert code == 2
    assert "--web-port: " in error
    assert "address already in use" in error
    assert "Traceback" not in error
