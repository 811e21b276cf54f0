"""Finding keys on a partition other than theirs: a symbol spread over two partitions is two half symbols."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pipeline import contract
from pipeline.runtime.placement import REMEDY, partition_of
from pipeline.runtime.reading import read_topic

if TYPE_CHECKING:
    from pipeline.settings import Settings

SAMPLE: Final = 1_000
"""Newest records of each partition that are looked at."""


class MisplacedKey(NamedTuple):
    """A key that lies on another partition than Kafka's Java client would have chosen."""

    topic: str
    key: bytes
    partition: int
    expected: int

    def __str__(self) -> str:
        key = self.key.decode(errors="backslashreplace")
        return f"{self.topic}: key {key} lies on partition {self.partition}, not {self.expected}: {REMEDY}"


async def find_misplaced_keys(settings: Settings) -> list[MisplacedKey]:
    """Return the misplaced keys among the newest records of the topics that feeds write."""
    found = set()
    for topic in contract.FEEDS:
        async for record in read_topic(settings, topic, SAMPLE):
            expected = partition_of(record.key, settings.partitions) if record.key else record.partition
            if record.partition != expected:
                found.add(MisplacedKey(topic, record.key, record.partition, expected))
    return sorted(found)
