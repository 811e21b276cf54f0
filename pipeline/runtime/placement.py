"""On which partition a key belongs, as Kafka's Java client places it, and which keys lie elsewhere."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import structlog
from aiokafka.partitioner import murmur2

from pipeline import codec, contract

log = structlog.get_logger(__name__)

REMEDY: Final = "set the producer's partitioner to murmur2 (librdkafka: partitioner=murmur2_random)"
"""What to do about keys that lie elsewhere."""
MOST_TOLD: Final = 100
"""Keys on other partitions than their own that are logged, each once."""


@lru_cache(maxsize=65_536)
def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a key: murmur2 of its bytes, without the sign, modulo the partitions."""
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)


class Placement:
    """Notices keys of feeds that lie on another partition than their own.

    Parameters
    ----------
    partitions
        How many every topic has.

    """

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._told: set[tuple[str, bytes, int]] = set()

    def is_misplaced(self, received: Any) -> bool:
        """Tell whether a record's key lies elsewhere, and complain of it."""
        if received.topic not in contract.FEEDS or received.key is None:
            return False
        if len(received.key) > codec.LARGEST_KEY:  # no symbol is that long, and keys are remembered
            return False
        expected = partition_of(received.key, self._partitions)
        if received.partition == expected:
            return False
        self._complain(received, expected)
        return True

    def _complain(self, received: Any, expected: int) -> None:
        """Log once a key that its symbol's state is in two halves; of very many not all."""
        place = received.topic, received.key, received.partition
        if place in self._told or len(self._told) > MOST_TOLD:
            return
        self._told.add(place)
        if len(self._told) > MOST_TOLD:
            log.warning("further symbols on other partitions than their keys' own are not told, but counted")
            return
        log.warning(
            "a symbol lies on another partition than its key's own: %s",
            REMEDY,
            topic=received.topic,
            key=received.key.decode("utf-8", "backslashreplace"),
            partition=received.partition,
            expected=expected,
        )
