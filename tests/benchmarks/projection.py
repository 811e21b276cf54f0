"""How many signals a second the projection writes to Valkey: keys, histories and channels, without Kafka.

The signals are an engine's, one for each liquidation, on records of now, in batches as a busy worker hands
them over. CPU is that of this process alone; Valkey shares the machine.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from latency import PROFILE
from load import keyed
from observe import Run
from servers import ValkeyServer, running

from pipeline import Engine, codec, contract
from pipeline.signals.profile import read_profile
from pipeline.sinks.connection import connect
from pipeline.sinks.projection import Projection
from pipeline.sinks.redis import RedisSink

if TYPE_CHECKING:
    from pipeline.sinks.plan import Record

BATCH = 500


def measure(signals: int, repeat: int) -> list[Run]:
    """Project that many signals, so many times, each into an empty Valkey."""
    messages = _signals(signals)
    runs = []
    for _ in range(repeat):
        with running(ValkeyServer()) as valkey:
            runs.append(asyncio.run(_project(valkey.url, messages)))
    return runs


def _signals(count: int) -> list[tuple[bytes, bytes]]:
    engine = Engine(read_profile(PROFILE, "toml"))
    return [
        (output.key.encode(), codec.encode(output.body))
        for message in keyed(count)
        for output in engine.process(contract.LIQUIDATIONS, message.value)
        if output.topic == contract.SIGNALS
    ]


async def _project(url: str, messages: list[tuple[bytes, bytes]]) -> Run:
    client = connect(url)
    projection = Projection(RedisSink(client))
    began, cpu = time.perf_counter(), time.process_time()
    for begin in range(0, len(messages), BATCH):
        now_ms = round(time.time() * 1_000)
        batch: list[Record] = [
            (contract.SIGNALS, key, value, now_ms) for key, value in messages[begin : begin + BATCH]
        ]
        await projection.project(batch)
    found = Run(len(messages), time.perf_counter() - began, time.process_time() - cpu)
    await client.aclose()
    return found
