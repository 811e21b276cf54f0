"""`cascade watch` as a process of its own, read through a pipe."""

import asyncio
import re
import signal
import sys
from contextlib import asynccontextmanager, suppress
from itertools import count, cycle
from pathlib import Path

import output_records
import pytest
from aiokafka import AIOKafkaProducer
from msgspec import structs
from redis.asyncio import Redis
from workers import PATIENCE

from pipeline import codec, contract
from pipeline.cli.watch import describe
from pipeline.messages import Scores, Signal

METRICS = structs.replace(output_records.METRICS, velocity=15.2, acceleration=3.25, volume_usd=1_234_567.8)


def sent_signal(symbol: str, level: str, sequence: int, **changes) -> Signal:
    timestamp = 1_760_131_000 + sequence
    made = output_records.signal(
        sequence, timestamp=timestamp, level=level, symbol=symbol, probability=0.6512
    )
    return structs.replace(made, metrics=METRICS, **changes)


def test_a_signal_is_one_line():
    assert describe(sent_signal("BTCUSDT", "ALERT", 0)) == (
        "2025-10-10T21:16:40.000Z ALERT    BTCUSDT      probability=0.6512 by=probability velocity=15.20/s"
        " acceleration=3.25/s2 volume=1234568USD/s market=HIGH id=BTCUSDT-1760131000000-0"
    )


def test_a_signal_that_explains_itself_tells_what_its_components_add():
    parts = Scores(velocity=0.4, acceleration=0, volume=0.2512, oi_change=0, funding=0, volatility=0)
    signal = sent_signal("BTCUSDT", "ALERT", 0)
    signal.meta.contributions = parts
    assert " market=HIGH parts=velocity:0.4000,volume:0.2512 id=" in describe(signal)


def test_a_signal_that_somebody_else_wrote_commands_no_terminal():
    assert describe(sent_signal("BTCUSDT", "ALERT", 0, id="\x1b[2J\n")).endswith(r" id=\x1b[2J\n")


@asynccontextmanager
async def watching(settings, *arguments, stdout=asyncio.subprocess.PIPE):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pipeline", "watch", *arguments),
        stdout=stdout,
        stderr=asyncio.subprocess.PIPE,
        env=settings.child_environment(),
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


@asynccontextmanager
async def kafka_publisher(settings):
    async with AIOKafkaProducer(**settings.kafka_client_options()) as producer:
        yield lambda body: producer.send_and_wait(contract.SIGNALS, body)


@asynccontextmanager
async def redis_publisher(settings):
    async with Redis.from_url(settings.redis_url, **settings.redis_client_options()) as redis:
        yield lambda body: redis.publish(contract.CHANNEL_SIGNALS, body)


async def publish_until_read(publish, process, *signals):
    """Send signals again and again, as only those are shown that come after the watch began."""

    async def repeat():
        for sequence, (symbol, level) in enumerate(cycle(signals)):
            await publish(codec.encode(sent_signal(symbol, level, sequence)))
            await asyncio.sleep(0.02)

    sending = asyncio.create_task(repeat())
    try:
        async with asyncio.timeout(PATIENCE):
            return [(await process.stdout.readline()).decode() for _ in range(4)]
    finally:
        sending.cancel()
        await asyncio.wait({sending})


async def publish_until_ended(publish, process):
    async with asyncio.timeout(PATIENCE):
        for number in count(1_000_000):
            if process.returncode is not None:
                break
            await publish(codec.encode(sent_signal("BTCUSDT", "ALERT", number)))
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(("publisher", "arguments"), [(kafka_publisher, ()), (redis_publisher, ("--redis",))])
async def test_the_wanted_signals_are_shown_as_plain_lines_until_interrupted(settings, publisher, arguments):
    chosen = (*arguments, "--symbol", "btcusdt", "--min-level", "alert")
    async with watching(settings, *chosen) as process, publisher(settings) as publish:
        sent = [("ETHUSDT", "CRITICAL"), ("BTCUSDT", "WATCH"), ("BTCUSDT", "ALERT"), ("BTCUSDT", "EXTREME")]
        lines = await publish_until_read(publish, process, *sent)
        assert {line.split()[2] for line in lines} == {"BTCUSDT"}
        assert {line.split()[1] for line in lines} <= {"ALERT", "EXTREME"}
        assert all(line.isascii() for line in lines)
        process.send_signal(signal.SIGINT)
        _, errors = await process.communicate()
        assert (process.returncode, errors) == (0, b"")


NO_SIGNALS = (b"{", b"[]", b'{"signal": "LOUD\\u001b[2J"}', b'{"signal_level": 4, "symbol": "BTCUSDT"}')


@pytest.mark.parametrize(
    ("publisher", "arguments", "place"),
    [
        (kafka_publisher, (), "cascade.signals/[0-3]/[0-9]+"),
        (redis_publisher, ("--redis",), "cascade:signals"),
    ],
)
async def test_what_is_no_signal_is_told_in_one_line_each_and_counted(settings, publisher, arguments, place):
    never = codec.encode(structs.replace(sent_signal("ETHUSDT", "ALERT", 0), timestamp=1e18))
    async with watching(settings, *arguments) as process, publisher(settings) as publish:
        await publish_until_read(publish, process, ("BTCUSDT", "ALERT"))
        for body in (*NO_SIGNALS, never):
            await publish(body)
        await publish_until_read(publish, process, ("ETHUSDT", "ALERT"))
        process.send_signal(signal.SIGINT)
        _, errors = await process.communicate()
    lines = errors.decode().splitlines()
    assert process.returncode == 0
    assert len(lines) == 5, lines
    for number, line in enumerate(lines, 1):
        assert re.search(rf"no signal, .* left_out={number} record={place}$", line), line


async def test_a_watch_ends_when_nobody_reads_any_more(settings):
    async with watching(settings) as process, kafka_publisher(settings) as publish:
        await publish_until_read(publish, process, ("BTCUSDT", "ALERT"))
        process._transport.get_pipe_transport(1).close()
        await publish_until_ended(publish, process)
        assert (process.returncode, await process.stderr.read()) == (0, b"")


@pytest.fixture
def full_disk():
    with Path("/dev/full").open("wb") as file:
        yield file


async def test_a_watch_that_finds_no_room_ends_with_1_and_one_line(settings, full_disk):
    async with watching(settings, stdout=full_disk) as process, kafka_publisher(settings) as publish:
        await publish_until_ended(publish, process)
        assert (process.returncode, await process.stderr.read()) == (1, b"output: No space left on device\n")


async def test_an_unknown_level_is_refused(settings):
    async with watching(settings, "--min-level", "loud") as process:
        _, errors = await process.communicate()
        assert process.returncode == 2
        assert b"--min-level loud: expected one of NONE, WATCH" in errors
