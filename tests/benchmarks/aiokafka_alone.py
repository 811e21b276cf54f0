"""Child process: read a topic with aiokafka and do nothing with it. Arguments: broker, topic, messages, file.

Writes, as JSON, how many messages came after the first batch, and the seconds and CPU seconds they took.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import uuid
from pathlib import Path

import uvloop
from aiokafka import AIOKafkaConsumer


async def consume(broker: str, topic: str, messages: int) -> dict[str, float]:
    async with AIOKafkaConsumer(
        topic, bootstrap_servers=broker, group_id=uuid.uuid4().hex, auto_offset_reset="earliest"
    ) as consumer:
        first = await _next(consumer)
        began, cpu = time.perf_counter(), time.process_time()
        seen = first
        while seen < messages:
            seen += await _next(consumer)
        return {
            "messages": seen - first,
            "seconds": time.perf_counter() - began,
            "cpu_seconds": time.process_time() - cpu,
        }


async def _next(consumer: AIOKafkaConsumer) -> int:
    while not (batches := await consumer.getmany(timeout_ms=1_000)):
        pass
    return sum(map(len, batches.values()))


if __name__ == "__main__":
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    figures = uvloop.run(consume(sys.argv[1], sys.argv[2], int(sys.argv[3])))
    Path(sys.argv[4]).write_text(json.dumps(figures))
