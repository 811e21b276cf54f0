"""On which partition a key belongs: as Kafka's Java client places it."""

from functools import lru_cache
from typing import Final

from aiokafka.partitioner import murmur2

REMEDY: Final = "set the producer's partitioner to murmur2 (librdkafka: partitioner=murmur2_random)"
"""What to do about keys that lie elsewhere."""


@lru_cache(maxsize=65_536)
def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a key: murmur2 of its bytes, without the sign, modulo the partitions."""
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)
