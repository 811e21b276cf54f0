"""The broker of the benchmarks: Apache Kafka, and no other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from servers import KafkaServer, RoomyKafkaServer, TansuServer, broker_type, running

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from servers import DockerKafkaServer


def kafka() -> AbstractContextManager[DockerKafkaServer | KafkaServer]:
    """Return Apache Kafka, which runs for the length of a block; end the program where it cannot run."""
    found = broker_type()
    if found is TansuServer:
        raise SystemExit("benchmarks are measured on Apache Kafka: install Maven and Java, or Docker")
    return running(RoomyKafkaServer() if found is KafkaServer else found())
