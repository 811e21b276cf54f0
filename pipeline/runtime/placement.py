"""On which partition a key belongs: as Kafka's Java client places it."""

from functools import lru_cache

from aiokafka.partitioner import murmur2


@lru_cache(maxsize=65_536)
def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a key: murmur2 of its bytes, without the sign, modulo the partitions."""
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)
