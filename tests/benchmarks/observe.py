"""What can be seen of a process from outside: its CPU time, what it has sent, what it has committed."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError
from workers import cpu_seconds

from pipeline import contract

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from subprocess import Popen

    from pipeline.settings import Settings

EVERY_S = 0.1


class Run(NamedTuple):
    """So many messages took so long, and so much CPU time of the process that handled them."""

    messages: int
    seconds: float
    cpu_seconds: float

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.messages / self.seconds

    @property
    def cpu_us(self) -> float:
        """CPU microseconds a message."""
        return self.cpu_seconds / self.messages * 1e6


class Observation(NamedTuple):
    """A process at one moment: monotonic and CPU seconds, records sent and records committed so far."""

    time: float
    cpu: float
    sent: int
    committed: int


def summarize(observations: Sequence[Observation], messages: int) -> Run:
    """Return what processing all messages took, without start-up and without waiting for the end's commit.

    It begins with the last observation at which nothing was sent yet. It ends, in time, with the first one
    at which all outputs were there; in CPU time only when everything was committed, so that the last
    checkpoint counts too.
    """
    began = max(seen for seen in observations if seen.sent == observations[0].sent)
    ended = min(seen for seen in observations if seen.sent == observations[-1].sent)
    return Run(messages, ended.time - began.time, observations[-1].cpu - began.cpu)


async def observe(
    settings: Settings, process: Popen[bytes], topics: Collection[str], messages: int, *, group: str | None
) -> list[Observation]:
    """Look at a process from its start until its group has committed all messages.

    Without a group: until it has sent an output for each of them.
    """
    outputs = [TopicPartition(topic, n) for topic in topics for n in range(settings.partitions)]
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.broker)
    await admin.start()
    seen: list[Observation] = []
    try:
        async with AIOKafkaConsumer(bootstrap_servers=settings.broker) as consumer:
            while not seen or seen[-1].committed < messages:
                if process.poll() is not None:
                    raise RuntimeError("the process ended")
                sent = sum((await consumer.end_offsets(outputs)).values())
                now, cpu = time.monotonic(), cpu_seconds(process.pid)
                committed = sent if group is None else await _committed(admin, group)
                seen.append(Observation(now, cpu, sent, committed))
                await asyncio.sleep(EVERY_S)
    finally:
        await admin.close()
    return seen


async def _committed(admin: AIOKafkaAdminClient, group: str) -> int:
    try:
        offsets = await admin.list_consumer_group_offsets(group)
    except GroupCoordinatorNotAvailableError:  # a broker makes its offsets topic for the first group
        return 0
    return sum(max(found.offset, 0) for tp, found in offsets.items() if tp.topic in contract.FEEDS)
