import asyncio
import json
import re
import signal
import time
from itertools import pairwise

import pytest
from commands import cascade, start
from workers import PATIENCE, ends, read_all, until_fed

from pipeline import codec, contract
from pipeline.cli.recorded.recordings import Period, Recording, Recordings
from pipeline.cli.replay.kafka import FASTEST, check_retention, feed, pace
from pipeline.cli.simulated.simulation import simulate
from pipeline.runtime.placement import partition_of
from pipeline.runtime.reading import read_topic
from pipeline.runtime.topics import TopicsError, apply_topics

START = 1_760_000_000.0


@pytest.fixture(scope="module")
def ticks():
    return [tick for tick in simulate(20, 3, START) if tick.time >= START]


@pytest.fixture
def recordings(ticks, tmp_path):
    files = []
    for topic in contract.FEEDS:
        path = tmp_path / f"{topic}.jsonl"
        path.write_text("".join(json.dumps(tick.message) + "\n" for tick in ticks if tick.topic == topic))
        files.append(Recording(topic, path))
    return Recordings(files)


async def test_everything_arrives_once_in_the_order_of_time_under_its_symbol(settings, recordings, ticks):
    await feed(recordings, settings, FASTEST)
    for topic in contract.FEEDS:
        records = [record async for record in read_topic(settings, topic)]
        sent = [tick for tick in ticks if tick.topic == topic]
        assert len(records) == len(sent)
        assert all(record.partition == partition_of(record.key, settings.partitions) for record in records)
        assert {record.key for record in records} == {tick.symbol.encode() for tick in sent}
        for before, after in pairwise(records):
            assert after.partition != before.partition or after.timestamp >= before.timestamp
        for record in records:
            (message,) = codec.decode(topic, record.value).messages
            assert record.timestamp == round(message.timestamp * 1000)


async def test_topics_that_would_delete_old_records_are_refused_with_what_to_do(settings, recordings):
    day = settings.model_copy(update={"input_retention_hours": 24})
    await apply_topics(day)
    with pytest.raises(TopicsError) as refusal:
        await feed(recordings, day, FASTEST)
    lines = str(refusal.value).splitlines()
    assert [line.partition(":")[0] for line in lines] == list(contract.FEEDS)
    assert "keeps records for 24 h" in lines[0]
    assert "PIPELINE_INPUT_RETENTION_HOURS=-1" in lines[0]
    assert recordings.used.total() == 0


async def test_only_the_asked_for_period_has_to_be_kept(settings, recordings):
    day = settings.model_copy(update={"input_retention_hours": 24})
    await apply_topics(day)
    recent = Recordings(recordings.files, Period(begin_ms=time.time() * 1000 - 3_600_000))
    await check_retention(recent, day)


async def test_nothing_is_sent_faster_than_asked_for(recordings):
    started = time.monotonic()
    found = [recorded async for recorded in pace(recordings, 100)]
    assert time.monotonic() - started >= (found[-1].time_ms - found[0].time_ms) / 1000 / 100
    assert len(found) == recordings.size


async def test_what_is_interrupted_says_where_to_go_on_and_then_all_is_there(settings, recordings, ticks):
    files = [word for file in recordings.files for word in (f"--{file.path.stem}", file.path)]
    words = ("replay", *files, "--to-kafka")
    with start(settings, *words, "--speed", "1") as process:
        try:
            await until_fed(settings, process)
            process.send_signal(signal.SIGINT)
            told, errors = await asyncio.to_thread(process.communicate, timeout=PATIENCE)
        finally:
            process.kill()
    assert (process.returncode, told) == (130, "")
    moment = re.search(r"all records before (\S+) were sent: --from goes on there", errors)[1]
    assert sum((await ends(settings, contract.FEEDS)).values()) < len(ticks)
    done = await cascade(settings, *map(str, words), "--from", moment)
    assert done.exit_code == 0, done.output
    for topic in contract.FEEDS:
        sent = {json.dumps(message, sort_keys=True) for message in await read_all(settings, topic)}
        assert len(sent) == sum(tick.topic == topic for tick in ticks)
