"""A worker sends what the good records lead to, and a dead letter for each of the bad ones among them."""

import asyncio
import json
from collections import Counter

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from hostile import Hostile, Latin
from reading_oracle import array_parts, judge
from workers import PATIENCE, Worker, differing, read_all, read_signals, until_caught_up

from pipeline import Engine, codec, contract
from pipeline.cli.simulated.simulation import simulate
from pipeline.features.reading import Record
from pipeline.runtime.placement import partition_of

INPUTS = (*contract.FEEDS, contract.CONTROL, contract.FEED_STATUS)
LARGEST_SENT = 900_000
START = 1_760_000_000
WARM_UP = 60
REFERENCE = b"BTCUSDT"
#: The reference symbol is left to the simulated market: what it leads to goes to all partitions.
SYMBOLS = ("ETHUSDT", "SOLUSDT", "1000PEPEUSDT", "币安人生USDT", "Ñ" * 64)


def hostile_market(seconds, seed, many):
    """Return a simulated market, its messages among bad neighbours, and hostile records between them.

    Of records of the same topic and time the reference symbol's come first: a symbol whose clock leads could
    otherwise tell whether the context of that very time has come to its partition.
    """
    hostile = Hostile(seed, symbols=SYMBOLS, topics=INPUTS)
    found = [quoted_at_length()]
    for tick in simulate(seconds, seed, START):
        if tick.time < START - WARM_UP:
            continue
        hostile.clock = tick.time
        key, time_ms = tick.symbol.encode(), round(tick.time * 1_000)
        value = among_bad(hostile, tick.topic, codec.encode(tick.message), key)
        found.append(Record(tick.topic, value, 0, 0, key, (), time_ms))
        for _ in range(many):
            record = hostile.record(0)
            record.timestamp = time_ms
            if record.topic == contract.CONTROL or record.value is None:
                record.key = record.key or b"weights"  # a compacted topic takes no record without key
            if len(record.value or b"") < LARGEST_SENT:
                found.append(record)
    return sorted(found, key=place_in_time)


def quoted_at_length():
    """Return a record whose reason for being refused quotes all of it, five times as long."""
    side = {"symbol": "ETHUSDT", "exchange": "okx", "side": "\x7f" * 800_000, "price": 1, "quantity": 1}
    value = json.dumps(side | {"timestamp": START}, ensure_ascii=False).encode()
    return Record(contract.LIQUIDATIONS, value, 0, 0, b"ETHUSDT", (), START * 1_000)


def place_in_time(record):
    return record.timestamp, contract.INPUTS.index(record.topic), record.key != REFERENCE


def among_bad(hostile, topic, value, key):
    """Return a good value alone, or in an array with objects that are bad."""
    candidates = [hostile.object(topic, key.decode()) for _ in range(hostile.rng.choice((0, 0, 0, 2, 5)))]
    bad = [part for part in candidates if len(part) < 2_000 and is_one_bad_object(topic, part, key)]
    if not bad:
        return value
    place = hostile.rng.randrange(len(bad) + 1)
    return b"[" + b",".join([*bad[:place], value, *bad[place:]]) + b"]"


def is_one_bad_object(topic, part, key):
    """Tell whether it is bad, and ends where it seems to, so that it leaves an array as it is."""
    return array_parts(b"[%b]" % part) == [part] and not judge(topic, part, key=key).good


async def produce_all(settings, records):
    """Produce records; return the dead letters that are expected, and what is good of them."""
    async with AIOKafkaProducer(bootstrap_servers=settings.broker, linger_ms=5, acks="all") as producer:
        letters, good, sent = Counter(), [], []
        for record in records:
            verdict = judge(record.topic, record.value, key=record.key, time_ms=record.timestamp)
            if verdict.good:
                good.append((record.topic, json.dumps(verdict.good)))
            for partition in partitions_of(record, verdict, settings.partitions):
                future = await producer.send(
                    record.topic,
                    record.value,
                    key=record.key,
                    headers=list(record.headers),
                    timestamp_ms=record.timestamp,
                    partition=partition,
                )
                sent.append((record.topic, verdict.bad, future))
        await asyncio.gather(*[future for *_, future in sent])
    for topic, bad, future in sent:
        place = future.result()
        letters.update((topic, place.partition, place.offset, index, value) for index, value in bad)
    return letters, good


def partitions_of(record, verdict, partitions):
    """Return where a record has to lie: a symbol's on its own partition, what concerns all on each."""
    if not verdict.good:
        return [None]
    if record.topic not in contract.FEEDS:
        return range(partitions)
    return [partition_of(verdict.good[0]["symbol"].encode(), partitions)]


def place_and_value(letter):
    value = codec.original(letter["value"], letter["encoding"])
    return letter["topic"], letter["partition"], letter["offset"], letter["index"], value


def signals_of(good):
    engine = Engine()
    outputs = [output for topic, value in good for output in engine.process(topic, value)]
    return {output.message["id"]: output.message for output in outputs if output.topic == contract.SIGNALS}


async def check(settings, records, patience):
    expected, good = await produce_all(settings, records)
    with Worker(settings) as worker:
        await until_caught_up(settings, INPUTS, [worker], patience)
        assert worker.stop() == 0
    letters = await read_all(settings, contract.DEAD_LETTERS)
    assert Counter(map(place_and_value, letters)) == expected
    assert all(letter["reason"].strip() for letter in letters)
    assert differing(await read_signals(settings), signals_of(good)) == []
    return len(letters), len(good)


async def test_bad_records_become_letters_and_change_no_signal(settings):
    letters, good = await check(settings, hostile_market(20, seed=11, many=1), PATIENCE)
    assert min(letters, good) > 1_000


async def send_under(name, value, settings):
    """Send a price twice, again under a header with such a name, which no producer of Python's would send."""
    place = TopicPartition(contract.PRICES, partition_of(REFERENCE, settings.partitions))
    batch = _DefaultRecordBatchBuilderPy(2, 0, 0, -1, -1, -1, 1 << 20)
    batch.append(0, START * 1_000, REFERENCE, value, [(name, b"")])
    async with AIOKafkaProducer(bootstrap_servers=settings.broker) as producer:
        await producer.send_and_wait(place.topic, value, REFERENCE, place.partition, START * 1_000)
        leader = producer.client.cluster.leader_for_partition(place)
        topics = [(place.topic, [(place.partition, bytes(batch.build()))])]
        answer = await producer.client.send(leader, ProduceRequest(None, -1, 30_000, topics))
        assert answer.topics[0][1][0][1] == 0


async def test_a_header_whose_name_is_no_utf_8_ends_no_worker(settings):
    await send_under(Latin("prüfsumme"), b"no price", settings)
    with Worker(settings) as worker:
        await until_caught_up(settings, INPUTS, [worker])
        assert worker.stop() == 0
    letters = await read_all(settings, contract.DEAD_LETTERS)
    assert [letter["headers"] for letter in letters] == [[], [["pr\\xfcfsumme", ""]]]


@pytest.mark.endurance
async def test_a_hundred_thousand_records_with_bad_ones_among_them(settings):
    records = hostile_market(120, seed=12, many=5)
    assert len(records) > 100_000
    await check(settings, records, 20 * PATIENCE)
