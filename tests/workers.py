"""Workers as child processes, and what a test puts in front of them and finds behind them."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self, TypeVar

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError, KafkaError
from servers import free_port

from pipeline import Engine, codec, contract
from pipeline.features.state import SHARED
from pipeline.features.states import read_head, read_snapshot
from pipeline.runtime.reading import read_topic
from pipeline.runtime.topic_plan import changelog_topic, wanted_topics

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Iterable, Sequence

    from pipeline.cli.simulated.scenario import Tick
    from pipeline.settings import Settings

T = TypeVar("T")
PATIENCE = 90
UNHURRIED = {"merge_settle_ms": 3_000, "context_settle_ms": 15_000}
"""For a worker that runs while its market's past is sent: longer than the producer pauses, and than the
context takes, so that nothing is overtaken."""
TEST_APP = "cascade-test-"


class Recovered(NamedTuple):
    """With which partitions a worker was ready, seconds after they were assigned, and what it had to read."""

    partitions: str
    seconds: float
    snapshots_read: int


class Worker:
    """`cascade worker` as a child process; it logs to a file that a failing test shows."""

    program: ClassVar[tuple[str, ...]] = ("-m", "pipeline", "worker")

    def __init__(self, settings: Settings, **changes: Any) -> None:
        self.log = Path(tempfile.mkstemp(prefix="cascade-worker-", suffix=".log")[1])
        self.settings = settings.model_copy(update={"web_port": free_port(), **changes})
        self._environment = self.settings.child_environment()
        self.start()

    def start(self) -> None:
        self._begin = self.log.stat().st_size
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *self.program],
                env=self._environment,
                stderr=log,
                stdout=log,
                start_new_session=True,
            )

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def stop(self) -> int:
        """Ask the worker to stop (SIGTERM); return its exit code."""
        self.process.terminate()
        return self.process.wait(PATIENCE)

    async def until_ready(self) -> None:
        """Wait until the worker has its partitions and their state."""
        await until(lambda: self.times_ready, "the worker gets no partitions", workers=[self])

    @property
    def partitions(self) -> set[int]:
        """The partitions that the worker got last, as its log tells."""
        found = re.findall(r"\] ready .*partitions=\[([\d, ]*)\]", self.text())
        return {int(number) for number in found[-1].split(", ") if number} if found else set()

    @property
    def times_ready(self) -> int:
        """How often the worker got its partitions since it was started."""
        return self.text().count("] ready ")

    def recoveries(self) -> list[Recovered]:
        """Return what the worker told whenever it was ready, in order."""
        found = re.findall(r" ready .*partitions=\[(.*?)\] .*seconds=(\S+) snapshots_read=(\d+)", self.text())
        return [Recovered(partitions, float(seconds), int(read)) for partitions, seconds, read in found]

    def text(self) -> str:
        """Return what the worker has logged since it was started."""
        return self.log.read_bytes()[self._begin :].decode(errors="replace")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if self.process.poll() is None:
            self.kill()
        if kind is not None:
            sys.stderr.write(f"--- {self.log} ---\n{self.text()[-6_000:]}\n")
        self.log.unlink(missing_ok=True)


async def until(
    condition: Callable[[], T], otherwise: str, workers: Sequence[Worker] = (), every_s: float = 0.05
) -> T:
    """Wait until something is true, and return it; fail when that takes too long, or a worker ends."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, otherwise
        assert all(worker.process.poll() is None for worker in workers), "a worker ended"
        await asyncio.sleep(every_s)
    return found


async def produce(settings: Settings, ticks: Iterable[Tick]) -> int:
    """Produce a market, each record with its event's time as its own; return how many there were."""
    async with AIOKafkaProducer(**settings.kafka_client_options(), linger_ms=5, acks="all") as producer:
        sent = [await send(producer, tick) for tick in ticks]
        await asyncio.gather(*sent)
    return len(sent)


async def delete_topics(settings: Settings) -> None:
    """Delete the topics of the pipeline's names, and the changelogs of tests."""
    async with Admin(settings) as admin:
        listed = set(await admin.list_topics())
        found = listed & {topic.name for topic in wanted_topics(settings)}
        found |= {name for name in listed if name.startswith(TEST_APP) and name.endswith("-changelog")}
        if found:
            await admin.delete_topics(sorted(found))
        while found & set(await admin.list_topics()):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def send(producer: AIOKafkaProducer, tick: Tick) -> asyncio.Future[Any]:
    """Hand one record to a producer, or a copy for each partition where it is of no symbol."""
    value, key, time_ms = codec.encode(tick.message), tick.symbol.encode(), round(tick.time * 1_000)
    copies = [None] if tick.symbol != SHARED else sorted(await producer.partitions_for(tick.topic))
    return asyncio.gather(
        *[
            await producer.send(tick.topic, value, key=key, partition=partition, timestamp_ms=time_ms)
            for partition in copies
        ]
    )


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process so far, user and system, all threads (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def lag(settings: Settings, topics: Sequence[str] = contract.FEEDS) -> int:
    """Return how many records of some topics are not committed by the settings' group."""
    done = await committed(settings)
    found = await ends(settings, topics)
    return sum(end - _offset(done.get(tp)) for tp, end in found.items())


async def committed(settings: Settings) -> dict[Any, Any]:
    """Return where the settings' group goes on in each partition that it has committed."""
    async with Admin(settings) as admin:
        try:
            offsets: dict[Any, Any] = await admin.list_consumer_group_offsets(settings.app_id)
        except GroupCoordinatorNotAvailableError:  # a broker makes its offsets topic for the first group
            return {}
        return offsets


async def ends(settings: Settings, topics: Sequence[str]) -> dict[Any, int]:
    """Return where the partitions of some topics end."""
    consumer = AIOKafkaConsumer(**settings.kafka_client_options())
    await consumer.start()
    try:
        tps = [TopicPartition(topic, number) for topic in topics for number in range(settings.partitions)]
        consumer.assign(tps)  # so that it asks about all topics at once
        consumer.pause(*tps)
        found: dict[Any, int] = await consumer.end_offsets(tps)
        return found
    finally:
        await consumer.stop()


async def until_fed(settings: Settings, process: subprocess.Popen[str], more_than: int = 0) -> None:
    """Wait until the feeds' topics have more than so many records, while a process sends them."""
    while sum((await ends(settings, contract.FEEDS)).values()) <= more_than:
        assert process.poll() is None, process.communicate()
        await asyncio.sleep(0.2)


async def until_caught_up(
    settings: Settings,
    topics: Sequence[str] = contract.FEEDS,
    workers: Sequence[Worker] = (),
    patience: float = PATIENCE,
) -> None:
    """Wait until everything in some topics is committed; fail when a worker ends before that."""
    deadline = time.monotonic() + patience
    while behind := await _told_lag(settings, topics):
        assert time.monotonic() < deadline, f"{behind} records are still not processed"
        assert all(worker.process.poll() is None for worker in workers), "a worker ended"
        await asyncio.sleep(0.2)


async def _told_lag(settings: Settings, topics: Sequence[str]) -> int | str:
    """Return the lag, or why a broker tells none: one that is back knows of no broker for a moment."""
    try:
        return await lag(settings, topics)
    except KafkaError as error:
        if not error.retriable:
            raise
        return f"{error!r}: nobody knows how many"


async def read_all(settings: Settings, topic: str) -> list[dict[str, Any]]:
    """Return every message of a topic, partition by partition."""
    return [orjson.loads(record.value) async for record in read_topic(settings, topic)]


async def read_signals(settings: Settings) -> dict[str, dict[str, Any]]:
    """Return the signals by id, without what no rerun repeats; repeats of an id have to be equal."""
    found: dict[str, dict[str, Any]] = {}
    for message in await read_all(settings, contract.SIGNALS):
        signal_ = without_timing(message)
        assert found.setdefault(signal_["id"], signal_) == signal_, f"{signal_['id']} differs when repeated"
    return found


async def read_states(settings: Settings) -> dict[tuple[str, str], Any]:
    """Return the newest state of every key of every table, as a recovery would find it."""
    return {key: read_snapshot(data) for key, data in (await read_newest(settings)).items()}


async def read_newest(settings: Settings) -> dict[tuple[str, str], bytes]:
    """Return the newest snapshot of every key of every table that has no tombstone after it."""
    found: dict[tuple[str, str], bytes] = {}
    for table in contract.TABLES:
        async for record in read_topic(settings, changelog_topic(settings.app_id, table)):
            key = table, f"{record.partition}:{record.key.decode()}"
            if record.value is None:
                found.pop(key, None)
            elif key not in found or read_head(record.value).order >= read_head(found[key]).order:
                found[key] = record.value
    return found


def differing(found: dict[Any, Any], expected: dict[Any, Any]) -> list[str]:
    """Say in which keys two mappings differ, and how."""
    keys = [key for key in found.keys() | expected.keys() if found.get(key) != expected.get(key)]
    return [f"{key}: {found.get(key)} is not {expected.get(key)}" for key in keys]


def without_timing(message: dict[str, Any]) -> dict[str, Any]:
    """Return a signal without how long it took, the only thing in it that the records do not decide."""
    return message | {"meta": message["meta"] | {"processing_time_ms": 0.0}}


def expected_signals(ticks: Iterable[Tick], engine: Engine | None = None) -> dict[str, dict[str, Any]]:
    """Return the signals of a market by id, as one engine makes them from the records in their order."""
    engine = engine or Engine()
    outputs = [output for tick in ticks for output in engine.process(tick.topic, codec.encode(tick.message))]
    return {output.message["id"]: output.message for output in outputs if output.topic == contract.SIGNALS}


def _offset(committed: Any) -> int:
    return 0 if committed is None else max(committed.offset, 0)


class Admin:
    """An admin client of a deployment's broker, for the length of a block."""

    def __init__(self, settings: Settings) -> None:
        self._client = AIOKafkaAdminClient(**settings.kafka_client_options())

    async def __aenter__(self) -> AIOKafkaAdminClient:
        await self._client.start()
        return self._client

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()
