"""How long an event takes to become a signal on Kafka and on Redis, at a steady rate of single liquidations.

Two kinds of run in turns; told are the medians over the runs of their percentiles:

- `producer to consumer`: without a pipeline, from before the sending of a liquidation until a consumer has
  it: what broker and clients take.
- `event to signal`, `event to Redis channel`: one worker between, from before the sending of a liquidation
  until its signal is seen by a consumer, and by a subscriber. The worker's profile sends a signal for every
  record (no least interval between them).
- `processing time`: what the worker tells in those signals (`meta.processing_time_ms`), from poll to
  hand-over to its producer.

Start-up and three seconds more do not count. Producer, broker, Redis, worker and readers share the machine.
"""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvloop
from apache import kafka
from servers import ValkeyServer, running
from stopwatch import key_of_event, key_of_signal, measure, on_channel, on_topic
from throughput import create_settings
from workers import Worker

from pipeline import contract
from pipeline.runtime.topics import apply_topics

if TYPE_CHECKING:
    from stopwatch import Key

    from pipeline.settings import Settings

PROFILE = 'name = "every-record"\n[score]\nemit_interval_s = 0\nnone_interval_s = 0\n'

Runs = dict[str, list[list[float]]]
"""For each kind the milliseconds of each run."""


def measure_rate(rate: int, seconds: int, repeat: int) -> Runs:
    """Measure each kind so many times, in turns, for that many seconds each."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # a new topic has no leader for a moment
    with (
        kafka() as broker,
        running(ValkeyServer()) as valkey,
        tempfile.TemporaryDirectory() as directory,
    ):
        profile = Path(directory) / "profile.toml"
        profile.write_text(PROFILE)
        changes = {"redis_enabled": True, "redis_url": valkey.url, "profile": str(profile)}
        runs = []
        for _ in range(repeat):
            settings = create_settings(broker.bootstrap).model_copy(update=changes)
            runs.append(uvloop.run(run(settings, rate, rate * seconds)))
    return {kind: [found[kind] for found in runs] for kind in runs[0]}


async def run(settings: Settings, rate: int, messages: int) -> dict[str, list[float]]:
    """Measure each kind once."""
    await apply_topics(settings)
    events = on_topic(settings, contract.LIQUIDATIONS, key_of_event)
    direct = await measure(settings, {"producer to consumer": events}, rate, messages)
    return direct | await _through_a_worker(settings, rate, messages)


async def _through_a_worker(settings: Settings, rate: int, messages: int) -> dict[str, list[float]]:
    inside: list[float] = []

    def key_and_time(message: dict[str, Any]) -> Key:
        inside.append(message["meta"]["processing_time_ms"])
        return key_of_signal(message)

    sources = {
        "event to signal": on_topic(settings, contract.SIGNALS, key_and_time),
        "event to Redis channel": on_channel(settings, contract.CHANNEL_SIGNALS, key_of_signal),
    }
    with Worker(settings) as worker:
        through = await measure(settings, sources, rate, messages)
        worker.stop()
    return through | {"processing time": inside[-messages:]}
